//! Tests of the plan.

use std::path::Path;

use super::*;
use crate::matrix::ExpectedTimes;

const SPEC: &str = "\
project: {directory: .., package: tracer}
archive: {kernels: [one], tools: one, sysroot: one}
arches: {x86_64: {}, riscv64: {}}
kernels:
  - {name: '5.10', series: '5.10', arches: [x86_64]}
  - {name: '6.1', series: '6.1'}
  - {name: '6.12', series: '6.12'}
llvm: [{version: 22}, {version: 23}]
exclude:
  - {kernel: '6.1', llvm: 23, reason: known bad}
sets:
  pr: {kernels: ['5.*', '6.12'], arches: [x86_64], llvm: [newest]}
  old: {llvm: [oldest]}
  full: {}
";

fn spec() -> MatrixSpec {
    MatrixSpec::parse(Path::new("m.yaml"), SPEC).unwrap()
}

fn ids(filter: &Filter) -> Result<Vec<String>, String> {
    let plan = Plan::expand(&spec(), filter).map_err(|error| error.to_string())?;
    Ok(plan.cells().iter().map(|cell| cell.id.clone()).collect())
}

#[test]
fn every_cell_is_in_the_plan_and_those_that_cannot_run_say_why() {
    let plan = Plan::expand(&spec(), &Filter::default()).unwrap();
    let cells: Vec<_> = plan.cells().iter().map(|cell| (cell.id.as_str(), cell.not_run.as_deref())).collect();
    assert_eq!(
        cells,
        [
            ("x86_64/5.10/llvm23", None),
            ("x86_64/5.10/llvm22", None),
            ("x86_64/6.1/llvm23", Some("known bad")),
            ("x86_64/6.1/llvm22", None),
            ("x86_64/6.12/llvm23", None),
            ("x86_64/6.12/llvm22", None),
            ("riscv64/5.10/llvm23", Some("the matrix keeps this kernel to x86_64")),
            ("riscv64/5.10/llvm22", Some("the matrix keeps this kernel to x86_64")),
            ("riscv64/6.1/llvm23", Some("known bad")),
            ("riscv64/6.1/llvm22", None),
            ("riscv64/6.12/llvm23", None),
            ("riscv64/6.12/llvm22", None),
        ]
    );
    let jobs: Vec<_> = plan.jobs().iter().map(|job| (job.id.as_str(), job.llvm.as_slice())).collect();
    assert_eq!(
        jobs,
        [
            ("x86_64/5.10", &[23, 22][..]),
            ("x86_64/6.1", &[22]),
            ("x86_64/6.12", &[23, 22]),
            ("riscv64/6.1", &[22]),
            ("riscv64/6.12", &[23, 22])
        ]
    );
}

#[test]
fn filters_keep_what_they_name() {
    let kernels =
        |names: &[&str]| Filter { kernels: names.iter().map(ToString::to_string).collect(), ..Filter::default() };
    let filter = Filter { llvm: vec![22], arches: vec![Arch::X86_64], ..kernels(&["6.*"]) };
    assert_eq!(ids(&filter).unwrap(), ["x86_64/6.1/llvm22", "x86_64/6.12/llvm22"]);
    assert_eq!(ids(&kernels(&["6.1", "6.1"])).unwrap().len(), 4);
}

#[test]
fn a_set_is_a_part_of_the_matrix_that_filters_narrow() {
    let of_set = |set: &str| Filter { set: Some(set.into()), ..Filter::default() };
    assert_eq!(ids(&of_set("pr")).unwrap(), ["x86_64/5.10/llvm23", "x86_64/6.12/llvm23"]);
    assert_eq!(ids(&Filter { kernels: vec!["6.*".into()], ..of_set("pr") }).unwrap(), ["x86_64/6.12/llvm23"]);
    assert_eq!(ids(&of_set("full")).unwrap(), ids(&Filter::default()).unwrap());
    assert!(ids(&of_set("old")).unwrap().iter().all(|id| id.ends_with("/llvm22")));
    // The newest of the matrix, not the newest of those that were asked for.
    assert!(ids(&Filter { llvm: vec![22], ..of_set("pr") }).is_err());
}

/// Check that an `include` row wins over an `exclude` row and over a kernel's `arches`, and that its reason is told.
#[test]
fn what_is_included_runs_although_it_is_left_out() {
    let rows = "include:
  - {kernel: '6.1', arch: x86_64, llvm: 23, reason: to see whether it is still bad}
  - {kernel: '5.10', arch: riscv64, reason: a board has it}
";
    let spec = MatrixSpec::parse(Path::new("m.yaml"), &format!("{SPEC}{rows}")).unwrap();
    let plan = Plan::expand(&spec, &Filter::default()).unwrap();
    let told: Vec<_> =
        plan.cells().iter().filter_map(|cell| Some((cell.id.as_str(), cell.included.as_deref()?))).collect();
    let board = |id| (id, "a board has it");
    assert_eq!(
        told,
        [
            ("x86_64/6.1/llvm23", "to see whether it is still bad"),
            board("riscv64/5.10/llvm23"),
            board("riscv64/5.10/llvm22")
        ]
    );
    let job = plan.jobs().iter().find(|job| job.id == "x86_64/6.1").unwrap();
    assert_eq!(job.llvm, [23, 22]);
    assert!(spec.kernels[0].is_wanted_on(&spec, Arch::Riscv64));
    assert!(!spec.kernels[0].is_wanted_on(&self::spec(), Arch::Riscv64));
}

#[test]
fn a_matrix_whose_cells_are_all_excluded_still_lists_them() {
    let all = SPEC.replace("{kernel: '6.1', llvm: 23, reason: known bad}", "{reason: a holiday}");
    let spec = MatrixSpec::parse(Path::new("m.yaml"), &all).unwrap();
    let plan = Plan::expand(&spec, &Filter::default()).unwrap();
    assert_eq!((plan.cells().len(), plan.jobs().len()), (12, 0));
    assert!(plan.cells().iter().all(|cell| cell.not_run.as_deref() == Some("a holiday")));
    // They belong to the first shard.
    let first = plan.keep(Shard { index: 1, of: 2 }, &ExpectedTimes::default()).unwrap();
    assert_eq!(first.cells(), plan.cells());
}

#[test]
fn a_filter_that_matches_nothing_says_what_there_is() {
    let kernel = Filter { kernels: vec!["6.112".into()], ..Filter::default() };
    assert_eq!(
        ids(&kernel).unwrap_err(),
        "--kernel `6.112` matches no kernel (known: 5.10, 6.1, 6.12)\n  hint: did you mean `6.12`?"
    );
    let arch = Filter { arches: vec![Arch::Aarch64], ..Filter::default() };
    assert_eq!(ids(&arch).unwrap_err(), "--arch `aarch64` is not in the matrix (known: x86_64, riscv64)");
    let llvm = Filter { llvm: vec![21], ..Filter::default() };
    assert_eq!(ids(&llvm).unwrap_err(), "--llvm `21` is not in the matrix (known: 23, 22)");
    let of_set = |set: &str| Filter { set: Some(set.into()), ..Filter::default() };
    assert_eq!(
        ids(&of_set("ful")).unwrap_err(),
        "--set `ful` is not in the matrix (known: full, old, pr)\n  hint: did you mean `full`?"
    );
    assert_eq!(
        ids(&Filter { kernels: vec!["6.1".into()], ..of_set("pr") }).unwrap_err(),
        "the filters leave no cell of set `pr`\n  hint: `ukci plan --set pr` lists the cells"
    );
    let glob = Filter { kernels: vec!["6[".into()], ..Filter::default() };
    assert_eq!(ids(&glob).unwrap_err(), "`6[` is not a glob: unclosed character class; missing ']'");
}

fn host_plan(filter: &Filter) -> Plan {
    Plan::expand(&spec(), filter).unwrap()
}

#[test]
fn the_shards_are_the_whole_plan() {
    let plan = host_plan(&Filter::default());
    let times = ExpectedTimes::default();
    for of in 1..=5 {
        let shards: Vec<Plan> = (1..=of).map(|index| plan.keep(Shard { index, of }, &times).unwrap()).collect();
        let mut cells: Vec<&Cell> = shards.iter().flat_map(Plan::cells).collect();
        cells.sort_by_key(|cell| plan.cells().iter().position(|other| other == *cell));
        assert_eq!(cells, plan.cells().iter().collect::<Vec<_>>());
        assert_eq!(shards.iter().map(|shard| shard.jobs().len()).sum::<usize>(), plan.jobs().len());
        for (place, shard) in shards.iter().enumerate() {
            assert_eq!(shard.shard(), Some(Shard { index: place + 1, of }));
            assert_eq!(shard.whole_fingerprint(), plan.whole_fingerprint());
            assert_eq!(shard.whole_cells(), 12);
        }
    }
}

#[test]
fn the_fingerprint_tells_plans_apart() {
    let narrow = host_plan(&Filter { llvm: vec![22], ..Filter::default() });
    assert_ne!(narrow.whole_fingerprint(), host_plan(&Filter::default()).whole_fingerprint());
    assert_eq!(narrow.whole_fingerprint().len(), 64);
}

#[test]
fn a_shard_beyond_the_jobs_is_refused() {
    let error = host_plan(&Filter::default()).keep(Shard { index: 7, of: 7 }, &ExpectedTimes::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "--shard `7/7`: the plan has 5 VMs, and a shard has at least one\n  hint: `--shard` takes at most `5/5` here"
    );
}

//! Which shards make a run, and which do not.

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::matrix::{Arch, Shard};
use crate::report::fixture;
use crate::run::outcome::HostId;

/// A run of a whole plan.
fn whole() -> RunOutcome {
    let mut run = fixture::full_matrix();
    for (position, cell) in run.cells.iter_mut().enumerate() {
        cell.position = position;
    }
    run.plan = Some(plan_id(run.cells.iter().map(|cell| cell.id.as_str())));
    run
}

/// The run in `of` parts; a kernel's cells stay together, and the last part comes first.
fn shards(run: &RunOutcome, of: usize) -> Vec<ShardRecord> {
    let shard = |index: usize| {
        let mut outcome = run.clone();
        outcome.cells.retain(|cell| cell.kernel.name.len() % of == index - 1);
        outcome.shard = Some(Shard { index, of });
        ShardRecord { name: format!("dir{index}"), outcome }
    };
    (1..=of).rev().map(shard).collect()
}

#[track_caller]
fn refused(shards: Vec<ShardRecord>) -> String {
    merge(shards).unwrap_err().to_string()
}

#[test]
fn shards_make_the_run_that_they_were_cut_from() {
    let run = whole();
    let cut = shards(&run, 3);
    assert!(cut.iter().all(|shard| !shard.outcome.cells.is_empty()));
    assert_eq!(merge(cut).unwrap(), run);
    assert_eq!(merge(shards(&run, 1)).unwrap(), run);
}

#[test]
fn a_merged_run_lasted_from_the_first_start_to_the_last_end_on_every_machine() {
    let run = whole();
    let mut cut = shards(&run, 3);
    let later = |time: Timestamp, seconds| time + SignedDuration::from_secs(seconds);
    let other = HostId { cores: 64, ..run.host.clone() };
    cut[0].outcome.started = later(run.started, -5);
    cut[2].outcome.finished = run.finished.map(|time| later(time, 7));
    cut[0].outcome.resumed = vec![later(run.started, 3)];
    cut[1].outcome.resumed = vec![later(run.started, 1)];
    cut[0].outcome.host = other.clone();
    let merged = merge(cut).unwrap();
    assert_eq!(merged.started, later(run.started, -5));
    assert_eq!(merged.finished, run.finished.map(|time| later(time, 7)));
    assert_eq!(merged.resumed, [1, 3].map(|seconds| later(run.started, seconds)));
    assert_eq!(merged.exit_code(), run.exit_code());
    assert_eq!((merged.host, merged.hosts), (run.host.clone(), vec![run.host, other]));
}

#[test]
fn holes_are_refused_with_the_shard_that_is_missing() {
    let mut cut = shards(&whole(), 3);
    let lost = cut.remove(1).outcome.cells.len();
    let (found, all) = (whole().cells.len() - lost, whole().cells.len());
    assert_eq!(
        refused(cut.clone()),
        format!("shard 2/3 is missing: {found} of the plan's {all} cells are there\n  hint: name its directory too")
    );
    cut.remove(0);
    assert!(refused(cut).starts_with("shard 2/3, 3/3 is missing: "));
    let mut cut = shards(&whole(), 3);
    cut[1].outcome.cells.pop();
    assert!(refused(cut).starts_with("all shards are there, but their 107 cells are not the 108 of the plan"));
}

/// Check that shards that have no cells need not be there: there may be more machines than VMs.
#[test]
fn a_shard_without_cells_is_no_hole() {
    let run = whole();
    let mut cut = shards(&run, 3);
    for shard in &mut cut {
        shard.outcome.shard = shard.outcome.shard.map(|shard| Shard { of: 4, ..shard });
    }
    assert_eq!(merge(cut).unwrap(), run);
}

#[test]
fn overlaps_are_refused() {
    let twice = || [shards(&whole(), 3), shards(&whole(), 3)[..1].to_vec()].concat();
    assert_eq!(refused(twice()), "`dir3` and `dir3` are both shard 3/3");
    let mut cut = shards(&whole(), 3);
    let cell = cut[0].outcome.cells[0].clone();
    cut[2].outcome.cells.push(cell.clone());
    assert!(refused(cut).starts_with(&format!("`dir1` and `dir3` both have the cell `{}`\n  hint: ", cell.id)));
    // As many cells as there should be, and yet not those.
    let mut cut = shards(&whole(), 3);
    cut[0].outcome.cells[0].id = "x86_64/9.9/llvm22".into();
    assert!(refused(cut).starts_with("all shards are there, but their 108 cells are not the 108 of the plan"));
}

#[test]
fn shards_of_different_plans_are_refused() {
    let start = "`dir1` and `dir3` are of different plans: ";
    let mut cut = shards(&whole(), 3);
    cut[0].outcome.plan = cut[0].outcome.plan.clone().map(|plan| PlanId { fingerprint: "0".into(), ..plan });
    assert!(refused(cut).starts_with(&format!("{start}they have other cells\n  hint: ")));
    let mut cut = shards(&whole(), 3);
    cut[0].outcome.test_globs = vec!["*argv*".into()];
    assert!(refused(cut).starts_with(&format!("{start}they ran other tests (`--test`)\n")));
    let mut cut = shards(&whole(), 3);
    cut[0].outcome.shard = Some(Shard { index: 3, of: 4 });
    assert!(refused(cut).starts_with(&format!("{start}one is shard 1/3, the other 3/4\n")));
}

#[test]
fn what_is_no_finished_shard_is_refused() {
    assert_eq!(refused(vec![]), "there is nothing to merge");
    let alone = vec![ShardRecord { name: "dir".into(), outcome: whole() }];
    assert_eq!(refused(alone), "`dir` is no shard of a run\n  hint: `ukci run --shard i/n` makes one");
    let unfinished = "`dir3`, shard 3/3, did not come to its end\n  hint: `ukci run --resume dir3` carries it on";
    let mut killed = shards(&whole(), 3);
    killed[0].outcome.finished = None;
    assert_eq!(refused(killed), unfinished);
    let mut interrupted = shards(&whole(), 3);
    let cell = interrupted[0].outcome.cells.iter_mut().find(|cell| cell.arch == Arch::X86_64).unwrap();
    cell.attempts.clear();
    assert_eq!(refused(interrupted), unfinished);
}

/// Check that no shard's object is lost that coverage is read with: the same one is there once, and others of the same name lie beside each
/// other, in their bundle's directory. What a shard has reported by itself is no report of the merged run.
#[test]
fn objects_of_every_shard_are_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = |shard: usize, rest: &str| directory.path().join(format!("s{shard}/coverage")).join(rest);
    let leave = |shard: usize, rest: &str, content: &str| {
        std::fs::create_dir_all(path(shard, rest).parent().unwrap()).unwrap();
        std::fs::write(path(shard, rest), content).unwrap();
    };
    for shard in 1..=3 {
        leave(shard, "objects/x86_64/llvm22/bpf/demo.o", "the same");
        leave(shard, "lines.json", "its own");
    }
    leave(1, "objects/x86_64/llvm22/userspace/demo", "one");
    leave(2, "objects/x86_64/llvm22/userspace/demo", "two");
    leave(3, "objects/x86_64/llvm22/userspace/demo", "three");
    leave(3, "objects/aarch64/llvm22/userspace/demo", "one");
    let merged = directory.path().join("merged");
    for index in 1..=3 {
        adopt_logs(&directory.path().join(format!("s{index}")), Shard { index, of: 3 }, &merged).unwrap();
    }
    let mut found = Vec::new();
    let mut left = vec![merged.clone()];
    while let Some(directory) = left.pop() {
        for path in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let name = path.strip_prefix(&merged).unwrap().display().to_string();
            found.push(format!("{name}: {}", std::fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    let expected = [
        "coverage/objects/aarch64/llvm22/userspace/demo: one",
        "coverage/objects/x86_64/llvm22/bpf/demo.o: the same",
        "coverage/objects/x86_64/llvm22/userspace/demo: one",
        "coverage/objects/x86_64/llvm22/userspace/shard2/demo: two",
        "coverage/objects/x86_64/llvm22/userspace/shard3/demo: three",
    ];
    assert_eq!(found, expected);
}

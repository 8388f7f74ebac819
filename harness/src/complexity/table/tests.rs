use bpf_complexity::record::Mode;

use super::super::Export;
use super::super::fixture::{ok, refused, run, table};
use super::*;

/// Check that the axes are those of the run, and that of two records in one cell the later counts.
#[test]
fn records_stand_where_their_cells_are() {
    let cells = [
        ("x86_64/6.12/llvm22", vec![ok("b", 10), ok("a", 20), ok("a", 30)]),
        ("x86_64/6.12/llvm19", vec![ok("a", 40)]),
        ("x86_64/7.2/llvm22", vec![refused("b", "no")]),
        ("riscv64/7.2/llvm22", vec![]),
    ];
    let table = table(&cells);
    assert_eq!(table.arches.len(), 1);
    let arch = &table.arches[0];
    assert_eq!(
        (arch.kernels.as_slice(), arch.llvm.as_slice()),
        (["6.12", "7.2"].map(String::from).as_slice(), [19, 22].as_slice())
    );
    let names: Vec<String> = arch.programs.iter().map(|program| program.id.to_string()).collect();
    assert_eq!(names, ["demo/b", "demo/a"]);
    assert_eq!(arch.programs[1].record("6.12", 22).unwrap().processed(), Some(30));
    assert_eq!(arch.programs[1].record("7.2", 22), None);
    assert_eq!(table.labels().into_values().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(table.cells.len(), 4, "a cell that said nothing should have");
    assert_eq!((table.count(Verdict::Ok), table.count(Verdict::Rejected)), (3, 1));
}

/// Check that objects for coverage do not count, and that a run of some tests need not measure.
#[test]
fn what_need_not_count_does_not() {
    let (mut run, mut found) = run(&[("x86_64/6.12/llvm22", vec![ok("a", 10)]), ("x86_64/7.2/llvm22", vec![])]);
    run.test_globs = vec!["exec*".into()];
    assert_eq!(Table::new(&run, &found).cells.len(), 1);
    found[0].report.object.mode = Mode::Coverage;
    assert!(Table::new(&run, &found).is_empty());
}

#[test]
fn a_table_survives_its_json() {
    let table = table(&[("x86_64/6.12/llvm22", vec![ok("a", 10)]), ("aarch64/7.2/llvm22", vec![refused("a", "no")])]);
    let text = serde_json::to_string(&Export::new("run", &table)).unwrap();
    assert_eq!(Export::parse(&text).unwrap().table(), table);
    assert!(Export::parse("{\"schema\": 9}").unwrap_err().to_string().contains("found `9`"));
}

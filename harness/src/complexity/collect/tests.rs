use std::fs;

use super::super::fixture::{cell, ok, report};
use super::*;
use crate::report::fixture;

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Check that every report is found, whichever test and attempt left it, and that one that cannot be read costs nobody else's.
#[test]
fn reports_are_found_and_broken_ones_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let ids = ["x86_64/6.1/llvm22", "x86_64/6.12/llvm22", "riscv64/7.2/llvm22"];
    let mut cells: Vec<_> = ids.iter().map(|id| cell(id)).collect();
    cells[1].attempts.push(fixture::attempt(vec![]));
    let run = fixture::run(cells);
    let line = |insns| report(vec![ok("a", insns)]).to_line().unwrap();
    let place = |rest: &str| directory.path().join("cells").join(rest);
    write(&place("x86_64/6.12/llvm22/artifacts/demo-a/complexity.json"), line(1).as_bytes());
    write(&place("x86_64/6.12/llvm22/attempt2/artifacts/demo-a/deep/complexity.json"), line(2).as_bytes());
    write(&place("x86_64/6.1/llvm22/artifacts/demo-a/complexity.json"), b"{\"schema\": 1, \"kernel");
    write(&place("x86_64/6.1/llvm22/artifacts/demo-b/complexity.json"), b"{\"schema\": 7}");
    write(&place("riscv64/7.2/llvm22/artifacts/demo-a/complexity.json"), b"\xff\xfe");
    write(&place("riscv64/7.2/llvm22/artifacts/demo-b/complexity.json"), line(3).as_bytes());
    write(&place("riscv64/7.2/llvm22/artifacts/demo-b/other.json"), b"not ours");

    let (found, problems) = collect(directory.path(), &run);
    let insns = |found: &Found| found.report.records[0].insns_processed.unwrap();
    let told: Vec<_> = found.iter().map(|found| (found.cell.as_str(), insns(found))).collect();
    assert_eq!(told, [("x86_64/6.12/llvm22", 1), ("x86_64/6.12/llvm22", 2), ("riscv64/7.2/llvm22", 3)]);
    assert!(found[0].path.starts_with("cells/x86_64/6.12"), "{:?}", found[0].path);
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].contains("demo-a/complexity.json: not a report of verifier complexity: EOF"), "{problems:?}");
    assert!(problems[1].contains("expected schema `1`, found `7`"), "{problems:?}");
    assert!(problems[2].contains("riscv64/7.2") && problems[2].contains("not a report"), "{problems:?}");
}

#[test]
fn a_run_without_reports_has_none() {
    let directory = tempfile::tempdir().unwrap();
    let (found, problems) = collect(directory.path(), &fixture::run(vec![cell("x86_64/6.12/llvm22")]));
    assert!(found.is_empty() && problems.is_empty());
}

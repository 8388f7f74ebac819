//! What programs cost: the table of a run, its budget, and objects that are none. No guest is needed for any of it.

use std::fs;
use std::path::Path;

use rstest::rstest;
use serde_json::{Value, json};

use crate::world::World;

const BUDGET: &str = "programs:\n  demo/exec:\n    \"6.12 6.18\": {insns: 1000, stack: 128}\n";

fn program(name: &str, verdict: &str, insns: u64) -> Value {
    json!({"case": "default", "program": name, "verdict": verdict, "insns_processed": insns, "stack_max": 64, "reason": "why"})
}

/// Leaves in the directory `run` what a run of two kernels would have, with these programs in its cells.
fn leave_run(world: &World, run: &str, programs: &[Value]) {
    let mut cells = Vec::new();
    for kernel in ["6.12", "6.18"] {
        let id = format!("x86_64/{kernel}/llvm22");
        let directory = world.project.join(run).join("cells").join(&id).join("artifacts/demo-complexity");
        fs::create_dir_all(&directory).expect("made");
        let report = json!({
            "schema": 1,
            "kernel": {"release": kernel, "arch": "x86_64"},
            "object": {"name": "demo", "sha256": "0", "mode": "release"},
            "records": programs,
        });
        fs::write(directory.join("complexity.json"), report.to_string()).expect("written");
        let test = json!({"binary": "demo", "name": "complexity", "result": "passed", "seconds": 1.0, "message": null, "expected_failure": null, "log": null});
        cells.push(json!({
            "id": id, "arch": "x86_64", "kernel": {"name": kernel, "release": kernel, "package": null, "version": null},
            "llvm": 22, "position": cells.len(), "not_run": null,
            "attempts": [{"phases": [{"name": "test", "seconds": 1.0}], "tests": [test], "loss": null}],
        }));
    }
    let record = json!({
        "schema": 1, "id": run, "started": "2026-11-21T10:00:00Z", "finished": "2026-11-21T10:01:00Z",
        "host": {"cores": 2, "accel": "tcg", "qemu": "10.0"}, "cells": cells,
    });
    fs::write(world.project.join(run).join("run.json"), record.to_string()).expect("written");
}

fn file(world: &World, run: &str, kernel: &str) -> std::path::PathBuf {
    let rest = format!("cells/x86_64/{kernel}/llvm22/artifacts/demo-complexity/complexity.json");
    world.project.join(run).join(rest)
}

/// Check that a budget that holds costs nothing, and that each way to break it is exit code 5 and told.
#[rstest]
#[case::holds(program("exec", "ok", 1000), 0, "2 ok, 0 rejected")]
#[case::over(
    program("exec", "ok", 1001),
    5,
    "BUDGET    demo/exec: expected at most 1000 instructions processed, found 1001"
)]
#[case::rejected(program("exec", "rejected", 5), 5, "BUDGET    demo/exec: expected ok, found rejected: why")]
#[case::vanished(program("other", "ok", 5), 5, "BUDGET    demo/exec: expected a record of it, found none")]
fn a_budget_is_held_against_a_run(#[case] found: Value, #[case] code: i32, #[case] told: &str) {
    let world = World::new();
    leave_run(&world, "run", &[found]);
    fs::write(world.project.join("budget.yaml"), BUDGET).expect("written");
    let ended = world.ukci(&["complexity", "run"]);
    assert_eq!(ended.code, Some(code), "{ended}");
    assert!(ended.to_string().contains(told), "{ended}");
}

#[test]
fn a_blessed_run_keeps_its_budget() {
    let world = World::new();
    leave_run(&world, "run", &[program("exec", "ok", 5000), program("new", "rejected", 5)]);
    fs::write(world.project.join("budget.yaml"), format!("# Ours.\n{BUDGET}")).expect("written");
    assert_eq!(world.ukci(&["complexity", "run"]).code, Some(5));
    assert_eq!(world.ukci(&["complexity", "run", "--bless"]).code, Some(0));
    let text = fs::read_to_string(world.project.join("budget.yaml")).expect("read");
    // The matrix has LLVM 21 too, which did not run: its ceilings stay as they were.
    let expected = r#"# Ours.
programs:
  demo/exec:
    "6.12 6.18": {insns: 5500, stack: 64}
    "x86_64/{6.12,6.18}/llvm21": {insns: 1000, stack: 128}
  demo/new:
    "x86_64/{6.12,6.18}/llvm22": {verdict: rejected, reason: "why"}
"#;
    assert_eq!(text, expected);
    assert_eq!(world.ukci(&["complexity", "run"]).code, Some(0));
}

/// Check that a comparison fails for what became worse, and that what --json prints can be compared with.
#[test]
fn runs_are_compared() {
    let world = World::new();
    leave_run(&world, "before", &[program("exec", "ok", 1000)]);
    leave_run(&world, "after", &[program("exec", "ok", 1600)]);
    let printed = world.ukci(&["complexity", "before", "--json"]);
    assert_eq!(printed.code, Some(0), "{printed}");
    fs::write(world.project.join("before.json"), &printed.stdout).expect("written");
    for before in ["before", "before.json"] {
        let ended = world.ukci(&["complexity", "after", "--diff", before]);
        assert_eq!(ended.code, Some(5), "{ended}");
        assert!(ended.to_string().contains("demo/exec: 1000, now 1600 (+600, +60 %)"), "{ended}");
    }
    assert_eq!(world.ukci(&["complexity", "after", "--diff", "before", "--max-insns", "600"]).code, Some(0));
    world.ukci(&["complexity", "after", "--diff", "Cargo.toml"]).one_error(2, &["Cargo.toml: not a report"]);
}

/// Check that a file that cannot be read is named and takes no other with it, and that a wrong budget is found before anything runs.
#[test]
fn broken_files_are_named() {
    let world = World::new();
    leave_run(&world, "run", &[program("exec", "ok", 5)]);
    fs::write(file(&world, "run", "6.12"), "{\"schema\": 3}").expect("written");
    let ended = world.ukci(&["complexity", "run"]);
    assert_eq!(ended.code, Some(1), "{ended}");
    for part in ["6.12/llvm22/artifacts/demo-complexity/complexity.json", "expected schema `1`, found `3`", "1 ok"] {
        assert!(ended.to_string().contains(part), "{part}: {ended}");
    }
    fs::write(world.project.join("budget.yaml"), "programs: {a: {'6.12': {insn: 5}}}\n").expect("written");
    for command in [&["run"][..], &["complexity", "run"]] {
        let ended = world.ukci(command);
        assert!(ended.code == Some(2) && ended.to_string().contains("did you mean `insns`?"), "{ended}");
    }
    assert!(!world.project.join("target").exists());
}

#[test]
fn a_run_without_numbers_says_where_they_come_from() {
    let world = World::new();
    leave_run(&world, "run", &[]);
    world.ukci(&["complexity", "run"]).one_error(2, &["has no numbers of BPF programs", "hint: a test leaves"]);
}

/// Check that what is no object is refused before any kernel is fetched.
#[rstest]
#[case::absent("absent.o", None, "cannot read it: No such file")]
#[case::text("text.o", Some(b"#!/bin/sh\n".as_slice()), "not an ELF file: expected a BPF object, found something else")]
#[case::empty("empty.o", Some(b"".as_slice()), "found an empty file")]
#[case::cut("cut.o", Some(b"\x7fELF\x02\x01\x01".as_slice()), "a damaged or truncated ELF file")]
fn what_is_no_object_is_refused(#[case] name: &str, #[case] content: Option<&[u8]>, #[case] told: &str) {
    let world = World::new();
    if let Some(content) = content {
        fs::write(world.project.join(name), content).expect("written");
    }
    world.ukci(&["veristat", name]).one_error(2, &[name, told]);
    assert!(!Path::new(&world.project).join("target").exists());
    assert_eq!(world.archive.requests(), [""; 0]);
}

#[test]
fn an_object_for_another_machine_is_refused() {
    let world = World::new();
    fs::copy(env!("CARGO_BIN_EXE_ukci"), world.project.join("host.o")).expect("copied");
    world.ukci(&["veristat", "host.o"]).one_error(2, &["not a BPF object", "machine 247 (bpf), found machine 62"]);
    world.ukci(&["veristat", "host.o", "--llvm", "22"]).one_error(2, &["--llvm: objects are compiled already"]);
}

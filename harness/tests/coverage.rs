//! `ukci coverage` of a run directory. Its profiles and its object are real: those that `bpf-coverage-example 0 5` and
//! `bpf-coverage-example 0 5000` left when clang 22 had compiled it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const SOURCE: &str = "coverage/example/src/bpf/probe.bpf.c";

/// A copy of the fixture, to be changed.
fn run() -> TempDir {
    let copy = TempDir::new().unwrap();
    copy_tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/coverage"), copy.path());
    copy
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.as_ref().unwrap().file_name()));
        if from.is_dir() {
            fs::create_dir(&to).unwrap();
            copy_tree(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

fn coverage(run: &Path, policy: &str, args: &[&str]) -> Output {
    let file = run.join("policy.yaml");
    fs::write(&file, policy).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ukci"));
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    command.arg("coverage").arg(run).arg("--policy").arg(file).args(args).output().unwrap()
}

fn record(run: &Path, kernel: &str) -> PathBuf {
    run.join(format!("cells/x86_64/{kernel}/llvm22/coverage/kernel-probe/bpf/probe-100-1.json"))
}

/// Check the files that are written, and which line ran where: the value 5 only on one kernel, 5000 on the other.
#[test]
fn a_run_is_merged() {
    let run = run();
    let output = coverage(run.path(), "", &[]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("only on 6.1 (x86_64; 1 cell): 18\n"), "{printed}");
    let lcov = fs::read_to_string(run.path().join("coverage/ebpf.lcov")).unwrap();
    assert!(lcov.contains(&format!("SF:{SOURCE}\n")) && lcov.contains("DA:29,4\n"), "{lcov}");
    assert!(run.path().join("coverage/html/probe/index.html").is_file());
    let lines: serde_json::Value =
        serde_json::from_slice(&fs::read(run.path().join("coverage/lines.json")).unwrap()).unwrap();
    let file = lines["files"].as_array().unwrap().iter().find(|file| file["path"] == SOURCE).unwrap();
    let line = file["lines"].as_array().unwrap().iter().find(|line| line["line"] == 18).unwrap();
    assert_eq!(line["cells"], serde_json::json!(["x86_64/6.1/llvm22"]));
}

/// Check that what a guest left damaged is said to be missing, and that the rest still counts.
#[test]
fn damaged_files_are_no_data() {
    let run = run();
    let profile = record(run.path(), "6.1").with_extension("proftext");
    let text = fs::read_to_string(&profile).unwrap();
    fs::write(&profile, &text[..text.len() / 2]).unwrap();
    fs::write(record(run.path(), "6.1").with_file_name("probe-101-1.json"), "{").unwrap();
    let output = coverage(run.path(), "", &["--json"]);
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let reasons: Vec<&str> =
        summary["no_data"].as_array().unwrap().iter().map(|missing| missing["reason"].as_str().unwrap()).collect();
    assert!(reasons.iter().any(|reason| reason.contains("cut short")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("the record is damaged")), "{reasons:?}");
    assert!(summary["files"].as_array().unwrap().iter().any(|file| file["path"] == SOURCE));
}

/// Check the exit codes: 5 below a floor, 2 for a policy that does not fit the sources and where nothing was collected.
#[test]
fn exit_codes() {
    let run = run();
    let code = |policy: String| coverage(run.path(), &policy, &[]).status.code();
    assert_eq!(code(format!("floors: [{{file: {SOURCE}, percent: 50}}]")), Some(0));
    assert_eq!(code(format!("floors: [{{file: {SOURCE}, percent: 99}}]")), Some(5));
    assert_eq!(code(format!("floors: [{{file: {SOURCE}, program: gone, percent: 1}}]")), Some(5));
    assert_eq!(code("exclude: [{file: gone.bpf.c, lines: 1, reason: r}]".into()), Some(2));
    let empty = TempDir::new().unwrap();
    let output = coverage(empty.path(), "", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("hint: `ukci run --coverage` collects it"));
}

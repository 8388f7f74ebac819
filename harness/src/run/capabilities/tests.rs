//! What counts as a surprise, and what a report of capabilities may hold.

use super::*;
use crate::report::fixture;

const ROWS: &str = "\
- {expect: {execve: fentry, fds: storage}, reason: usual}
- {kernel: '5.10', expect: {fds: null}, reason: no storage}
";

/// The surprises in a cell in which `found` was reported.
fn surprises(found: &[(&str, &str)], kernel: &str, complete: bool) -> Vec<String> {
    let rows = Capabilities::parse(Path::new("c.yaml"), ROWS).unwrap();
    let cell = format!("x86_64/{kernel}/llvm22");
    let judged = Judged { arch: Arch::X86_64, kernel, cell: &cell, complete };
    judge(&map(found), Some(&rows), judged).iter().filter_map(Capability::surprise).collect()
}

fn map(found: &[(&str, &str)]) -> BTreeMap<String, String> {
    found.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

#[test]
fn what_is_as_expected_is_no_surprise() {
    assert_eq!(surprises(&[("execve", "fentry"), ("fds", "storage")], "6.1", true), [""; 0]);
    assert_eq!(surprises(&[("execve", "fentry")], "5.10", true), [""; 0]);
}

#[test]
fn lost_gained_changed_and_unknown_capabilities_are_surprises() {
    assert_eq!(
        surprises(&[("execve", "kprobe")], "6.1", true),
        [
            "capability `execve`: expected `fentry` (usual), found `kprobe`",
            "capability `fds`: expected `storage` (usual), found none"
        ]
    );
    assert_eq!(
        surprises(&[("execve", "fentry"), ("fds", "storage"), ("new", "x")], "5.10", true),
        [
            "capability `fds`: expected none (no storage), found `storage`",
            "capability `new`: expected none (no row of capabilities.yaml names it), found `x`"
        ]
    );
}

/// Check that a cell that ran only some of its tests lacks nothing, and is judged by what it has.
#[test]
fn what_did_not_run_lacks_nothing() {
    assert_eq!(surprises(&[], "6.1", false), [""; 0]);
    assert_eq!(
        surprises(&[("execve", "kprobe")], "6.1", false),
        ["capability `execve`: expected `fentry` (usual), found `kprobe`"]
    );
}

#[test]
fn without_expectations_nothing_counts() {
    let judged = Judged { arch: Arch::X86_64, kernel: "6.1", cell: "x86_64/6.1/llvm22", complete: true };
    let capabilities = judge(&map(&[("execve", "kprobe")]), None, judged);
    assert_eq!(capabilities[0].found.as_deref(), Some("kprobe"));
    assert_eq!(capabilities[0].surprise(), None);
}

/// Check which files are taken for reports, and that a bad one is told and changes nothing.
#[test]
fn reports_are_read_from_the_top_of_a_tests_artifacts() {
    let directory = tempfile::tempdir().unwrap();
    let mut test = fixture::passed("doctor");
    let mut leave = |path: &str, content: &str| {
        let place = directory.path().join(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, content).unwrap();
        test.artifacts.push(path.to_owned());
    };
    leave("artifacts/a/capabilities.json", r#"{"execve": "fentry", "fds": "storage"}"#);
    leave("attempt2/artifacts/b/capabilities.json", r#"{"execve": "kprobe"}"#);
    leave("artifacts/c/deeper/capabilities.json", r#"{"no": "report"}"#);
    leave("artifacts/d/other-capabilities.json", r#"{"no": "report"}"#);
    leave("artifacts/e/capabilities.json", r#"{"execve": {"nested": 1}}"#);
    leave("artifacts/f/capabilities.json", &" ".repeat(70_000));
    let (found, troubles) = found_in(directory.path(), &[test]);
    assert_eq!(found, map(&[("execve", "kprobe"), ("fds", "storage")]));
    assert_eq!(troubles[0], "doctor: capability `execve`: `kprobe`, but before it was `fentry`");
    assert!(
        troubles[1].starts_with(
            "doctor: cannot read its `capabilities.json`: expected a JSON object of strings: invalid type"
        )
    );
    assert_eq!(troubles[2], "doctor: cannot read its `capabilities.json`: expected at most 64 KiB");
    assert_eq!(troubles.len(), 3, "{troubles:?}");
}

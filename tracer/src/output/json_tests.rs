//! Tests of the JSON forms as documents.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use globset::{Glob, GlobSet};

use super::*;
use crate::event::Lost;
use crate::redact::Redact;
use crate::sample::{about, child, event, exec, exit, what};
use crate::show::Show;

fn summary(about: &About) -> Summary {
    let lost = Lost { execs: 0, others: 0, untracked: 1 };
    let status = Some(ExitStatus::from_raw(3 << 8));
    Summary { status, execs: 1, lost, backend: about.backend.clone(), fallback: None }
}

/// The document of an exec, a child and an exit; without a summary if it broke off.
fn document(layout: Layout, show: Show, whole: bool) -> String {
    let (mut out, about, mut json) = (Vec::new(), about(show), Json(layout));
    json.begin(&mut out, &about).expect("memory takes it");
    for (id, what) in (1..).zip([what(exec(7)), child(7, 8), exit(7, 0)]) {
        json.event(&mut out, &about, &event(id, what)).expect("memory takes it");
    }
    json.end(&mut out, &about, whole.then(|| summary(&about)).as_ref()).expect("memory takes it");
    String::from_utf8(out).expect("UTF-8")
}

fn kinds(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["event"].as_str().expect("a kind")).collect()
}

/// Check that both forms have the same records, first the metadata, last the summary.
#[test]
fn an_array_and_lines_have_the_same_records() {
    let array: Vec<Value> = serde_json::from_str(&document(Layout::Array, Show::records(), true)).expect("JSON");
    let lines = document(Layout::Lines, Show::records(), true);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(kinds(&array), ["metadata", "exec", "child", "exit", "summary"]);
    assert_eq!(array, lines);
}

/// Check that a trace that broke off is a document too.
#[test]
fn a_trace_without_an_end_is_a_document() {
    let array: Vec<Value> = serde_json::from_str(&document(Layout::Array, Show::records(), false)).expect("JSON");
    assert_eq!(kinds(&array), ["metadata", "exec", "child", "exit"]);
}

/// Check that children and exits can be hidden.
#[test]
fn kinds_can_be_hidden() {
    let show = Show::records().with(Item::Exits, false);
    let array: Vec<Value> = serde_json::from_str(&document(Layout::Array, show, true)).expect("JSON");
    assert_eq!(kinds(&array), ["metadata", "exec", "child", "summary"]);
}

/// Check what the metadata and the summary have: scripts rely on these names.
#[test]
fn metadata_and_summary_have_these_fields() {
    let about = about(Show::records());
    let mut metadata = metadata(&about);
    for name in ["tracer", "kernel", "arch"] {
        let value = metadata[name].take();
        assert!(value.as_str().is_some_and(|value| !value.is_empty()), "{name}");
    }
    let stdio = |number| json!({ "number": number, "path": "/dev/pts/1", "inode": 4 });
    let expected = json!({
        "event": "metadata", "schema": 1, "tracer": null, "kernel": null, "arch": null,
        "backend": { "name": "ptrace", "tier": null, "degraded": null }, "fallback": "needs root",
        "command": ["make"], "attached": [], "boot_ns": 1_000_000_000, "wall_ns": 1_000_000_000,
        "baseline": {
            "env": ["PATH=/usr/bin", "HOME=/root"], "cwd": "/home/me", "stdio": [stdio(0), stdio(1), stdio(2)],
        },
    });
    assert_eq!(metadata, expected);
    let expected = json!({
        "event": "summary", "execs": 1, "lost": { "execs": 0, "others": 0, "untracked": 1 }, "code": 3, "signal": null,
    });
    assert_eq!(summary_record(&summary(&about)), expected);
}

/// Check that the tracer's own environment is neither shown when environments are hidden, nor with secrets.
#[test]
fn the_baseline_keeps_secrets_too() {
    let hidden = metadata(&about(Show::only(&[Item::Argv])));
    assert_eq!(hidden["baseline"]["env"], Value::Null);
    let set = GlobSet::builder().add(Glob::new("HOME").expect("a glob")).build().expect("a set");
    let redacted = metadata(&About { redact: Redact(set), ..about(Show::records()) });
    assert_eq!(redacted["baseline"]["env"], json!(["PATH=/usr/bin", "HOME=<redacted>"]));
}

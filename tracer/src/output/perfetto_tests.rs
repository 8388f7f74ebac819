//! Tests of the Perfetto form by the rules of the Trace Event Format.

use std::collections::HashMap;

use super::*;
use crate::event::Lost;
use crate::sample::{about, child, event, exec, exit, text, what};
use crate::show::Show;

/// The document of these events, 1 ms apart.
fn document(events: Vec<What>) -> Vec<Value> {
    let (mut out, about, mut format) = (Vec::new(), about(Show::records()), Perfetto::default());
    format.begin(&mut out, &about).expect("memory takes it");
    for (id, what) in (1..).zip(events) {
        let mut event = event(id, what);
        event.time.boot += Duration::from_millis(id);
        format.event(&mut out, &about, &event).expect("memory takes it");
    }
    format.end(&mut out, &about, None).expect("memory takes it");
    assert!(format.open.is_empty());
    serde_json::from_slice(&out).expect("JSON")
}

/// Check the rules: an array of objects with phase, name, process and thread; times in microseconds that do not go back;
/// every end has a beginning on its track with the same name, and every beginning an end.
fn check(document: &[Value]) {
    let mut open: HashMap<u64, Vec<&str>> = HashMap::new();
    let mut last = 0.0;
    for entry in document {
        let phase = entry["ph"].as_str().expect("a phase");
        let name = entry["name"].as_str().expect("a name");
        let track = entry["tid"].as_u64().expect("a thread");
        assert!(entry["pid"].is_u64() && entry["args"].is_object(), "{entry}");
        if phase == "M" {
            assert_eq!(name, "process_name");
            assert!(entry["args"]["name"].is_string());
            continue;
        }
        let time = entry["ts"].as_f64().expect("a time");
        assert!(time >= last, "{entry}");
        last = time;
        match phase {
            "B" => open.entry(track).or_default().push(name),
            "E" => assert_eq!(open.entry(track).or_default().pop(), Some(name), "{entry}"),
            "i" => assert!(["g", "t"].contains(&entry["s"].as_str().expect("a scope"))),
            other => panic!("the phase `{other}` is not one of ours"),
        }
    }
    assert!(open.values().all(Vec::is_empty), "{open:?}");
}

fn slices(document: &[Value]) -> Vec<(&str, &str, u64, f64)> {
    let slice = |entry: &Value| ["B", "E"].contains(&entry["ph"].as_str().unwrap_or_default());
    document
        .iter()
        .filter(|entry| slice(entry))
        .map(|entry| {
            let name = entry["name"].as_str().expect("a name");
            let phase = entry["ph"].as_str().expect("a phase");
            (phase, name, entry["pid"].as_u64().expect("a process"), entry["ts"].as_f64().expect("a time"))
        })
        .collect()
}

fn run(tgid: u32, path: &str, errno: i32) -> What {
    let mut exec = exec(tgid);
    exec.filename = Ok(text(path));
    exec.errno = errno;
    what(exec)
}

/// Check that a program lasts from its exec to the next, and a fork until its first.
#[test]
fn a_program_is_a_slice_from_exec_to_exec_or_exit() {
    let document = document(vec![
        run(7, "/bin/sh", 0),
        child(7, 8),
        run(8, "/bin/no", 2),
        run(8, "/bin/env", 0),
        run(8, "/bin/ls", 0),
        exit(8, 3),
    ]);
    check(&document);
    let expected = [
        ("B", "sh", 7, 1_501_000.0),
        ("B", "fork of sh", 8, 1_502_000.0),
        ("E", "fork of sh", 8, 1_504_000.0),
        ("B", "env", 8, 1_504_000.0),
        ("E", "env", 8, 1_505_000.0),
        ("B", "ls", 8, 1_505_000.0),
        ("E", "ls", 8, 1_506_000.0),
        ("E", "sh", 7, 1_506_000.0),
    ];
    assert_eq!(slices(&document), expected);
    let failed = document.iter().find(|entry| entry["name"] == "ENOENT: no").expect("the failed exec");
    assert_eq!((failed["pid"].as_u64(), failed["args"]["error"].as_str()), (Some(8), Some("ENOENT")));
    let end = document.iter().find(|entry| entry["ph"] == "E" && entry["name"] == "ls").expect("the end");
    assert_eq!(end["args"]["code"], 3);
}

/// Check that lost ends, ends without a beginning, ids that come again, losses and warnings leave a valid document.
#[test]
fn odd_traces_are_valid() {
    let lost = What::Lost(Lost { execs: 1, others: 1, untracked: 0 });
    check(&document(vec![
        exit(5, 0),
        run(5, "/bin/a", 0),
        child(9, 5),
        child(5, 6),
        child(6, 7),
        lost,
        What::Warning("w".into()),
        run(5, "b", 0),
    ]));
    check(&document(Vec::new()));
}

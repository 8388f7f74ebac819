//! The files of `tracer collect`.

use serde_json::{Value, json};

use crate::common::{collect, execs, output, text};

/// Check that a trace has the execs in order, whole, with their parents, and that the status is the command's.
#[test]
fn a_trace_tells_who_executed_what() {
    let (records, status) = collect(&[], "/bin/true 'a b'; exec /bin/sh -c 'exit 3'");
    assert_eq!(status, Some(3));
    let execs = execs(&records);
    let [first, child, second] = execs[..] else { panic!("{records:#?}") };
    assert_eq!(child["argv"], json!(["/bin/true", "a b"]));
    assert_eq!((&first["parent"], &first["call"]), (&Value::Null, &json!("execve")));
    assert_eq!(child["parent"], json!({ "id": first["id"], "relation": "child" }));
    assert_eq!(second["parent"], json!({ "id": first["id"], "relation": "same" }));
    assert_eq!((&second["tgid"], &child["ppid"]), (&first["tgid"], &first["tgid"]));
    assert_eq!(first["env_diff"]["added"], json!([]));
    let last = records.last().expect("a summary");
    assert_eq!((&last["event"], &last["code"], &last["execs"]), (&json!("summary"), &json!(3), &json!(3)));
    let exits: Vec<_> = records.iter().filter(|record| record["event"] == "exit").map(|exit| &exit["code"]).collect();
    assert_eq!(exits, [0, 3]);
}

/// Check that times are in order and lie between the start and now.
#[test]
fn times_are_after_the_start() {
    let (records, _) = collect(&[], "/bin/true");
    let times: Vec<_> = records.iter().filter_map(|record| record["wall_ns"].as_i64()).collect();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    assert!(times.is_sorted() && times.len() == records.len() - 1, "{times:?}");
    assert!(times.last().is_some_and(|last| u128::from(last.unsigned_abs()) <= now.as_nanos()));
}

/// Check that a secret is nowhere in the file, and its name is.
#[test]
fn a_redacted_value_is_nowhere_in_the_file() {
    let script = "unset -v X; MY_TOKEN=$(printf 'hun%s' ter2) /bin/true";
    let (records, _) = collect(&["--redact", "*TOKEN*"], script);
    let file = json!(records).to_string();
    assert!(!file.contains("hunter2") && file.contains("MY_TOKEN=<redacted>"), "{file}");
    let (records, _) = collect(&[], script);
    assert!(json!(records).to_string().contains("hunter2"));
}

/// Check that what is hidden is neither collected nor shown, and says so.
#[test]
fn what_is_hidden_is_not_asked_for() {
    let (records, _) = collect(&["--hide-env", "--hide-env-diff", "--hide-fds", "--hide-exits"], "/bin/true");
    let exec = execs(&records)[0];
    assert_eq!((&exec["env"], &exec["absent"]["env"]), (&Value::Null, &json!("not_asked")));
    assert!(exec["fds"].is_null() && exec["fd_diff"].is_array());
    assert_eq!(records[0]["baseline"]["env"], Value::Null);
    assert!(records.iter().all(|record| record["event"] != "exit"));
}

/// Check that lines are records, each of them whole.
#[test]
fn lines_are_records() {
    let args = ["collect", "--backend", "ptrace", "-f", "jsonl", "-o", "-", "--", "/bin/sh", "-c", "exit 0"];
    let output = output(&args);
    // The test harness prints words of its own before.
    let (_, lines) = text(&output.stdout).split_at(text(&output.stdout).find('{').expect("an object"));
    let records: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let kinds: Vec<_> = records.iter().map(|record| record["event"].as_str().expect("a kind")).collect();
    assert_eq!(kinds, ["metadata", "exec", "exit", "summary"]);
}

/// Check that the Perfetto form has a slice for each program, with the record as its arguments.
#[test]
fn perfetto_has_a_slice_per_program() {
    let (entries, _) = collect(&["-f", "perfetto"], "/bin/true; exit 0");
    let begun: Vec<_> = entries.iter().filter(|entry| entry["ph"] == "B").collect();
    let names: Vec<_> = begun.iter().map(|entry| entry["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["sh", "fork of sh", "true"]);
    assert_eq!(begun[2]["args"]["argv"], json!(["/bin/true"]));
    assert_eq!(entries.iter().filter(|entry| entry["ph"] == "E").count(), 3);
}

//! Exit statuses and signals.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;
use serde_json::Value;

use crate::common::{output, text, tracer};

/// Check the status of a command that ends, that is killed, and that cannot be started.
#[rstest]
#[case::code(&["/bin/sh", "-c", "exit 42"], 42)]
#[case::signal(&["/bin/sh", "-c", "kill -KILL $$"], 137)]
#[case::not_there(&["/no/such/command"], 127)]
#[case::not_in_path(&["no-such-command-anywhere"], 127)]
fn the_status_is_the_commands(#[case] command: &[&str], #[case] expected: i32) {
    let output = output(&[&["log", "--backend", "ptrace", "--"], command].concat());
    assert_eq!(output.status.code(), Some(expected), "{}", text(&output.stderr));
}

/// Check that a file that may not be executed is told from one that is not there.
#[test]
fn a_file_that_is_no_program_is_status_126() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    fs::write(&file, "text").expect("written");
    fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).expect("chmod");
    let output = output(&["log", "--backend", "ptrace", "--", file.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(126), "{}", text(&output.stderr));
    assert!(text(&output.stderr).starts_with("error: cannot start "), "{}", text(&output.stderr));
}

/// `tracer collect` of a script that has printed `ready`.
fn started(path: &std::path::Path, script: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let args = ["collect", "--backend", "ptrace", "-o", path.to_str().expect("UTF-8"), "--", "/bin/sh", "-c", script];
    let mut child = tracer(&args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.ends_with("ready\n") {
        assert!(out.read_line(&mut line).expect("readable") > 0, "it ended before it was ready: {line}");
    }
    (child, out)
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).expect("it is running");
}

fn last_record(path: &std::path::Path) -> Value {
    let trace = fs::read_to_string(path).expect("a trace");
    let records: Vec<Value> = serde_json::from_str(&trace).expect("JSON");
    records.last().expect("a record").clone()
}

/// Check that Ctrl-C is left to the command: it goes on, and the trace has its end.
#[test]
fn sigint_is_left_to_the_command() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("trace");
    let (mut child, _out) = started(&path, "echo ready; read line; exit 4");
    signal(&child, Signal::SIGINT);
    child.stdin.take().expect("a pipe").write_all(b"\n").expect("it is running");
    assert_eq!(child.wait().expect("it ends").code(), Some(4));
    assert_eq!(last_record(&path)["code"], 4);
}

/// Check that SIGTERM is passed on to the command, and that the trace has the end that it then takes.
#[test]
fn sigterm_is_passed_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("trace");
    let script = "trap 'kill -KILL $!; exit 5' TERM; sleep 1000 & echo ready; wait";
    let (mut child, _out) = started(&path, script);
    signal(&child, Signal::SIGTERM);
    assert_eq!(child.wait().expect("it ends").code(), Some(5));
    assert_eq!(last_record(&path)["code"], 5);
}

/// Check that processes which run already can be attached to, and that a signal ends that in order, without ending them.
#[test]
#[ignore = "root: attaches to a process that is not its child"]
fn a_running_process_is_attached_to() {
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", "read line; /bin/true; read line; exit 6"]).stdin(Stdio::piped());
    let mut shell = shell.spawn().expect("starts");
    let pid = shell.id().to_string();
    let mut child = tracer(&["collect", "--backend", "ptrace", "-f", "jsonl", "-o", "-", "-p", &pid]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut wait_for = |part: &str| {
        lines.find_map(|line| line.ok().filter(|line| line.contains(part))).unwrap_or_else(|| panic!("no {part}"))
    };
    wait_for(r#""event":"metadata""#);
    let stdin = shell.stdin.as_mut().expect("a pipe");
    stdin.write_all(b"\n").expect("it is running");
    assert!(wait_for(r#""event":"exec""#).contains("/bin/true"));
    wait_for(r#""event":"exit""#);
    signal(&child, Signal::SIGINT);
    wait_for(r#""event":"summary""#);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("tracer: 1 execs by ptrace"), "{}", text(&output.stderr));
    shell.stdin.as_mut().expect("a pipe").write_all(b"\n").expect("it is running");
    assert_eq!(shell.wait().expect("it ends").code(), Some(6));
}

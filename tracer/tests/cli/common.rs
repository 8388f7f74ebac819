//! `tracer` for the tests: this executable again, with the arguments in an environment variable. So the tests need no
//! second executable, and run in a guest too.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};

use serde_json::Value;

const ARGS: &str = "TRACER_TEST_ARGS";
const SEPARATOR: char = '\u{1f}';

/// Not a test of its own: `tracer` for the other tests.
#[test]
#[expect(clippy::exit, reason = "the exit status is what the other tests look at")]
fn the_command_line_runs_when_asked_to() {
    if let Ok(args) = std::env::var(ARGS) {
        // SAFETY: the test harness runs this one test, on one thread beside its own, which waits for it.
        unsafe { std::env::remove_var(ARGS) };
        let args = std::iter::once("tracer").chain(args.split(SEPARATOR).filter(|arg| !arg.is_empty()));
        let code = tracer::cli::main(args.map(Into::into));
        // `ExitCode` shows its number only to the operating system.
        let number = (0..=u8::MAX).find(|number| code == ExitCode::from(*number)).expect("a status has 8 bits");
        std::process::exit(number.into());
    }
}

/// This executable.
pub(crate) fn self_exe() -> PathBuf {
    std::env::current_exe().expect("this executable has a path")
}

/// `tracer` with these arguments; `exe` is this executable or a copy of it.
pub(crate) fn tracer_at(exe: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(exe);
    command.args(["--exact", "common::the_command_line_runs_when_asked_to", "--nocapture", "--test-threads=1"]);
    command.env(ARGS, args.join(&SEPARATOR.to_string())).stdin(Stdio::null());
    command
}

/// `tracer` with these arguments.
pub(crate) fn tracer(args: &[&str]) -> Command {
    tracer_at(&self_exe(), args)
}

/// What `tracer` printed, when it has ended.
#[track_caller]
pub(crate) fn output(args: &[&str]) -> Output {
    tracer(args).output().expect("this executable starts")
}

/// The text, which is UTF-8.
#[track_caller]
pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// A trace as JSON of `/bin/sh -c SCRIPT`, with these options, and the status.
#[track_caller]
pub(crate) fn collect(options: &[&str], script: &str) -> (Vec<Value>, Option<i32>) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("trace");
    let mut args = vec!["collect", "--backend", "ptrace", "-o", path.to_str().expect("UTF-8")];
    args.extend(options);
    args.extend(["--", "/bin/sh", "-c", script]);
    let output = output(&args);
    let trace = std::fs::read_to_string(&path).unwrap_or_else(|err| panic!("{err}: {}", text(&output.stderr)));
    (serde_json::from_str(&trace).expect("JSON"), output.status.code())
}

/// The records of execs.
pub(crate) fn execs(records: &[Value]) -> Vec<&Value> {
    records.iter().filter(|record| record["event"] == "exec").collect()
}

//! The command line, run as `tracer` would: this executable again, with the arguments in an environment variable. So
//! the tests need no second executable, and run in a guest too.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};

use rstest::rstest;
use serial_test::serial;

use crate::common::self_exe;

const ARGS: &str = "TRACER_TEST_ARGS";
const SEPARATOR: char = '\u{1f}';

/// `tracer` with these arguments; `exe` is this executable or a copy of it.
fn tracer(exe: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(exe);
    command.args(["--exact", "cli::the_command_line_runs_when_asked_to", "--nocapture"]);
    command.env(ARGS, args.join(&SEPARATOR.to_string()));
    command
}

#[track_caller]
fn output(args: &[&str]) -> Output {
    tracer(&self_exe(), args).stdin(Stdio::null()).output().expect("this executable starts")
}

/// Not a test of its own: `tracer` for the other tests.
#[test]
#[expect(clippy::exit, reason = "the exit status is what the other tests look at")]
fn the_command_line_runs_when_asked_to() {
    if let Ok(args) = std::env::var(ARGS) {
        let args = std::iter::once("tracer").chain(args.split(SEPARATOR).filter(|arg| !arg.is_empty()));
        let code = tracer::cli::main(args.map(Into::into));
        // `ExitCode` shows its number only to the operating system.
        let number = (0..=u8::MAX).find(|number| code == ExitCode::from(*number)).expect("a status has 8 bits");
        std::process::exit(number.into());
    }
}

/// The lines of the trace, parsed.
#[track_caller]
fn json_lines(path: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).expect("the trace was written");
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// Check that wrong usage is status 2, on stderr, with `error: ` first.
#[rstest]
#[case::unknown_option(&["log", "--nope"])]
#[case::unknown_command(&["nope"])]
#[case::command_without_dashes(&["log", "true"])]
#[case::ring_too_large(&["log", "--ring-mib", "100000"])]
fn wrong_usage_is_status_2(#[case] args: &[&str]) {
    let output = output(args);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stderr.starts_with(b"error: "), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Check that the help has examples and the exit statuses.
#[test]
fn the_help_has_examples() {
    let output = output(&["log", "--help"]);
    let help = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    assert!(help.contains("Examples:") && help.contains("tracer log -- make") && help.contains("127"), "{help}");
}

/// Check that a file that cannot be written is an error before anything is loaded: this test needs no root.
#[test]
fn an_output_that_cannot_be_written_is_named() {
    let output = output(&["log", "-o", "/no/such/directory/file", "--", "/bin/true"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.starts_with("error: cannot create `/no/such/directory/file`: "), "{stderr}");
}

/// Check that each line of `--json` is an object, in order, with the whole argv, and that the status is the command's.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn json_lines_have_the_execs_and_the_status_is_the_commands() {
    let dir = tempfile::tempdir().expect("a directory");
    let trace = dir.path().join("trace");
    let script = "/bin/true 'a b'; /bin/true \"$(printf '\\377')\"; exit 3";
    let path = trace.to_str().expect("a temporary path is UTF-8");
    let traced = output(&["log", "--json", "-o", path, "--", "/bin/sh", "-c", script]);
    assert_eq!(traced.status.code(), Some(3), "{}", String::from_utf8_lossy(&traced.stderr));
    let lines = json_lines(&trace);
    let execs: Vec<_> = lines.iter().filter(|line| line["filename"] == "/bin/true").collect();
    assert_eq!(execs.len(), 2, "{lines:#?}");
    assert_eq!(lines[0]["argv"], serde_json::json!(["/bin/sh", "-c", script]));
    assert_eq!(execs[0]["argv"], serde_json::json!(["/bin/true", "a b"]));
    assert_eq!(execs[1]["argv"], serde_json::json!(["/bin/true", { "hex": "ff" }]));
    assert_eq!(execs[0]["ppid"], lines[0]["pid"]);
}

/// Check that a user without privileges is told what is lacking. Runs this executable as nobody.
#[test]
#[ignore = "root: changes the user"]
#[serial]
fn a_user_without_privileges_is_told_what_is_lacking() {
    // A copy, because the original may lie where nobody cannot read.
    let dir = tempfile::tempdir().expect("a directory");
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
    let exe = dir.path().join("tests");
    fs::copy(self_exe(), &exe).expect("copied");
    let output = tracer(&exe, &["log", "--", "/bin/true"]).uid(65_534).gid(65_534).output().expect("starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("hint: run it as root, or with CAP_BPF and CAP_PERFMON"), "{stderr}");
}

/// Check that a signal ends a system-wide trace in order: everything is written, and the summary is on stderr.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn a_signal_ends_a_system_wide_trace_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let trace = dir.path().join("trace");
    let mut command = tracer(&self_exe(), &["log", "--json", "-o", trace.to_str().expect("UTF-8")]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    // The trace is on as soon as it has one of our execs in it; each round makes one.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while fs::metadata(&trace).map_or(0, |file| file.len()) == 0 {
        assert!(std::time::Instant::now() < deadline, "no exec in the trace after 60 s");
        Command::new("/bin/true").status().expect("starts");
    }
    let kill = Command::new("/bin/sh").args(["-c", &format!("kill -TERM {}", child.id())]).status();
    assert!(kill.expect("starts").success());
    let output = child.wait_with_output().expect("ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.status.signal()), (Some(0), None), "{stderr}");
    assert!(stderr.contains(" execs, 0 lost, 0 processes not followed"), "{stderr}");
    let lines = json_lines(&trace);
    let last = lines.last().expect("at least one exec");
    assert!(last["argv"].to_string().contains("kill -"), "{last}");
}

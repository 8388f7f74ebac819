//! The command line, run as `tracer` would: this executable again, with the arguments in an environment variable. So
//! the tests need no second executable, and run in a guest too.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};

use rstest::rstest;
use serial_test::serial;

const ARGS: &str = "TRACER_TEST_ARGS";
const SEPARATOR: char = '\u{1f}';

/// `tracer` with these arguments.
fn tracer(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("/proc is mounted"));
    command.args(["--exact", "cli::the_command_line_runs_when_asked_to", "--nocapture"]);
    command.env(ARGS, args.join(&SEPARATOR.to_string()));
    command
}

#[track_caller]
fn output(args: &[&str]) -> Output {
    tracer(args).stdin(Stdio::null()).output().expect("this executable starts")
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

/// Check that the status is the command's, or 128 and its signal.
#[rstest]
#[case::success("exit 0", 0)]
#[case::failure("exit 3", 3)]
#[case::largest("exit 255", 255)]
#[case::signal("kill -TERM $$", 143)]
#[case::kill("kill -KILL $$", 137)]
#[ignore = "root: loads BPF programs"]
#[serial]
fn the_status_is_that_of_the_command(#[case] script: &str, #[case] expected: i32) {
    let output = output(&["log", "-o", "/dev/null", "--", "/bin/sh", "-c", script]);
    assert_eq!(output.status.code(), Some(expected), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Check that each line of `--json` is an object, in order, and has the whole argv.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn json_lines_have_the_execs_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let trace = dir.path().join("trace");
    let script = "/bin/true 'a b'; /bin/true \"$(printf '\\377')\"; :";
    let path = trace.to_str().expect("a temporary path is UTF-8");
    assert!(output(&["log", "--json", "-o", path, "--", "/bin/sh", "-c", script]).status.success());
    let lines = json_lines(&trace);
    let execs: Vec<_> = lines.iter().filter(|line| line["filename"] == "/bin/true").collect();
    assert_eq!(execs.len(), 2, "{lines:#?}");
    assert_eq!(lines[0]["argv"], serde_json::json!(["/bin/sh", "-c", script]));
    assert_eq!(execs[0]["argv"], serde_json::json!(["/bin/true", "a b"]));
    assert_eq!(execs[1]["argv"], serde_json::json!(["/bin/true", { "hex": "ff" }]));
    assert_eq!(execs[0]["ppid"], lines[0]["pid"]);
}

/// Check that a command that does not exist is status 127, as in a shell.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn a_command_that_does_not_exist_is_status_127() {
    let output = output(&["log", "--", "/no/such/program"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(127));
    assert!(stderr.starts_with("error: cannot start `/no/such/program`: "), "{stderr}");
}

/// Check that a signal ends a system-wide trace in order: everything is written, and the summary is on stderr.
#[rstest]
#[case::interrupt("INT")]
#[case::terminate("TERM")]
#[ignore = "root: loads BPF programs"]
#[serial]
fn a_signal_ends_a_system_wide_trace_in_order(#[case] signal: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let trace = dir.path().join("trace");
    let mut command = tracer(&["log", "--json", "-o", trace.to_str().expect("UTF-8")]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    // The trace is on as soon as it has one of our execs in it; each round makes one.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while fs::metadata(&trace).map_or(0, |file| file.len()) == 0 {
        assert!(std::time::Instant::now() < deadline, "no exec in the trace after 60 s");
        Command::new("/bin/true").status().expect("starts");
    }
    let kill = Command::new("/bin/sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status();
    assert!(kill.expect("starts").success());
    let output = child.wait_with_output().expect("ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.status.signal()), (Some(0), None), "{stderr}");
    assert!(stderr.contains(" execs, 0 lost, 0 processes not followed"), "{stderr}");
    let lines = json_lines(&trace);
    let last = lines.last().expect("at least one exec");
    assert!(last["argv"].to_string().contains("kill -"), "{last}");
}

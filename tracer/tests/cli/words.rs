//! What is printed without tracing anything: help, errors of usage, completions, man pages, the doctor.

use rstest::rstest;

use crate::common::{output, text};

/// Check that wrong usage is status 2, on stderr, with `error: ` first.
#[rstest]
#[case::unknown_option(&["log", "--nope"])]
#[case::unknown_command(&["nope"])]
#[case::command_without_dashes(&["log", "true"])]
#[case::ring_too_large(&["log", "--ring-mib", "100000"])]
#[case::collect_to_nowhere(&["collect"])]
fn wrong_usage_is_status_2(#[case] args: &[&str]) {
    let output = output(args);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stderr.starts_with(b"error: "), "{}", text(&output.stderr));
}

/// Check that the help has examples and the exit statuses.
#[test]
fn the_help_has_examples() {
    let output = output(&["log", "--help"]);
    let help = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    assert!(help.contains("Examples:") && help.contains("tracer log -- make") && help.contains("127"), "{help}");
}

/// Check that who collects is warned of what the file will hold.
#[test]
fn the_help_warns_of_secrets() {
    let output = output(&["collect", "--help"]);
    assert!(text(&output.stdout).contains("WARNING: what is collected holds environments"));
}

/// Check that a file that cannot be written is an error before anything is started.
#[test]
fn an_output_that_cannot_be_written_is_named() {
    let output = output(&["log", "-o", "/no/such/directory/file", "--", "/bin/true"]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.starts_with("error: cannot create `/no/such/directory/file`: "), "{stderr}");
}

/// Check that completions and man pages are printed, each for what was asked.
#[rstest]
#[case::bash(&["completions", "bash"], "complete -F _tracer")]
#[case::zsh(&["completions", "zsh"], "#compdef tracer")]
#[case::man(&["man"], ".TH tracer 1")]
#[case::man_of_a_command(&["man", "log"], ".TH tracer-log 1")]
fn generated_pages_are_printed(#[case] args: &[&str], #[case] expected: &str) {
    let output = output(args);
    assert!(output.status.success() && text(&output.stdout).contains(expected), "{}", text(&output.stdout));
}

/// Check that there is no man page of what is no command.
#[test]
fn a_page_that_is_not_there_is_named() {
    let output = output(&["man", "nope"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), "error: there is no command `nope`\n"));
}

/// Check that the doctor's two forms agree, and that ptrace works wherever these tests do.
#[test]
fn the_doctor_has_tried_what_it_says() {
    let (lines, json) = (output(&["doctor"]), output(&["doctor", "--json"]));
    assert_eq!((lines.status.code(), json.status.code()), (Some(0), Some(0)));
    // The test harness prints a line of its own before.
    let report = &text(&json.stdout)[text(&json.stdout).find('{').expect("an object")..];
    let report: serde_json::Value = serde_json::from_str(report).expect("JSON");
    assert_eq!(report["backends"]["ptrace"]["works"], true);
    assert!(text(&lines.stdout).lines().any(|line| line == "ptrace   works"), "{}", text(&lines.stdout));
    for backend in ["ebpf", "seccomp", "ptrace"] {
        let backend = &report["backends"][backend];
        assert_eq!(backend["works"] == true, backend["error"].is_null(), "{report}");
    }
}

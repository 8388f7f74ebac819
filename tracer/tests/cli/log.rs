//! The text of `tracer log`.

use rstest::rstest;

use crate::common::{output, text, tracer};

/// The lines of a log of a script, without the process ids, and the command's own output.
fn log(options: &[&str], script: &str) -> (Vec<String>, String) {
    let mut args = vec!["log", "--backend", "ptrace"];
    args.extend(options);
    args.extend(["--", "/bin/sh", "-c", script]);
    let output = output(&args);
    let lines = text(&output.stderr)
        .lines()
        .map(|line| line.trim_start_matches(|char: char| char == ' ' || char.is_ascii_digit()));
    (lines.map(str::to_owned).collect(), text(&output.stdout).to_owned())
}

/// Check the lines of a small script with every way of ptrace, and that the command's output is left alone.
#[rstest]
#[case::ptrace("--backend=ptrace", "--seccomp=off")]
#[case::seccomp("--backend=seccomp", "--seccomp=on")]
fn a_log_has_a_line_per_exec(#[case] backend: &str, #[case] seccomp: &str) {
    let script = "/bin/true 'a b'; /no/such; echo done";
    let args = ["log", backend, seccomp, "--", "/bin/sh", "-c", script];
    let output = output(&args);
    let stderr = text(&output.stderr);
    let lines: Vec<_> = stderr.lines().filter(|line| !line.starts_with("/bin/sh:")).collect();
    assert!(lines[0].ends_with(r#" /bin/sh -c '/bin/true '\''a b'\''; /no/such; echo done'"#), "{stderr}");
    assert!(lines[1].ends_with(" sh              /bin/true 'a b'"), "{stderr}");
    assert!(stderr.contains(" sh              /no/such # ENOENT\n"), "{stderr}");
    assert!(text(&output.stdout).ends_with("done\n"));
}

/// Check that a line with everything can be told from the output of a run by hand.
#[test]
fn everything_can_be_shown() {
    let items = ["cmdline", "env", "env-diff", "fds", "fd-diff", "cwd", "interpreter", "creds", "cgroup"];
    let options: Vec<_> = items.iter().map(|item| format!("--show-{item}")).collect();
    let options: Vec<_> = options.iter().map(String::as_str).chain(["--show-exits", "--show-children"]).collect();
    let (lines, _) = log(&options, "cd /; MARK=1 /bin/true 2>&-; exit 7");
    let line = lines.iter().find(|line| line.contains("/bin/true) #")).expect("the exec");
    for part in ["(cd -- / && env ", " MARK=1 ", "# cwd /; env ", "; env diff +MARK=1", " 0<", "; uid "] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let fds = line.split("; fds ").nth(1).expect("the open files");
    assert!(!fds.contains(" 2<") && !fds.contains(" 2>"), "{line}");
    assert!(lines.iter().any(|line| line.starts_with("+ child ")), "{lines:?}");
    assert!(lines.iter().any(|line| line == "- exit 7"), "{lines:?}");
}

/// Check that filters keep back execs, and only those.
#[rstest]
#[case::path(&["--path", "*/tr*"], 1)]
#[case::failed(&["-Z"], 1)]
#[case::successful(&["-z"], 2)]
#[case::comm(&["--comm", "sh"], 2)]
#[case::all_parts(&["--comm", "sh", "-z"], 1)]
fn filters_keep_execs_back(#[case] options: &[&str], #[case] expected: usize) {
    let (lines, _) = log(options, "/bin/true; /no/such 2>/dev/null; exit 0");
    assert_eq!(lines.iter().filter(|line| !line.starts_with("/bin/sh")).count(), expected, "{lines:?}");
}

/// Check that colours are there if they are forced, and not in a file or a pipe.
#[test]
fn colours_are_for_terminals() {
    let log = |options: &[&str]| {
        let args: Vec<_> = [&["log", "--backend", "ptrace"], options, &["--", "/bin/true"]].concat();
        tracer(&args).env("TERM", "xterm").output().expect("starts").stderr
    };
    assert!(!log(&[]).contains(&0x1b));
    assert!(log(&["--color", "always"]).contains(&0x1b));
}

/// Check that a reader that has gone does not disturb the command: the log goes to stderr, which nobody reads.
#[test]
fn a_reader_that_has_gone_is_no_error() {
    let script = "for i in 1 2 3; do /bin/true; done; exit 3";
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = tracer(&["log", "--backend", "ptrace", "--", "/bin/sh", "-c", script]);
    assert_eq!(command.stderr(writer).status().expect("starts").code(), Some(3));
}

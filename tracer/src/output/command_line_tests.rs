//! Tests of the command lines: what they look like, and that shells run what was run.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process;

use globset::{Glob, GlobSet};
use rstest::rstest;

use super::*;
use crate::event::{Absent, Cut};
use crate::sample::{bare_exec, exec, fd, list, text};

fn program_with(filename: &str, argv: &[&str]) -> Exec {
    let mut exec = exec(7);
    exec.filename = Ok(text(filename));
    exec.argv = Ok(list(argv));
    exec
}

/// The baseline of the sample, with another environment.
fn baseline(env: &[&str]) -> Baseline {
    Baseline { env: list(env).items, cwd: Some(b"/home/me".to_vec()), stdio: Vec::new() }
}

fn in_full(exec: &Exec, env: &[&str]) -> String {
    full(exec, &baseline(env), &Redact::default())
}

/// Check the program's word, and when `argv[0]` has to be told.
#[rstest]
#[case::searched_in_path("/bin/ls", &["ls", "-l"], "/bin/ls -l")]
#[case::by_its_path("/bin/ls", &["/bin/ls"], "/bin/ls")]
#[case::login_shell("/bin/bash", &["-bash", "x y"], "(exec -a -bash /bin/bash 'x y')")]
#[case::no_path_search("ls", &["ls"], "./ls")]
#[case::assignment("./a=b", &["./a=b"], "'./a=b'")]
#[case::no_arguments("/bin/ls", &[], "/bin/ls")]
#[case::empty("/bin/ls", &[""], "(exec -a '' /bin/ls)")]
fn short_lines(#[case] filename: &str, #[case] argv: &[&str], #[case] expected: &str) {
    assert_eq!(short(&program_with(filename, argv)), expected);
}

/// Check that a program by descriptor is shown by its path, if that is known, and that no path is made up.
#[test]
fn the_directory_of_execveat_is_put_in_front() {
    let mut exec = program_with("true", &["true"]);
    exec.call = Call::Execveat { dirfd: 5, flags: 0 };
    exec.fds.as_mut().expect("the sample has them").items.push(fd(5, "/usr/bin"));
    assert_eq!(short(&exec), "/usr/bin/true");
    exec.filename = Ok(text(""));
    assert_eq!(short(&exec), "(exec -a true /usr/bin)");
    exec.call = Call::Execveat { dirfd: -100, flags: 0 };
    exec.filename = Ok(text("true"));
    assert_eq!(short(&exec), "./true");
}

/// Check that an exec of which nothing could be read still has a line.
#[test]
fn nothing_known_is_a_question_mark() {
    assert_eq!(short(&bare_exec(7, Absent::Gone)), "'?'");
    assert_eq!(in_full(&bare_exec(7, Absent::Gone), &["A=1"]), "'?'");
}

/// Check what is put before a program whose environment is PATH=/usr/bin HOME=/root.
#[rstest]
#[case::same(&["PATH=/usr/bin", "HOME=/root"], "")]
#[case::added(&["PATH=/usr/bin"], "env HOME=/root ")]
#[case::changed(&["PATH=/usr/bin", "HOME=/"], "env HOME=/root ")]
#[case::removed(&["PATH=/usr/bin", "HOME=/root", "-u=x"], "env -u -u ")]
#[case::anew(&["A=1", "B=2"], "env -i PATH=/usr/bin HOME=/root ")]
fn the_environment_comes_by_env(#[case] baseline: &[&str], #[case] expected: &str) {
    assert_eq!(in_full(&exec(7), baseline), format!("{expected}/usr/bin/true 'a b'"));
}

/// Check that a variable with the name of an option is not one, that a value can be kept out, and that a cut
/// environment removes nothing.
#[test]
fn special_environments() {
    let mut exec = program_with("/bin/ls", &["ls"]);
    exec.env = Ok(list(&["-S=touch /tmp/x", "TOKEN=s"]));
    assert_eq!(in_full(&exec, &["TOKEN=s"]), "env -- '-S=touch /tmp/x' /bin/ls");
    let redact = Redact(GlobSet::builder().add(Glob::new("TOKEN").expect("a glob")).build().expect("a set"));
    assert_eq!(full(&exec, &baseline(&["-S=touch /tmp/x"]), &redact), "env 'TOKEN=<redacted>' /bin/ls");
    exec.env.as_mut().expect("it was just set").cut = Some(Cut::TooLong);
    assert_eq!(in_full(&exec, &["A=1", "B=1", "C=1"]), "env -- '-S=touch /tmp/x' /bin/ls");
}

/// Check that the working directory is told if it is not the tracer's.
#[test]
fn another_directory_comes_by_cd() {
    let mut exec = program_with("/bin/ls", &["ls"]);
    exec.cwd = Ok(text("/a b"));
    assert_eq!(in_full(&exec, &["PATH=/usr/bin", "HOME=/root"]), "(cd -- '/a b' && /bin/ls)");
    exec.env = Ok(list(&["PWD=/a b", "OLDPWD=/home/me", "_=/bin/ls"]));
    assert_eq!(in_full(&exec, &[]), "(cd -- '/a b' && /bin/ls)", "the shell sets these");
    exec.cwd = Ok(text("/home/me"));
    assert_eq!(in_full(&exec, &[]), "env 'PWD=/a b' OLDPWD=/home/me /bin/ls");
}

/// Check by running it in bash that the line gives the arguments, the environment and the directory that were traced.
#[rstest]
#[case::plain("/bin/sh", &["sh"])]
#[case::another_name("/bin/sh", &["-odd name"])]
fn a_shell_runs_what_was_run(#[case] filename: &str, #[case] argv0: &[&str]) {
    let script = r#"printf '%s|' "$0" "$PWD" "$@"; /usr/bin/env | grep -a -z MARK; echo "${GONE-unset}""#;
    let hostile: &[u8] = b"'\"$HOME`\\\n\t\xff\x01;#";
    let mut exec = exec(7);
    exec.filename = Ok(text(filename));
    let argv = [argv0[0].as_bytes(), b"-c", script.as_bytes(), b"zero", hostile, b"", b"-n", b"*"];
    exec.argv = Ok(list(&argv));
    exec.env = Ok(list(&[b"PATH=/usr/bin:/bin".as_slice(), b"-i=dash", &[b"MARK=", hostile].concat()]));
    exec.cwd = Ok(text("/usr"));
    let baseline = Baseline { env: list(&["PATH=/usr/bin:/bin", "GONE=1"]).items, ..Baseline::default() };
    let line = full(&exec, &baseline, &Redact::default());
    let mut shell = process::Command::new("bash");
    shell.args(["--norc", "-c", &line]).env_clear().env("PATH", "/usr/bin:/bin").env("GONE", "1").current_dir("/");
    let output = shell.output().expect("bash runs");
    let expected = [b"zero|/usr|".as_slice(), hostile, b"||-n|*|"].concat();
    let shown = OsStr::from_bytes(&output.stdout).to_string_lossy().into_owned();
    assert!(output.stdout.starts_with(&expected), "{line}\n{shown}\n{:?}", output.stderr);
    assert!(output.stdout.ends_with(b"unset\n"), "{line}\n{shown}");
    assert!(shown.contains("MARK="), "{line}\n{shown}");
}

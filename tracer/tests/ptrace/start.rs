//! What can go wrong at the start.

use std::path::PathBuf;

use rstest::rstest;
use tracer::options::{BackendChoice, Launch, Options, SeccompChoice, Target};
use tracer::trace::Trace;
use tracer::{Error, ErrorKind};

use crate::common::*;

#[track_caller]
fn refusal(target: Target, options: Options) -> Error {
    Trace::start(target, options).expect_err("it cannot start")
}

/// Check that a command that cannot be executed is said to be so, and that nothing is traced.
#[rstest]
#[case::no_such_path("/no/such/file", "No such file")]
#[case::not_in_path("no-such-command-at-all", "No such file")]
#[case::a_directory("/", "Permission denied")]
#[case::nothing("", "No such file")]
fn a_command_that_cannot_be_executed(
    #[values(Way::Plain, Way::Filter)] way: Way,
    #[case] program: &str,
    #[case] why: &str,
) {
    let err = refusal(Target::Command(launch(&[program])), way.options());
    assert_eq!(err.kind(), ErrorKind::Spawn);
    let text = err.to_string();
    assert!(text.starts_with(&format!("cannot start `{program}`: ")) && text.contains(why), "{text}");
}

/// Check that a directory or a user that is not there is what the error names.
#[test]
fn a_directory_or_a_user_that_is_not_there() {
    let cwd = Some(PathBuf::from("/no/such/directory"));
    let err = refusal(Target::Command(Launch { cwd, ..launch(&["/bin/true"]) }), Way::Plain.options());
    assert!(err.to_string().starts_with("cannot change to the directory `/no/such/directory`: "), "{err}");
    let user = Some("no-such-user".to_owned());
    let err = refusal(Target::Command(Launch { user, ..launch(&["/bin/true"]) }), Way::Plain.options());
    assert_eq!((err.kind(), err.to_string().as_str()), (ErrorKind::Spawn, "there is no user `no-such-user`"));
}

/// Check a command that is found in `PATH`, and one that starts elsewhere: one exec each, without attempts.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
fn a_command_is_found_and_starts_where_it_should(#[case] way: Way) {
    let traced = traced(Launch { cwd: Some("/".into()), ..launch(&["true", "word"]) }, way.options());
    assert_eq!(traced.execs().count(), 1);
    let exec = traced.execs().next().expect("one");
    assert!(filename(exec).ends_with("/true") && filename(exec).starts_with('/'), "{exec:?}");
    assert_eq!((argv(exec), exec.errno), (vec!["true".to_owned(), "word".to_owned()], 0));
    assert_eq!(exec.cwd.as_ref().expect("cwd").bytes, b"/");
}

/// Check that what ptrace cannot do is refused.
#[test]
fn what_cannot_be_done_is_refused() {
    let err = refusal(Target::System, Way::Plain.options());
    assert_eq!(err.kind(), ErrorKind::Unsupported);
    let own = Target::Processes(vec![std::process::id()]);
    let filter = Options { backend: BackendChoice::Seccomp, ..Options::default() };
    assert_eq!(refusal(own.clone(), filter).kind(), ErrorKind::Unsupported);
    let err = refusal(Target::Processes(vec![u32::MAX >> 1]), Way::Plain.options());
    assert!(err.to_string().starts_with("there is no process 2147483647"), "{err}");
    // A process cannot trace itself.
    let err = refusal(own, Way::Plain.options());
    assert_eq!(err.kind(), ErrorKind::Privilege);
    assert!(err.hint().is_some());
}

/// Check which way is taken when it is left to us.
#[test]
fn a_filter_is_used_when_it_is_left_to_us() {
    let options = Options { backend: BackendChoice::Ptrace, seccomp: SeccompChoice::Auto, ..Options::default() };
    let trace = Trace::start(Target::Command(launch(&["/bin/true"])), options).expect("starts");
    assert_eq!((trace.backend().name, trace.backend().degraded.as_deref()), ("seccomp", None));
    assert_eq!(ended(trace).code(), Some(0));
}

/// Check a kernel before 5.3: here a filter of the tracer's own makes its answer. And one where memory cannot be read in
/// bulk, as in some containers.
#[rstest]
#[case::refuses("tracer-before-5.3")]
#[case::uses_the_file("tracer-without-vm-readv")]
fn a_tracer_that_is_not_answered(#[case] name: &str) {
    let output = crate::program::command(name).output().expect("starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

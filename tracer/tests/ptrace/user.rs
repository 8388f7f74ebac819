//! Other users than root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rstest::rstest;
use serial_test::serial;
use tracer::options::{Launch, Options};

use crate::common::*;

/// Check that the command runs as the user that is asked for, with that user's groups and nobody else's.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
#[ignore = "root: changes the user"]
#[serial]
fn a_command_runs_as_another_user(#[case] way: Way) {
    let user = nix::unistd::User::from_name("nobody").expect("a table of users").expect("nobody is in it");
    let traced = traced(Launch { user: Some("nobody".into()), ..launch(&["/bin/true"]) }, Options { ..way.options() });
    assert_eq!(traced.code(), Some(0));
    let credentials = traced.only("/bin/true").credentials.clone().expect("credentials");
    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
    let ids = |id| tracer::event::Ids { real: id, effective: id, saved: id, fs: id };
    assert_eq!((credentials.uid, credentials.gid), (ids(uid), ids(gid)));
    assert!(credentials.groups.items.contains(&gid) && !credentials.groups.items.contains(&0), "{credentials:?}");
}

/// Check that a setuid program gets its owner under a tracer that is root, with the filter too: it needs no
/// `no_new_privs` then.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
#[ignore = "root: changes the user"]
#[serial]
fn a_setuid_program_gets_its_owner(#[case] way: Way) {
    let dir = tempfile::tempdir().expect("a directory");
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
    let program = dir.path().join("true");
    fs::copy("/bin/true", &program).expect("copied");
    fs::set_permissions(&program, PermissionsExt::from_mode(0o4755)).expect("chmod");
    let path = program.to_str().expect("UTF-8");
    let traced = traced(Launch { user: Some("nobody".into()), ..launch(&[path]) }, way.options());
    let uid = traced.only(path).credentials.as_ref().expect("credentials").uid;
    assert!(uid.real != 0 && uid.effective == 0 && uid.saved == 0, "{uid:?}");
}

/// Check that all of this works without any privilege, on this kernel: other tests, as nobody.
#[rstest]
#[case::events("events::an_exec")]
#[case::scripts("events::a_script")]
#[case::execveat("events::execveat")]
#[case::failures("failures::")]
#[case::signals("signals::")]
#[case::limits("limits::")]
#[case::threads("threads::a_")]
#[case::killed("lifetime::a_killed")]
#[case::attached("lifetime::a_running")]
#[case::stopped("lifetime::a_stopped")]
#[case::start("start::")]
#[ignore = "root: changes the user"]
#[serial]
fn a_user_without_privileges_can_trace(#[case] tests: &str) {
    // A copy, because the original may lie where nobody cannot read.
    let dir = tempfile::tempdir().expect("a directory");
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
    let exe = dir.path().join("tests");
    fs::copy(std::env::current_exe().expect("/proc is mounted"), &exe).expect("copied");
    let mut command = Command::new(exe);
    command.arg(tests).current_dir("/tmp").env_remove("TMPDIR").uid(65_534).gid(65_534);
    let output = command.output().expect("starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let passed = output.status.success() && !text.contains(" 0 passed");
    assert!(passed, "{text}{}", String::from_utf8_lossy(&output.stderr));
}

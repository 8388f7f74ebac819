//! Loading, unloading, and whose execs a trace has.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rstest::rstest;
use serial_test::serial;
use tracer::{Scope, Tracer};

use crate::common::{SH, TRUE, attach, drain, execs_of, loaded_programs, only, quiet, self_exe};

/// Check that the programs load and attach on this kernel, and that a trace of nothing is empty.
#[rstest]
#[case::spawned(Scope::Spawned)]
#[case::system(Scope::System)]
#[ignore = "root: loads BPF programs"]
#[serial]
fn the_programs_load_and_attach(#[case] scope: Scope) {
    let tracer = Tracer::attach(scope).expect("the programs load and attach");
    let summary = tracer.summary();
    assert_eq!((summary.execs, summary.lost, summary.untracked), (0, 0, 0));
}

/// Check that a command's trace has its descendants to the third degree, and no children of other threads.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn descendants_are_included_and_strangers_are_not() {
    let mut tracer = attach();
    let stranger = |word: &str| {
        let status = quiet(Command::new(TRUE).arg(word)).status().expect("starts");
        assert!(status.success());
    };
    stranger("before");
    let script = format!("{SH} -c '({TRUE} grandchild; :); :'; :");
    let mut child = tracer.spawn(quiet(Command::new(SH).args(["-c", &script]))).expect("starts");
    std::thread::scope(|scope| drop(scope.spawn(|| stranger("meanwhile"))));
    stranger("meanwhile, same thread");
    child.wait().expect("ends");
    stranger("after");
    let execs = drain(&mut tracer);
    assert_eq!(execs.iter().map(|exec| exec.argv[0].clone()).collect::<Vec<_>>(), [SH, SH, TRUE]);
    assert_eq!(execs[2].argv[1], "grandchild");
}

/// Check that a system-wide trace has everybody's execs.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn a_system_wide_trace_has_the_execs_of_others() {
    let mut tracer = Tracer::attach(Scope::System).expect("attaches");
    let word = format!("needle {}", std::process::id());
    let status = Command::new(TRUE).arg(&word).status().expect("starts");
    assert!(status.success());
    assert!(drain(&mut tracer).iter().any(|exec| exec.argv.get(1).is_some_and(|arg| *arg == *word)));
}

/// Check that two traces at a time do not see each other's commands.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn two_tracers_at_a_time_keep_to_their_own() {
    let (mut one, mut two) = (attach(), attach());
    for round in ["1", "2"] {
        assert_eq!(only(execs_of(&mut one, Command::new(TRUE).args(["one", round]))).argv[1], "one");
        assert_eq!(only(execs_of(&mut two, Command::new(TRUE).args(["two", round]))).argv[1], "two");
    }
    drop(one);
    assert_eq!(only(execs_of(&mut two, Command::new(TRUE).arg("two"))).argv[1], "two");
}

/// Check that nothing stays loaded after a tracer, not even after one whose command is still running.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn nothing_stays_loaded_after_drop() {
    let before = loaded_programs();
    let mut tracer = attach();
    let mut command = Command::new(SH);
    let mut child = tracer.spawn(quiet(command.args(["-c", "read line"])).stdin(Stdio::piped())).expect("starts");
    let ours: BTreeSet<u32> = loaded_programs().difference(&before).copied().collect();
    assert_eq!(ours.len(), 4);
    drop(tracer);
    // The kernel frees programs after a grace period.
    let deadline = Instant::now() + Duration::from_secs(30);
    while loaded_programs().intersection(&ours).next().is_some() {
        assert!(Instant::now() < deadline, "still loaded 30 s after drop: {:?} of {ours:?}", loaded_programs());
        std::thread::yield_now();
    }
    child.kill().expect("still there");
    child.wait().expect("ends");
}

/// Check that an exec from a thread that is not the leader is the process's, and that its descendants stay in scope.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn an_exec_from_a_thread_is_the_processes() {
    let mut tracer = attach();
    let mut command = Command::new(self_exe());
    command
        .args(["--exact", "scope::a_thread_execs_when_asked_to", "--nocapture"])
        .env("TRACER_TEST_EXEC_IN_THREAD", "1");
    let mut child = tracer.spawn(quiet(&mut command)).expect("starts");
    child.wait().expect("ends");
    let execs = drain(&mut tracer);
    assert_eq!(execs.len(), 3, "{execs:#?}");
    let from_thread = &execs[1];
    assert_eq!(from_thread.argv[0], SH);
    assert_eq!((from_thread.pid, from_thread.tgid), (child.id(), child.id()));
    assert_ne!(from_thread.old_pid, from_thread.pid);
    assert_eq!((&*execs[2].argv[1], execs[2].ppid), (OsStr::new("of the thread"), child.id()));
}

/// Not a test of its own: the thread that [`an_exec_from_a_thread_is_the_processes`] wants.
#[test]
fn a_thread_execs_when_asked_to() {
    if std::env::var_os("TRACER_TEST_EXEC_IN_THREAD").is_some() {
        let script = format!("{TRUE} 'of the thread'; :");
        let thread = std::thread::spawn(|| Command::new(SH).arg("-c").arg(script).exec());
        panic!("exec failed: {:?}", thread.join());
    }
}

/// Check that a command which cannot be started is an error that names it, and that the next one is traced.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn a_command_that_does_not_exist_is_named() {
    let mut tracer = attach();
    let err = tracer.spawn(&mut Command::new("/no/such/program")).expect_err("there is none");
    assert_eq!(err.kind(), tracer::ErrorKind::Spawn);
    assert!(err.to_string().contains("`/no/such/program`"), "{err}");
    assert_eq!(only(execs_of(&mut tracer, &mut Command::new(TRUE))).argv, [TRUE]);
}

/// Check that an unprivileged caller is told what is lacking. Runs this executable as nobody.
#[test]
#[ignore = "root: changes the user"]
#[serial]
fn an_unprivileged_caller_is_told_what_is_lacking() {
    // Where nobody can execute it.
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
    let exe = dir.path().join("tests");
    std::fs::copy(self_exe(), &exe).expect("copied");
    let mut command = Command::new(&exe);
    command.args(["--exact", "scope::the_programs_load_and_attach::case_2_system", "--ignored", "--nocapture"]);
    let output = command.uid(65_534).gid(65_534).output().expect("starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(stderr.contains("hint: run it as root, or with CAP_BPF and CAP_PERFMON"), "{stderr}");
}

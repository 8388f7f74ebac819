//! Loading, unloading, and whose execs a trace has.

use std::collections::BTreeSet;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rstest::rstest;
use serial_test::serial;
use tracer::{Scope, Tracer};

use crate::common::{SH, TRUE, attach, drain, execs_of, loaded_programs, only, quiet};

/// Check that the programs load and attach, that a trace begins empty, and that it has a command's descendants to the
/// third degree; the execs of others, also of this process's other children, only if it is system-wide. A command that
/// cannot be started is an error that names it, and the next one is traced.
#[rstest]
#[case::spawned(Scope::Spawned, &["command", "child", "grandchild"])]
#[case::system(Scope::System, &["before", "command", "meanwhile", "same thread", "child", "grandchild", "after"])]
#[ignore = "root: loads BPF programs"]
#[serial]
fn a_trace_has_the_execs_of_its_scope(#[case] scope: Scope, #[case] expected: &[&str]) {
    let mut tracer = Tracer::attach(scope).expect("the programs load and attach");
    let summary = tracer.summary();
    assert_eq!((summary.execs, summary.lost, summary.untracked), (0, 0, 0));
    let err = tracer.spawn(&mut Command::new("/no/such/program")).expect_err("there is none");
    assert_eq!(err.kind(), tracer::ErrorKind::Spawn);
    assert!(err.to_string().contains("`/no/such/program`"), "{err}");

    let word = |word: &str| format!("{word} of {}", std::process::id());
    let stranger = |name| assert!(quiet(Command::new(TRUE).arg(word(name))).status().expect("starts").success());
    stranger("before");
    let inner = format!("({TRUE} \"{}\"; :); :", word("grandchild"));
    let outer = format!("echo; read line; {SH} -c '{inner}' \"{}\"; :", word("child"));
    let mut child = spawn_idle(&mut tracer, Command::new(SH).args(["-c", &outer, &word("command")]));
    std::thread::scope(|scope| drop(scope.spawn(|| stranger("meanwhile"))));
    stranger("same thread");
    drop(child.stdin.take());
    child.wait().expect("ends");
    stranger("after");

    let expected: BTreeSet<_> = expected.iter().map(|name| word(name).into()).collect();
    let mut seen: Vec<_> = drain(&mut tracer).into_iter().filter_map(|exec| exec.argv.last().cloned()).collect();
    if scope == Scope::System {
        // Whatever else happens on this system.
        seen.retain(|last| expected.contains(last));
    }
    assert_eq!(seen.len(), expected.len(), "{seen:?}");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected);
}

/// Starts a command that prints a line when it is up, and then waits for its input. From 7.0 on, the kernel skips a program
/// for an exec that interrupts another one; so execs whose loss would be a failure are kept apart.
#[track_caller]
fn spawn_idle(tracer: &mut Tracer, command: &mut Command) -> Child {
    let mut child = tracer.spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped())).expect("starts");
    child.stdout.as_mut().expect("piped").read_exact(&mut [0]).expect("it is up");
    child
}

/// Check that two traces at a time do not see each other's commands, and that nothing stays loaded after them, although
/// the command of one of them is still running.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn two_tracers_keep_to_their_own_and_leave_nothing_behind() {
    let before = loaded_programs();
    let (mut one, mut two) = (attach(), attach());
    let ours: BTreeSet<u32> = loaded_programs().difference(&before).copied().collect();
    assert_eq!(ours.len(), 8);
    for round in ["1", "2"] {
        assert_eq!(only(execs_of(&mut one, Command::new(TRUE).args(["one", round]))).argv[1], "one");
        assert_eq!(only(execs_of(&mut two, Command::new(TRUE).args(["two", round]))).argv[1], "two");
    }
    let mut command = Command::new(SH);
    let mut child = spawn_idle(&mut one, command.args(["-c", "echo; read line"]));
    drop(one);
    assert_eq!(only(execs_of(&mut two, Command::new(TRUE).arg("two"))).argv[1], "two");
    drop(two);
    // The kernel frees programs after a grace period.
    let deadline = Instant::now() + Duration::from_secs(30);
    while loaded_programs().intersection(&ours).next().is_some() {
        assert!(Instant::now() < deadline, "still loaded 30 s after drop: {:?} of {ours:?}", loaded_programs());
        std::thread::yield_now();
    }
    child.kill().expect("still there");
    child.wait().expect("ends");
}

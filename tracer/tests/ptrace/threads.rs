//! Execs of processes with more than one thread, and the ways to make a process.

use rstest::rstest;

use crate::common::*;

/// Check an exec of a thread that is not the leader: it is called by the thread's id, and the process goes on.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
fn a_thread_executes(#[case] way: Way) {
    let traced = way.program("thread");
    traced.is_complete();
    let exec = traced.only("/bin/true");
    assert_ne!(exec.pid, exec.tgid);
    assert_eq!((argv(exec), traced.code()), (vec!["true".to_owned(), "from a thread".to_owned()], Some(0)));
    assert_eq!(traced.execs().next().map(|shell| shell.tgid), Some(exec.tgid));
    // Threads are not processes.
    assert_eq!((traced.children().count(), traced.exits().count()), (0, 1));
}

/// Check an exec after the leader has ended.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
fn a_process_without_a_leader_executes(#[case] way: Way) {
    let traced = way.program("without-a-leader");
    traced.is_complete();
    let exec = traced.only("/bin/true");
    assert!(exec.pid != exec.tgid && traced.children().any(|child| child.tgid == exec.tgid), "{exec:?}");
    assert_eq!((argv(exec), traced.code()), (vec!["true".to_owned(), "leaderless".to_owned()], Some(0)));
}

/// Check that of many threads that execute at the same time one is seen to succeed, and the trace ends.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
fn one_of_many_threads_wins(#[case] way: Way) {
    for _ in 0..5 {
        let traced = way.program("threads-then-exec");
        traced.is_complete();
        assert_eq!((filename(traced.only("/bin/true")), traced.code()), ("/bin/true".to_owned(), Some(0)));
    }
}

/// Check a child that shares its parent's memory until it executes, as posix_spawn makes it.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
fn a_spawned_child_executes(#[case] way: Way) {
    let traced = way.program("spawn");
    traced.is_complete();
    let exec = traced.only("/bin/true");
    assert_eq!(argv(exec), ["/bin/true", "spawned"]);
    assert!(traced.children().any(|child| child.tgid == exec.tgid && child.parent_tgid == exec.ppid));
}

/// Check many processes at once: none is missed, none is left.
#[rstest]
#[case::plain(Way::Plain, 20)]
#[case::filter(Way::Filter, 100)]
fn many_processes_at_once_are_complete(#[case] way: Way, #[case] each: usize) {
    let traced = way.sh(&format!(
        "for j in 1 2 3 4 5; do (i=0; while [ $i -lt {each} ]; do /bin/true $i & i=$((i+1)); done; wait) & done; wait"
    ));
    traced.is_complete();
    let trues = traced.execs().filter(|exec| filename(exec) == "/bin/true").count();
    assert_eq!((trues, traced.code()), (5 * each, Some(0)));
}

/// Check that processes that are killed while they execute end the trace of themselves and nothing else.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
fn processes_killed_while_they_execute_are_complete(#[case] way: Way) {
    let traced = way.program("kill-while-executing");
    traced.is_complete();
    assert_eq!(traced.code(), Some(0));
}

//! What a backend cannot see, held here so that a change of it is noticed.

use nix::libc;
use rstest::rstest;

use crate::common::*;

/// Check an exec that a filter of the program's own refuses: ptrace sees it, and our filter does not, as the program's
/// answer goes before ours.
#[rstest]
#[case::plain(Way::Plain, 1)]
#[case::filter(Way::Filter, 0)]
fn an_exec_refused_by_the_programs_own_filter(#[case] way: Way, #[case] seen: usize) {
    let traced = way.program("own-filter");
    assert_eq!(traced.code(), Some(libc::EDOM));
    let execs: Vec<_> = traced.execs().filter(|exec| filename(exec) == "/bin/true").collect();
    assert_eq!(execs.len(), seen);
    assert!(execs.iter().all(|exec| exec.errno == libc::EDOM));
}

/// Check a child that was made so that no tracer gets it: it is not in the trace, and by our filter, which it has all the
/// same, its execs fail.
#[rstest]
#[case::plain(Way::Plain, 0)]
#[case::filter(Way::Filter, libc::ENOSYS)]
fn a_child_that_no_tracer_gets(#[case] way: Way, #[case] errno: i32) {
    let traced = way.program("untraced-clone");
    assert_eq!(traced.code(), Some(errno));
    assert!(!traced.execs().any(|exec| filename(exec) == "/bin/true"));
    assert_eq!(traced.children().count(), 0);
}

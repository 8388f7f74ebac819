//! Tests of the differences from the tracer's own environment and streams.

use super::*;
use crate::event::{Absent, Cut};
use crate::sample::{exec, fd, list};

fn env(entries: &[&str]) -> Vec<Vec<u8>> {
    entries.iter().map(|entry| entry.as_bytes().to_vec()).collect()
}

fn entry<'a>(name: &'a str, value: &'a str) -> Entry<'a> {
    Entry { name: name.as_bytes(), value: value.as_bytes() }
}

/// Check what is added, changed and removed, each in its order.
#[test]
fn a_difference_has_what_came_what_changed_and_what_went() {
    let (now, then) = (list(&["Z=1", "A=2", "B=x", "C="]), env(&["B=y", "GONE=1", "C="]));
    let diff = EnvDiff::new(&now, &then);
    assert_eq!(diff.added, [entry("Z", "1"), entry("A", "2")]);
    assert_eq!(diff.changed, [entry("B", "x")]);
    assert_eq!(diff.removed, Some(vec![b"GONE".as_slice()]));
    assert!(!diff.reordered && diff.extra.is_empty());
}

/// Check that equal environments have no difference.
#[test]
fn the_same_environment_has_none() {
    let entries = ["A=1", "A=2", "noequals", "B=3"];
    let diff = EnvDiff { removed: Some(Vec::new()), ..EnvDiff::default() };
    assert_eq!(EnvDiff::new(&list(&entries), &env(&entries)), diff);
}

/// Check that the first of several entries of a name is its value, and that the others are shown.
#[test]
fn of_duplicates_the_first_counts() {
    let (now, then) = (list(&["A=1", "A=2", "bare", "=", "=C:=x"]), env(&["A=1"]));
    let diff = EnvDiff::new(&now, &then);
    assert!(diff.changed.is_empty());
    assert_eq!(diff.extra, [b"A=2".as_slice(), b"bare", b"="]);
    assert_eq!(diff.added, [entry("=C:", "x")]);
}

/// Check that another order of the same names is noticed, and one of new names is not.
#[test]
fn another_order_is_noticed() {
    let then = env(&["A=1", "B=2", "C=3"]);
    assert!(EnvDiff::new(&list(&["B=2", "A=1"]), &then).reordered);
    assert!(!EnvDiff::new(&list(&["NEW=1", "A=1", "C=3"]), &then).reordered);
}

/// Check that nothing is claimed about the part of an environment that is not there.
#[test]
fn a_cut_environment_has_removed_nothing() {
    let mut now = list(&["A=1", "B=partia"]);
    now.cut = Some(Cut::TooLong);
    let then = env(&["A=1", "B=partial", "C=3"]);
    assert_eq!(EnvDiff::new(&now, &then), EnvDiff::default());
    now.items.clear();
    assert_eq!(EnvDiff::new(&now, &then), EnvDiff::default());
}

fn streams() -> Vec<Stdio> {
    (0..3).map(|number| Stdio { number, path: b"/dev/pts/1".to_vec(), inode: 4 }).collect()
}

fn changed(exec: &Exec) -> Option<Vec<(u32, bool)>> {
    let baseline = streams();
    let changes = stdio_changes(exec, &baseline)?;
    Some(changes.iter().map(|change| (change.number, change.now.is_some())).collect())
}

/// Check that a stream is another by its path or by its inode, and is closed if it is not there.
#[test]
fn streams_differ_by_path_and_inode() {
    let mut exec = exec(7);
    assert_eq!(changed(&exec), Some(Vec::new()));
    let fds = exec.fds.as_mut().expect("the sample has them");
    fds.items[0] = fd(0, "/dev/null");
    fds.items[1].inode = Ok(5);
    fds.items[2] = fd(7, "/dev/pts/1");
    assert_eq!(changed(&exec), Some(vec![(0, true), (1, true), (2, false)]));
}

/// Check that a stream which the exec closes is closed, but not if the exec failed.
#[test]
fn close_on_exec_counts_as_closed() {
    let mut exec = exec(7);
    exec.fds.as_mut().expect("the sample has them").items[1].cloexec = true;
    assert_eq!(changed(&exec), Some(vec![(1, false)]));
    exec.errno = 2;
    assert_eq!(changed(&exec), Some(Vec::new()));
}

/// Check that nothing is claimed about what could not be read.
#[test]
fn what_could_not_be_read_is_no_difference() {
    let mut exec = exec(7);
    let fds = exec.fds.as_mut().expect("the sample has them");
    fds.items[0].path = Err(Absent::Gone);
    fds.items[1].inode = Err(Absent::NotSeen("x"));
    fds.items.pop();
    fds.cut = Some(Cut::Lost);
    assert_eq!(changed(&exec), Some(Vec::new()));
    exec.fds = Err(Absent::Gone);
    assert_eq!(changed(&exec), None);
}

/// Check that this process's own baseline has what the test runner gave it.
#[test]
fn a_process_has_a_baseline() {
    let baseline = Baseline::of_this_process();
    assert!(baseline.env.iter().any(|entry| entry.starts_with(b"CARGO")));
    assert_eq!(baseline.cwd, std::env::current_dir().ok().map(|path| path.into_os_string().into_vec()));
    assert!(baseline.stdio.iter().all(|stdio| !stdio.path.is_empty()));
}

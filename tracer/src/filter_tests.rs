//! Tests of the filter.

use globset::{Glob, GlobSetBuilder};
use rstest::rstest;

use super::*;
use crate::event::Absent;
use crate::sample::{bare_exec, exec, text};

fn globs(pattern: &str) -> Filter {
    let mut set = GlobSetBuilder::new();
    set.add(Glob::new(pattern).expect("a pattern"));
    Filter { paths: Some(set.build().expect("a set")), ..Filter::default() }
}

/// Check each part of the filter on an exec of `/usr/bin/true` by `sh` (7), user 1000, cgroup `/user.slice/a`.
#[rstest]
#[case::nothing(Filter::default(), true)]
#[case::pid(Filter { pids: vec![6, 7], ..Filter::default() }, true)]
#[case::another_pid(Filter { pids: vec![8], ..Filter::default() }, false)]
#[case::uid(Filter { uids: vec![1000], ..Filter::default() }, true)]
#[case::another_uid(Filter { uids: vec![0], ..Filter::default() }, false)]
#[case::comm(Filter { comms: vec![b"sh".to_vec()], ..Filter::default() }, true)]
#[case::part_of_comm(Filter { comms: vec![b"s".to_vec()], ..Filter::default() }, false)]
#[case::cgroup(Filter { cgroups: vec![b"/user.slice/a".to_vec()], ..Filter::default() }, true)]
#[case::cgroup_above(Filter { cgroups: vec![b"/user.slice/".to_vec()], ..Filter::default() }, true)]
#[case::cgroup_root(Filter { cgroups: vec![b"/".to_vec()], ..Filter::default() }, true)]
#[case::cgroup_of_the_same_beginning(Filter { cgroups: vec![b"/user".to_vec()], ..Filter::default() }, false)]
#[case::path(globs("/usr/bin/t*"), true)]
#[case::another_path(globs("/bin/*"), false)]
#[case::success(Filter { outcome: Outcome::Success, ..Filter::default() }, true)]
#[case::failure(Filter { outcome: Outcome::Failure, ..Filter::default() }, false)]
#[case::all_parts_must_match(Filter { pids: vec![7], uids: vec![0], ..Filter::default() }, false)]
fn an_exec_must_match_every_part(#[case] filter: Filter, #[case] expected: bool) {
    assert_eq!(filter.shows(&exec(7)), expected);
}

/// Check that threads are found by their own id and by that of their process.
#[test]
fn a_thread_has_two_ids() {
    let mut exec = exec(7);
    exec.pid = 9;
    for pid in [7, 9] {
        assert!(Filter { pids: vec![pid], ..Filter::default() }.shows(&exec));
    }
}

/// Check that a relative path is found by itself and by where it is.
#[test]
fn a_relative_path_is_joined_to_the_working_directory() {
    let mut exec = exec(7);
    exec.filename = Ok(text("./true"));
    assert!(globs("/home/me/*").shows(&exec));
    assert!(globs("./true").shows(&exec));
    assert!(!globs("/usr/*").shows(&exec));
}

/// Check that an exec of which the field in question could not be read is not kept back.
#[test]
fn what_could_not_be_read_matches() {
    let filter = Filter { uids: vec![1], comms: vec![b"x".to_vec()], cgroups: vec![b"/x".to_vec()], ..globs("/x") };
    assert!(filter.shows(&bare_exec(7, Absent::Gone)));
}

//! Nothing is lost, or what is lost is counted.

use std::ffi::OsString;
use std::process::Command;

use serial_test::serial;
use tracer::{Scope, Tracer};

use crate::common::{SH, TRUE, attach, drain, events, execs_of, only, quiet, skipped};

/// Check that 200 execs of a shell loop are all seen, in order, and none is lost.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn two_hundred_execs_of_a_shell_loop_are_all_seen() {
    let mut tracer = attach();
    let script = format!("i=0; while [ $i -lt 200 ]; do {TRUE} $i; i=$((i+1)); done");
    let execs = execs_of(&mut tracer, Command::new(SH).args(["-c", &script]));
    let seen: Vec<_> = execs[1..].iter().map(|exec| exec.argv[1].clone()).collect();
    let expected: Vec<_> = (0..200).map(|number| OsString::from(number.to_string())).collect();
    assert_eq!(seen, expected);
    assert_eq!((tracer.summary().lost, tracer.summary().untracked), (0, 0));
}

/// Check that execs on several CPUs at once are not mixed up. What a kernel with preemptible tracepoints skips is the
/// only thing that may be missing, and it is counted to the last one.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn execs_of_parallel_shells_are_seen_or_counted() {
    const LANES: [&str; 4] = ["a", "b", "c", "d"];
    const ROUNDS: u64 = 12;
    let mut tracer = attach();
    let lane = format!("(i=0; while [ $i -lt {ROUNDS} ]; do {TRUE} $lane $i; i=$((i+1)); done) &");
    let script = format!("for lane in {}; do {lane} done; wait", LANES.join(" "));
    let mut child = tracer.spawn(quiet(Command::new(SH).args(["-c", &script]))).expect("starts");
    child.wait().expect("ends");
    let (execs, lost) = events(&mut tracer);
    for lane in LANES {
        let seen: Vec<_> = execs.iter().filter(|exec| exec.argv[1] == lane).map(|exec| exec.argv[2].clone()).collect();
        let mut rest = (0..ROUNDS).map(|number| OsString::from(number.to_string()));
        assert!(seen.iter().all(|number| rest.any(|next| next == *number)), "lane {lane} is out of order: {seen:?}");
    }
    let summary = tracer.summary();
    let missing = 1 + LANES.len() as u64 * ROUNDS - execs.len() as u64;
    assert_eq!((summary.execs, summary.lost), (execs.len() as u64, lost));
    assert_eq!((lost, summary.untracked), (skipped("tracer_exec"), skipped("tracer_fork")));
    // A process that is not followed is at most a lane, with all its execs.
    let bound = lost + summary.untracked * ROUNDS;
    assert!((lost..=bound).contains(&missing), "{missing} execs are missing: {summary:?}");
}

/// Check that what finds no room is counted and passed off as nothing else: execs in a ring buffer that is too small
/// for the burst, processes in a table that is too small.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn what_finds_no_room_is_counted() {
    const BURST: u64 = 20;
    let mut tracer = Tracer::builder().ring_bytes(64 << 10).attach(Scope::Spawned).expect("attaches");
    for _ in 0..BURST {
        let mut child = tracer.spawn(quiet(Command::new(TRUE).arg("x".repeat(6_000)))).expect("starts");
        child.wait().expect("ends");
    }
    let (execs, lost) = events(&mut tracer);
    assert!(!execs.is_empty() && lost > 0, "{} seen, {lost} lost", execs.len());
    assert!(execs.iter().all(|exec| exec.argv[1].len() == 6_000), "{execs:?}");
    assert_eq!(execs.len() as u64 + lost, BURST);
    assert_eq!((tracer.summary().execs, tracer.summary().lost), (execs.len() as u64, lost));
    only(execs_of(&mut tracer, &mut Command::new(TRUE)));

    let mut tracer = Tracer::builder().max_processes(1).attach(Scope::Spawned).expect("attaches");
    let execs = execs_of(&mut tracer, Command::new(SH).args(["-c", &format!("{TRUE} inner; :")]));
    assert_eq!(only(execs).argv[0], SH);
    assert_eq!(tracer.summary().untracked, 1);
    assert_eq!(drain(&mut tracer), []);
}

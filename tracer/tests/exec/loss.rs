//! Nothing is lost, or what is lost is counted.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use serial_test::serial;
use tracer::{Event, Scope, Tracer};

use crate::common::{SH, TRUE, attach, execs_of, only, quiet};

/// Check that nothing is lost when a shell runs 200 programs one after another.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn two_hundred_execs_of_a_shell_loop_are_all_seen() {
    let mut tracer = attach();
    let script = format!("i=0; while [ $i -lt 200 ]; do {TRUE} $i; i=$((i+1)); done");
    let execs = execs_of(&mut tracer, Command::new(SH).args(["-c", &script]));
    let numbers: Vec<_> = execs.iter().filter(|exec| exec.argv[0] == TRUE).map(|exec| exec.argv[1].clone()).collect();
    let expected: Vec<_> = (0..200).map(|number| OsString::from(number.to_string())).collect();
    assert_eq!(numbers, expected);
    assert_eq!(execs.len(), 201);
    assert_eq!((tracer.summary().execs, tracer.summary().lost, tracer.summary().untracked), (201, 0, 0));
}

/// Check that execs on several CPUs at a time are all seen, each with its own argv.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn execs_of_parallel_shells_are_not_mixed_up() {
    let mut tracer = attach();
    let lane = format!("(i=0; while [ $i -lt 50 ]; do {TRUE} $lane $lane-$i; i=$((i+1)); done) &");
    let script = format!("for lane in a b c d; do {lane} done; wait");
    let execs = execs_of(&mut tracer, Command::new(SH).args(["-c", &script]));
    for lane in ["a", "b", "c", "d"] {
        let seen: Vec<_> = execs.iter().filter(|exec| exec.argv[1] == lane).map(|exec| exec.argv[2].clone()).collect();
        let expected: Vec<_> = (0..50).map(|number| OsString::from(format!("{lane}-{number}"))).collect();
        assert_eq!(seen, expected);
    }
    assert_eq!((execs.len(), tracer.summary().lost), (201, 0));
}

/// Check that a ring buffer that is too small for the burst says what it lost, and passes nothing off as whole.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn what_finds_no_room_is_counted() {
    let mut tracer = Tracer::builder().ring_bytes(64 << 10).attach(Scope::Spawned).expect("attaches");
    let script = format!("i=0; while [ $i -lt 300 ]; do {TRUE} $i; i=$((i+1)); done");
    let mut child = tracer.spawn(quiet(Command::new(SH).args(["-c", &script]))).expect("starts");
    child.wait().expect("ends");
    let (mut seen, mut lost) = (0, 0);
    while let Some(event) = tracer.poll(Duration::ZERO).expect("readable") {
        match event {
            Event::Exec(exec) => {
                assert_eq!(exec.argc as usize, exec.argv.len(), "{exec:?}");
                seen += 1;
            }
            Event::Lost { count } => lost += count,
            other => panic!("unexpected {other:?}"),
        }
    }
    assert!(seen > 0 && lost > 0, "{seen} seen, {lost} lost");
    assert_eq!(seen + lost, 301);
    assert_eq!((tracer.summary().execs, tracer.summary().lost), (seen, lost));
}

/// Check that processes beyond the table's size are counted, not forgotten.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn processes_without_room_in_the_table_are_counted() {
    let mut tracer = Tracer::builder().max_processes(1).attach(Scope::Spawned).expect("attaches");
    let execs = execs_of(&mut tracer, Command::new(SH).args(["-c", &format!("{TRUE} inner; :")]));
    assert_eq!(only(execs).argv[0], SH);
    assert_eq!(tracer.summary().untracked, 1);
}

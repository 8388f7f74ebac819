//! What the root tests share.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use tracer::{Event, ExecEvent, Scope, Tracer};

/// A POSIX shell: in a guest it may be an applet.
pub(crate) const SH: &str = "/bin/sh";
/// A program that does nothing.
pub(crate) const TRUE: &str = "/bin/true";

/// This test executable.
#[track_caller]
pub(crate) fn self_exe() -> PathBuf {
    std::env::current_exe().expect("/proc is mounted")
}

/// The ids of all loaded programs of tracers.
pub(crate) fn loaded_programs() -> BTreeSet<u32> {
    let programs = libbpf_rs::query::ProgInfoIter::default();
    programs.filter(|program| program.name.to_string_lossy().starts_with("tracer_")).map(|program| program.id).collect()
}

/// How often the kernel says that it skipped the programs of this name.
pub(crate) fn skipped(name: &str) -> u64 {
    let programs = libbpf_rs::query::ProgInfoIter::default();
    programs.filter(|program| program.name.to_string_lossy() == name).map(|program| program.recursion_misses).sum()
}

/// Runs the command to its end and returns its execs and those of its descendants.
#[track_caller]
pub(crate) fn execs_of(tracer: &mut Tracer, command: &mut Command) -> Vec<ExecEvent> {
    let mut child = tracer.spawn(quiet(command)).expect("the command starts");
    child.wait().expect("the command ends");
    drain(tracer)
}

/// Every event that is there; they must be execs.
#[track_caller]
pub(crate) fn drain(tracer: &mut Tracer) -> Vec<ExecEvent> {
    let (execs, lost) = events(tracer);
    assert_eq!(lost, 0, "lost, besides {} execs", execs.len());
    execs
}

/// Every exec that is there, and how many are said to be lost.
#[track_caller]
pub(crate) fn events(tracer: &mut Tracer) -> (Vec<ExecEvent>, u64) {
    let (mut execs, mut lost) = (Vec::new(), 0);
    while let Some(event) = tracer.poll(Duration::ZERO).expect("the ring buffer is readable") {
        match event {
            Event::Exec(exec) => execs.push(exec),
            Event::Lost { count } => lost += count,
            other => panic!("unexpected {other:?} after {} execs", execs.len()),
        }
    }
    (execs, lost)
}

/// Without input and output.
pub(crate) fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

/// The one exec that there must be.
#[track_caller]
pub(crate) fn only(mut execs: Vec<ExecEvent>) -> ExecEvent {
    assert_eq!(execs.len(), 1, "{execs:#?}");
    execs.remove(0)
}

/// A tracer of spawned commands.
#[track_caller]
pub(crate) fn attach() -> Tracer {
    Tracer::attach(Scope::Spawned).expect("the programs load and attach")
}

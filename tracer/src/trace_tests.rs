//! Tests of a trace, over backends of the test's own.

use std::os::unix::process::ExitStatusExt;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use super::*;
use crate::options::Outcome;
use crate::queue::queue;
use crate::sample::{exec, exit, what};

/// A backend that sees these, and then waits for the stop before it ends.
fn running(seen: Vec<What>, end: Result<Ended>) -> Running {
    let (events, observed) = queue(1);
    let (stop, stopped): (Sender<()>, _) = channel();
    let thread = thread::spawn(move || {
        for what in seen {
            if !events.send(Observed { boot: Duration::ZERO, what }) {
                return end;
            }
        }
        stopped.recv().expect("a stop");
        end
    });
    let backend = Backend { name: "test", tier: None, degraded: None };
    Running { backend, observed, stop: Box::new(move || stop.send(()).unwrap_or_default()), thread }
}

fn ended(code: i32) -> Result<Ended> {
    Ok(Ended { status: Some(ExitStatus::from_raw(code << 8)), lost: Lost::default() })
}

/// Check that events come numbered and filtered, that a stop from elsewhere ends the trace, and what the summary says.
#[test]
fn a_trace_hands_out_what_the_filter_leaves_until_it_is_stopped() {
    let mut failed = exec(7);
    failed.errno = 2;
    let backend = running(vec![what(failed), what(exec(7)), exit(7, 3)], ended(3));
    let filter = Filter { outcome: Outcome::Success, ..Filter::default() };
    let mut trace = Trace::of(backend, None, filter, Clock::now());
    let stopper = trace.stopper();
    let events: Vec<_> = trace.by_ref().take(2).map(|event| (event.id, event.parent.map(|parent| parent.id))).collect();
    assert_eq!(events, [(1, None), (2, Some(1))]);
    thread::spawn(move || stopper.stop()).join().expect("it stops");
    assert_eq!(trace.next(), None);
    assert_eq!(trace.next(), None, "it stays at its end");
    let summary = trace.finish().expect("a summary");
    assert_eq!((summary.execs, summary.status.and_then(|status| status.code())), (1, Some(3)));
}

/// Check that a trace can be ended while the backend is held up by a full channel.
#[test]
fn finishing_early_does_not_hang() {
    let trace = Trace::of(
        running((1..100).map(|pid| what(exec(pid))).collect(), ended(0)),
        None,
        Filter::default(),
        Clock::now(),
    );
    assert_eq!(trace.finish().expect("a summary").execs, 99);
}

/// Check that the backend's error, and its panic, come out at the end.
#[test]
fn the_end_tells_what_the_backend_died_of() {
    let error = Err(Error::new(ErrorKind::Io, "cannot wait"));
    let trace = Trace::of(running(Vec::new(), error), None, Filter::default(), Clock::now());
    assert_eq!(trace.finish().expect_err("it failed").to_string(), "cannot wait");

    let mut backend = running(Vec::new(), ended(0));
    backend.thread = thread::spawn(|| panic!("on purpose"));
    let trace = Trace::of(backend, None, Filter::default(), Clock::now());
    assert_eq!(trace.finish().expect_err("it failed").kind(), ErrorKind::Bug);
}

/// Check that ptrace refuses the whole system in words, before it starts anything.
#[test]
fn the_whole_system_is_not_for_ptrace() {
    for backend in [BackendChoice::Ptrace, BackendChoice::Seccomp] {
        let err = Trace::start(Target::System, Options { backend, ..Options::default() }).expect_err("it is refused");
        assert_eq!(err.to_string(), "ptrace cannot trace the whole system");
        assert!(err.hint().is_some());
    }
}

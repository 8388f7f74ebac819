//! Many execs at once, and execs that are killed: whoever counts and whoever is counted must agree.

use std::collections::BTreeSet;
use std::ptr;

use nix::libc;
use rstest::rstest;
use serial_test::serial;
use tracer::event::What;
use tracer::options::BackendChoice;

use crate::compare::{Run, end, run};
use crate::facts::Ended;
use crate::workload::{self, Teller};

/// Execs of each process in the storm that fail, before one that does not.
const FAILURES: usize = 4;

/// The workload's part: `count` processes that execute and end, as many at once as a small guest has memory for.
pub(crate) fn storm(teller: Teller<'_>, count: usize) {
    const AT_ONCE: usize = 200;
    let mut running = 0;
    for _ in 0..count {
        if running == AT_ONCE {
            teller.await_any();
            running -= 1;
        }
        workload::fork(|| {
            let argv = [c"none".as_ptr(), ptr::null()];
            for _ in 0..FAILURES {
                // SAFETY: the strings live, the array ends with null, and an environment may be none.
                unsafe { libc::execve(c"/no/such/file".as_ptr(), argv.as_ptr(), ptr::null()) };
            }
            workload::become_end();
        });
        running += 1;
    }
    (0..running).for_each(|_| teller.await_any());
}

/// The workload's part: processes that are killed at some moment before, in, or after their exec.
pub(crate) fn kill(teller: Teller<'_>, count: usize) {
    for number in 0..count {
        let pid = workload::fork(workload::become_end);
        // Not to wait for something, but to be at another place each time.
        for _ in 0..number * 3 {
            std::thread::yield_now();
        }
        // SAFETY: no pointers; the child has not been waited for, so its id is nobody else's.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        teller.await_any();
    }
}

/// The ends of processes that a backend saw.
fn ends(run: &Run) -> BTreeSet<Ended> {
    let exits = run.events.iter().filter_map(|event| match &event.what {
        What::Exit(exit) => Some(Ended { tgid: exit.tgid, end: end(exit.end) }),
        _ => None,
    });
    exits.collect()
}

/// The processes that have executed, without the workload itself.
fn executed(run: &Run) -> Vec<u32> {
    let execs = run.events.iter().filter_map(|event| match &event.what {
        What::Exec(exec) if exec.errno == 0 => Some(exec.tgid),
        _ => None,
    });
    execs.skip(2).collect()
}

/// What the backend says that it has lost.
fn lost(run: &Run) -> Vec<&What> {
    run.events.iter().map(|event| &event.what).filter(|what| matches!(what, What::Lost(_) | What::Warning(_))).collect()
}

/// How many of `execs` this kernel may skip programs for. With CONFIG_PREEMPT_LAZY, which came with 6.13, it preempts those of fentry,
/// and from 7.0 on those of tracepoints, and skips them for others on that CPU meanwhile; a guest with 200 processes that wait for
/// 2 slow processors sees that now and then. On arm64 of 5.10 the calls have kprobes, and without CONFIG_PREEMPTION a kretprobe
/// serves as many calls at once as there are processors (10 at least from 6.2 on).
fn may_skip(execs: usize) -> usize {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("there");
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(7..), _) | (Some(6), Some(13..)) => execs / 50,
        (Some(..=5), _) if cfg!(target_arch = "aarch64") => execs / 2,
        _ => 0,
    }
}

/// Check that of many execs at once, of which one in five succeeds, none is missed, and each process's end is seen; or that, where
/// the kernel skips programs, what is missing is said to be lost, and is not much.
#[rstest]
#[case::ptrace(BackendChoice::Ptrace, 40)]
#[case::seccomp(BackendChoice::Seccomp, 200)]
#[case::ebpf(BackendChoice::Ebpf, 1_000)]
#[ignore = "root: loads BPF programs"]
#[serial]
fn of_many_execs_at_once_none_is_missed(#[case] backend: BackendChoice, #[case] count: usize) {
    let run = run(backend, &format!("storm {count}"));
    let said: BTreeSet<u32> = run.said_ends.iter().map(|end| end.tgid).collect();
    assert_eq!(said.len(), count);
    let (executed, ends) = (executed(&run), ends(&run));
    let seen: BTreeSet<u32> = executed.iter().copied().collect();
    assert_eq!(executed.len(), seen.len(), "none twice");
    let failed =
        run.events.iter().filter(|event| matches!(&event.what, What::Exec(exec) if exec.errno == libc::ENOENT)).count();
    assert!(failed <= count * FAILURES, "{failed} failures are more than there were");

    let missing_execs = said.difference(&seen).count() + count * FAILURES - failed;
    let missing_ends = run.said_ends.iter().filter(|end| !ends.contains(end)).count();
    let lost = lost(&run);
    let may_skip = if backend == BackendChoice::Ebpf { may_skip(count * (FAILURES + 1)) } else { 0 };
    if may_skip > 0 {
        let (said_execs, said_others) = lost.iter().fold((0, 0), |(execs, others), what| match what {
            What::Lost(lost) => (execs + lost.execs, others + lost.others),
            _ => (execs, others),
        });
        let few = said_execs + said_others <= may_skip as u64;
        let counted = missing_execs as u64 <= said_execs && missing_ends as u64 <= said_others;
        assert!(few && counted, "{missing_execs} execs and {missing_ends} ends are missing; {lost:?}");
    } else {
        let all = (missing_execs, missing_ends) == (0, 0) && lost.is_empty();
        assert!(all, "{missing_execs} execs and {missing_ends} ends are missing; {lost:?}");
    }
}

/// Check that processes that are killed while they execute do no harm: the trace goes on, and has the end of each.
#[rstest]
#[case::ptrace(BackendChoice::Ptrace)]
#[case::seccomp(BackendChoice::Seccomp)]
#[case::ebpf(BackendChoice::Ebpf)]
#[ignore = "root: loads BPF programs"]
#[serial]
fn processes_that_are_killed_while_they_execute_do_no_harm(#[case] backend: BackendChoice) {
    let run = run(backend, "kill 100");
    assert!(lost(&run).is_empty(), "{:?}", lost(&run));
    let ends = ends(&run);
    let missing: Vec<&Ended> = run.said_ends.iter().filter(|end| !ends.contains(end)).collect();
    assert!(missing.is_empty(), "not seen: {missing:?}");
    assert_eq!(run.said_ends.len(), 100);
    let killed: BTreeSet<u32> = run.said_ends.iter().map(|end| end.tgid).collect();
    assert!(executed(&run).iter().all(|tgid| killed.contains(tgid)), "an exec of nobody");
}

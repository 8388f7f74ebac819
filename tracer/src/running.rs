//! What a backend gives to [`Trace`](crate::Trace): [`Running`], the same for all.

use std::process::ExitStatus;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::Result;
use crate::event::{Lost, What};
use crate::queue::Source;

/// What a backend has seen; what it hangs together with, [`Lineage`](crate::lineage::Lineage) finds out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Observed {
    /// Time since boot (`CLOCK_BOOTTIME`).
    pub(crate) boot: Duration,
    /// What happened.
    pub(crate) what: What,
}

/// What sees the execs, in words for the metadata and the summary of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// `ptrace`, `seccomp` (which is ptrace with a filter) or `ebpf`.
    pub name: &'static str,
    /// How it is attached, if there is more than one way: `fentry`, `kprobe`, `tracepoint`.
    pub tier: Option<String>,
    /// Why it sees less, or costs more, than it does elsewhere; `None` at its best.
    pub degraded: Option<String>,
}

/// A backend at work, on a thread of its own. The queue is bounded: who does not read holds up the backend.
pub(crate) struct Running {
    /// What it is.
    pub(crate) backend: Backend,
    /// What it sees, in order; closed when the trace has ended.
    pub(crate) observed: Source<Observed>,
    /// Ends the trace: detaches, leaves the traced processes running. May be called again, from any thread.
    pub(crate) stop: Box<dyn Fn() + Send + Sync>,
    /// The backend's thread.
    pub(crate) thread: JoinHandle<Result<Ended>>,
}

/// How a trace ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// That of the command, if there was one and it ended.
    pub(crate) status: Option<ExitStatus>,
    /// What was lost in all.
    pub(crate) lost: Lost,
}

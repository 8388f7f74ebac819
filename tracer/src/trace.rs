//! A trace under way: [`Trace`].

use std::fmt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::JoinHandle;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Lost, What};
use crate::lineage::Lineage;
use crate::options::{BackendChoice, Filter, Options, Target};
use crate::queue::Source;
use crate::running::{Ended, Observed, Running};
use crate::{ebpf, ptrace};

pub use crate::running::Backend;

/// A trace under way: an iterator of its events, which ends with the trace.
///
/// Who does not take the events holds up what is traced, or loses events, by the backend. Dropping it detaches and leaves
/// the traced processes running.
pub struct Trace {
    // `None` once the trace has ended and all of it has been handed out.
    observed: Option<Source<Observed>>,
    stop: Arc<dyn Fn() + Send + Sync>,
    // 0 before its first exec, and after its end.
    command_pid: Arc<AtomicI32>,
    is_command: bool,
    thread: Option<JoinHandle<Result<Ended>>>,
    backend: Backend,
    fallback: Option<String>,
    clock: Clock,
    filter: Filter,
    lineage: Lineage,
    execs: u64,
}

/// What a trace came to.
#[derive(Clone, Debug)]
pub struct Summary {
    /// That of the command, if there was one and it has ended.
    pub status: Option<ExitStatus>,
    /// Execs that were handed out.
    pub execs: u64,
    /// What was lost in all.
    pub lost: Lost,
    /// What saw the execs.
    pub backend: Backend,
    /// Why it was not eBPF, if the choice was left to us and fell on something else.
    pub fallback: Option<String>,
}

/// Ends a trace, from any thread: what has been seen by then is still handed out.
#[derive(Clone)]
pub struct Stopper {
    stop: Arc<dyn Fn() + Send + Sync>,
    command_pid: Arc<AtomicI32>,
}

impl Trace {
    /// Starts to trace; a command is started too.
    ///
    /// # Errors
    /// [`ErrorKind::Spawn`] if the command cannot be started; others if the backend cannot work here, or for this target.
    pub fn start(target: Target, options: Options) -> Result<Self> {
        let clock = Clock::now();
        let (running, fallback) = begin(&target, &options)?;
        let is_command = matches!(target, Target::Command(_));
        let mut trace = Self::of(running, fallback, options.filter, clock);
        trace.is_command = is_command;
        Ok(trace)
    }

    fn of(running: Running, fallback: Option<String>, filter: Filter, clock: Clock) -> Self {
        let Running { backend, observed, stop, thread } = running;
        Self {
            observed: Some(observed),
            stop: stop.into(),
            command_pid: Arc::default(),
            is_command: false,
            thread: Some(thread),
            backend,
            fallback,
            clock,
            filter,
            lineage: Lineage::default(),
            execs: 0,
        }
    }

    /// What sees the execs.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Why it is not eBPF, if the choice was left to us and fell on something else.
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// When the trace began, by both clocks.
    pub fn started(&self) -> crate::event::Time {
        self.clock.start()
    }

    /// What ends the trace before its time, from any thread.
    pub fn stopper(&self) -> Stopper {
        Stopper { stop: Arc::clone(&self.stop), command_pid: Arc::clone(&self.command_pid) }
    }

    /// Ends the trace, if it has not ended, and says what it came to. Events that were not taken are dropped.
    ///
    /// # Errors
    /// What made the backend give up.
    pub fn finish(mut self) -> Result<Summary> {
        if self.observed.is_some() {
            (self.stop)();
        }
        self.by_ref().for_each(drop);
        let thread = self.thread.take();
        let ended = thread.map(JoinHandle::join).transpose();
        // The payload of a panic has been printed by the panic hook.
        let Ok(Some(ended)) = ended else {
            return Err(Error::new(ErrorKind::Bug, "the backend's thread panicked"));
        };
        let Ended { status, lost } = ended?;
        let (backend, fallback) = (self.backend.clone(), self.fallback.take());
        Ok(Summary { status, execs: self.execs, lost, backend, fallback })
    }
}

impl Trace {
    /// The first that executes anything is the command.
    fn watch_command(&mut self, what: &What) {
        let pid = |tgid| i32::try_from(tgid).unwrap_or(0);
        match what {
            What::Exec(exec) if self.is_command => {
                self.is_command = false;
                self.command_pid.store(pid(exec.tgid), Ordering::Relaxed);
            }
            What::Exit(exit) if self.command_pid.load(Ordering::Relaxed) == pid(exit.tgid) => {
                self.command_pid.store(0, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

impl Iterator for Trace {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            let Some(Observed { boot, what }) = self.observed.as_mut()?.next() else {
                self.observed = None;
                return None;
            };
            self.watch_command(&what);
            let shown = match &what {
                What::Exec(exec) => self.filter.shows(exec),
                _ => true,
            };
            if let Some(event) = self.lineage.place(what, self.clock.at(boot), shown) {
                self.execs += u64::from(matches!(event.what, What::Exec(_)));
                return Some(event);
            }
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        (self.stop)();
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("backend", &self.backend).field("execs", &self.execs).finish_non_exhaustive()
    }
}

impl Stopper {
    /// Ends the trace. May be called again, and after the end.
    pub fn stop(&self) {
        (self.stop)();
    }

    /// Sends the command a signal, so that the trace ends when it does. `false` if there is no command, or if it has not
    /// executed anything yet, or has ended.
    pub fn signal_command(&self, signal: i32) -> bool {
        let pid = self.command_pid.load(Ordering::Relaxed);
        // SAFETY: no pointers. The id is a positive one of a child that has not been handed out as ended.
        pid > 0 && unsafe { nix::libc::kill(pid, signal) } == 0
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopper").finish_non_exhaustive()
    }
}

/// Starts the backend that was chosen; if the choice is ours, says why it is not eBPF.
fn begin(target: &Target, options: &Options) -> Result<(Running, Option<String>)> {
    match (options.backend, target) {
        (BackendChoice::Ebpf, _) => Ok((ebpf::start(target, options)?, None)),
        (BackendChoice::Ptrace | BackendChoice::Seccomp, Target::System) => {
            Err(Error::new(ErrorKind::Unsupported, "ptrace cannot trace the whole system")
                .with_hint("give a command after `--`, or the processes with `--attach`, or let eBPF do it"))
        }
        (BackendChoice::Ptrace | BackendChoice::Seccomp, _) => Ok((ptrace::start(target, options)?, None)),
        (BackendChoice::Auto, Target::System) => Ok((ebpf::start(target, options)?, None)),
        (BackendChoice::Auto, _) => match ebpf::start(target, options) {
            Ok(running) => Ok((running, None)),
            Err(err) if is_about_ebpf(&err) => Ok((ptrace::start(target, options)?, Some(err.to_string()))),
            Err(err) => Err(err),
        },
    }
}

/// The error is one of eBPF on this machine: ptrace may do better.
fn is_about_ebpf(err: &Error) -> bool {
    matches!(err.kind(), ErrorKind::Privilege | ErrorKind::MissingBtf | ErrorKind::Unsupported)
}

#[cfg(test)]
#[path = "trace_tests.rs"]
mod tests;

//! The ptrace backend, with and without a seccomp filter: [`start`].
//!
//! One thread traces: it forks the command, attaches to it, and takes all stops. Without a filter the tracees stop at
//! every system call; with one only at execs, at process creation and at signals.
//!
//! The filter outlives the tracer in what it was put on, and a call that it hands to a tracer that is not there fails
//! with `ENOSYS`. So with a filter, and only then, the death of the tracer kills the tracees (`PTRACE_O_EXITKILL`), and
//! a trace that is stopped before its time leaves processes behind whose execs fail; a warning says so.

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;

use nix::sys::eventfd::EventFd;

use crate::error::{Error, ErrorKind, Result};
use crate::options::{BackendChoice, Launch, Options, SeccompChoice, Target, Wait};
use crate::queue::{Sink, queue};
use crate::running::{Backend, Ended, Observed, Running};

mod abi;
mod attach;
mod engine;
mod exec;
mod launch;
mod memory;
mod proc;
mod seccomp;
mod stop;
mod sys;
mod waker;

use engine::Engine;
use launch::{Command, Report};
use seccomp::Filter;
use waker::Waker;

/// Events that are kept for a slow reader before the tracees are held up.
const EVENTS: usize = 128;

/// Starts a trace by ptrace(2); `options.backend` and `options.seccomp` say whether with a filter.
pub(crate) fn start(target: &Target, options: &Options) -> Result<Running> {
    let (filter, degraded) = choose_filter(target, options)?;
    let filtered = filter.is_some();
    let what = match target {
        Target::System => {
            let err = Error::new(ErrorKind::Unsupported, "ptrace cannot trace the whole system");
            return Err(err.with_hint("give a command or process ids, or use eBPF"));
        }
        Target::Command(launch) => Tracees::Command(Box::new(Command::new(launch, filter)?)),
        Target::Processes(pids) => Tracees::Processes(pids.clone()),
    };
    let told = Waker::event().map_err(|err| Error::io("cannot make an eventfd", err))?;
    let (sink, observed) = queue(EVENTS);
    let (ready, is_ready) = mpsc::channel();
    let thread = {
        let (told, options) = (Arc::clone(&told), options.clone());
        let run = move || trace(&what, filtered, &options, sink, &ready, &told);
        thread::Builder::new().name("tracer".into()).spawn(run)
    };
    let thread = thread.map_err(|err| Error::io("cannot start a thread", err))?;
    let started = match (is_ready.recv(), target) {
        (Ok(Some(report)), Target::Command(launch)) => report.read(launch),
        (Ok(_), _) => Ok(()),
        // It has ended instead, and says why.
        (Err(_), _) => Err(Error::new(ErrorKind::Bug, "the tracer's thread panicked")),
    };
    if let Err(err) = started {
        // Nobody will take the events.
        drop(observed);
        return Err(match thread.join() {
            Ok(Err(err)) => err,
            Ok(Ok(_)) | Err(_) => err,
        });
    }
    let stop = Box::new(move || {
        // OK because adding 1 to its counter fails only when that is full.
        let _ = told.write(1);
    });
    let name = if filtered { "seccomp" } else { "ptrace" };
    Ok(Running { backend: Backend { name, tier: None, degraded }, observed, stop, thread })
}

/// What is traced from the beginning.
enum Tracees {
    Command(Box<Command>),
    Processes(Vec<u32>),
}

/// The tracer's thread, from beginning to end. It says that it is ready when it is attached.
fn trace(
    what: &Tracees,
    filtered: bool,
    options: &Options,
    sink: Sink<Observed>,
    ready: &Sender<Option<Report>>,
    told: &Arc<EventFd>,
) -> Result<Ended> {
    let waker = Waker::new(told).map_err(|err| Error::io("cannot fork", err))?;
    let mut engine = Engine::new(filtered, options.collect, options.wait, sink, waker.pid);
    let attached = match what {
        Tracees::Command(command) => command.fork().and_then(|waiting| {
            attach::command(&mut engine, waiting.pid, filtered)?;
            Ok(Some(waiting.go()))
        }),
        Tracees::Processes(pids) => attach::processes(&mut engine, pids).map(|()| None),
    };
    // OK because whoever started this thread waits for the word.
    let _ = ready.send(attached?);
    engine.run()
}

/// The filter, if there is to be one, and why there is none although it would do.
fn choose_filter(target: &Target, options: &Options) -> Result<(Option<Filter>, Option<String>)> {
    let choice = if options.backend == BackendChoice::Seccomp { SeccompChoice::On } else { options.seccomp };
    let no_new_privs = !may_install_filters();
    let against = match target {
        Target::Command(launch) => objection(launch, options.wait, no_new_privs),
        _ => Some(("a seccomp filter cannot be put on a process that runs", true)),
    };
    let against = match against {
        None if !Filter::is_available() => Some(("this kernel has no seccomp filters", true)),
        against => against,
    };
    match (choice, against) {
        (SeccompChoice::Off, _) => Ok((None, None)),
        (SeccompChoice::On, Some((why, true))) => Err(Error::new(ErrorKind::Unsupported, why)),
        (SeccompChoice::Auto, Some((why, _))) => Ok((None, Some(why.to_owned()))),
        (SeccompChoice::Auto | SeccompChoice::On, _) => Ok((Some(Filter::new(no_new_privs)), None)),
    }
}

/// Why a command would notice the filter.
fn objection(launch: &Launch, wait: Wait, no_new_privs: bool) -> Option<(&'static str, bool)> {
    if launch.user.is_some() && no_new_privs {
        return Some(("a filter would keep another user's setuid programs from working", false));
    }
    if wait == Wait::Root {
        return Some(("the execs of processes that survive the command would fail, by the filter that stays", false));
    }
    None
}

/// Whether this thread has `CAP_SYS_ADMIN`, and needs no `no_new_privs` for a filter.
fn may_install_filters() -> bool {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let caps = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    caps.and_then(|caps| u64::from_str_radix(caps.trim(), 16).ok()).is_some_and(|caps| caps & CAP_SYS_ADMIN != 0)
}
/// Decodes these bytes in every way: for the fuzz targets.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let _ = (proc::Status::decode(bytes), proc::Stat::decode(bytes), proc::decode_cgroup(bytes));
    let _ = (proc::FdInfo::decode(bytes), stop::SyscallInfo::decode(bytes));
    let status = bytes.first_chunk().map(|status| i32::from_ne_bytes(*status));
    let _ = status.map(stop::Stop::decode);
}

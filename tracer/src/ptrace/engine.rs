//! The tracer's loop: [`Engine`] takes the tracees' stops, one after another, and lets them go on.

use std::collections::{BTreeSet, HashMap};
use std::process::ExitStatus;

use nix::errno::Errno;

use super::exec::Entered;
use super::proc::Status;
use super::stop::Stop;
use super::sys::{self, Resume};
use crate::error::{Error, Result};
use crate::event::{End, Lost, What};
use crate::options::{Collect, Wait};
use crate::queue::Sink;
use crate::running::{Ended, Observed};

mod calls;
mod leave;
mod tasks;

pub(super) use self::calls::no_syscall_info;

/// A traced thread. There is one of these as long as its end has not been reported, and no longer.
#[derive(Debug)]
struct Tracee {
    /// Its process.
    tgid: u32,
    call: InCall,
}

impl Tracee {
    fn new(tgid: u32) -> Self {
        Self { tgid, call: InCall::Unknown }
    }
}

/// The system call that a thread is in, by what the kernel said of the stop at its entry.
#[derive(Debug)]
enum InCall {
    /// None that is known of: the kernel is asked at the next stop.
    Unknown,
    /// One that is no exec. When it stops at a system call next, that is its exit, and the kernel need not be asked. Any
    /// stop that only comes after the exit, as for a signal, means that there was none: then it is not known again.
    Other,
    /// An exec.
    Exec(Box<Entered>),
}

/// A thread of which the one that made it has not said so yet: it can be quicker.
#[derive(Clone, Copy, Debug)]
enum Early {
    /// It is stopped, and stays so.
    Stopped(Stop),
    /// It has been killed before anything else.
    Ended(End),
    /// It was taken in without a word. That may never come, so this may be about a former bearer of the id.
    Adopted,
}

/// All that is traced, by thread id. Ids are not used again before the end of their last bearer has been reported here.
pub(super) struct Engine {
    /// Whether a filter stops the tracees at an exec; without it they stop at every system call.
    filtered: bool,
    collect: Collect,
    wait: Wait,
    sink: Sink<Observed>,
    /// The process whose end ends the process of ending: see [`Waker`](super::waker::Waker).
    waker: u32,
    tracees: HashMap<u32, Tracee>,
    early: HashMap<u32, Early>,
    /// The processes that the trace began with, those that have not ended.
    roots: BTreeSet<u32>,
    command: Option<u32>,
    status: Option<ExitStatus>,
    lost: Lost,
    /// Nobody takes the events any more.
    unheard: bool,
}

impl Engine {
    pub(super) fn new(filtered: bool, collect: Collect, wait: Wait, sink: Sink<Observed>, waker: u32) -> Self {
        Self {
            filtered,
            collect,
            wait,
            sink,
            waker,
            tracees: HashMap::new(),
            early: HashMap::new(),
            roots: BTreeSet::new(),
            command: None,
            status: None,
            lost: Lost::default(),
            unheard: false,
        }
    }

    /// Takes over a thread that has just been attached to.
    pub(super) fn add(&mut self, tid: u32, tgid: u32) {
        self.roots.insert(tgid);
        self.tracees.insert(tid, Tracee::new(tgid));
    }

    /// Makes this process the one whose exit status is that of the trace.
    pub(super) fn set_command(&mut self, tgid: u32) {
        self.command = Some(tgid);
    }

    /// Whether this thread is traced.
    pub(super) fn has(&self, tid: u32) -> bool {
        self.tracees.contains_key(&tid)
    }

    /// Whether any thread of this process is traced.
    pub(super) fn has_process(&self, tgid: u32) -> bool {
        self.roots.contains(&tgid)
    }

    /// Traces until the end: that of what is waited for, or until the trace is stopped.
    pub(super) fn run(mut self) -> Result<Ended> {
        while !self.is_over() {
            let (tid, status) = sys::wait().map_err(|err| Error::io("cannot wait for the traced processes", err))?;
            if tid == self.waker {
                break;
            }
            self.take(tid, Stop::decode(status), status)?;
        }
        self.let_go()?;
        Ok(Ended { status: self.status, lost: self.lost })
    }

    fn is_over(&self) -> bool {
        let ended = match self.wait {
            Wait::All => self.tracees.is_empty(),
            Wait::Root => self.roots.is_empty(),
        };
        ended || self.unheard
    }

    fn take(&mut self, tid: u32, stop: Stop, status: i32) -> Result<()> {
        if let Stop::Ended(end) = stop {
            self.ended(tid, end, status);
            return Ok(());
        }
        let Some(tracee) = self.tracees.get_mut(&tid) else {
            return self.take_unknown(tid, stop);
        };
        if let InCall::Other = tracee.call
            && stop != Stop::NewTask
        {
            tracee.call = InCall::Unknown;
            if stop == Stop::Syscall {
                return self.resume(tid, Resume::Syscall, 0);
            }
        }
        let mut signal = 0;
        match stop {
            Stop::Syscall | Stop::Seccomp => self.at_system_call(tid)?,
            Stop::NewTask => self.new_task(tid)?,
            Stop::Exec => self.executed(tid),
            Stop::Group(_) => return self.resume(tid, Resume::Listen, 0),
            Stop::Signal(number) => signal = number,
            Stop::Unknown => self.tell(What::Warning(format!("process {tid} stopped for a reason that is not known"))),
            Stop::Trap | Stop::Ended(_) => {}
        }
        self.go_on(tid, signal)
    }

    /// A stop of a thread that is not in the table. One that has executed in another's place is only there from then on.
    fn take_unknown(&mut self, tid: u32, stop: Stop) -> Result<()> {
        if stop == Stop::Exec {
            self.executed(tid);
            return self.go_on(tid, 0);
        }
        self.early.insert(tid, Early::Stopped(stop));
        Ok(())
    }

    fn go_on(&self, tid: u32, signal: i32) -> Result<()> {
        // In an exec the exit is waited for, also across signals: to go on to the next stop of the filter would miss it.
        let in_exec = || self.tracees.get(&tid).is_some_and(|tracee| matches!(tracee.call, InCall::Exec(_)));
        let how = if self.filtered && !in_exec() { Resume::Continue } else { Resume::Syscall };
        self.resume(tid, how, signal)
    }

    /// Killed meanwhile is fine at any point: its end will be reported.
    fn resume(&self, tid: u32, how: Resume, signal: i32) -> Result<()> {
        match sys::resume(tid, how, signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(err) => Err(Error::io(format!("cannot let process {tid} go on"), err)),
        }
    }

    fn tell(&mut self, what: What) {
        self.unheard |= !self.sink.send(Observed { boot: sys::boot_time(), what });
    }
}

/// Whether this very thread traces it now.
fn is_traced(tid: u32) -> bool {
    let me = nix::unistd::gettid().as_raw().cast_unsigned();
    Status::of(tid).is_ok_and(|status| status.tracer == me)
}

//! The tracer's loop: [`Engine`] takes the tracees' stops, one after another, and lets them go on.

use std::collections::{BTreeSet, HashMap};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::mpsc::SyncSender;

use nix::errno::Errno;

use super::abi::Called;
use super::exec::Entered;
use super::proc::Status;
use super::stop::{Stop, SyscallInfo};
use super::sys::{self, Resume};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Child, End, Exec, Exit, Lost, What};
use crate::options::{Collect, Wait};
use crate::running::{Ended, Observed};

/// A traced thread. There is one of these as long as its end has not been reported, and no longer.
#[derive(Debug)]
struct Tracee {
    /// Its process.
    tgid: u32,
    /// It is in an exec.
    entered: Option<Box<Entered>>,
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
    sink: SyncSender<Observed>,
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
    pub(super) fn new(filtered: bool, collect: Collect, wait: Wait, sink: SyncSender<Observed>, waker: u32) -> Self {
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
        self.tracees.insert(tid, Tracee { tgid, entered: None });
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
        if !self.tracees.contains_key(&tid) && stop != Stop::Exec {
            self.early.insert(tid, Early::Stopped(stop));
            return Ok(());
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
        // In an exec the exit is waited for, also across signals: to go on to the next stop of the filter would miss it.
        let in_exec = self.tracees.get(&tid).is_some_and(|tracee| tracee.entered.is_some());
        let how = if self.filtered && !in_exec { Resume::Continue } else { Resume::Syscall };
        self.resume(tid, how, signal)
    }

    /// Killed meanwhile is fine at any point: its end will be reported.
    fn resume(&self, tid: u32, how: Resume, signal: i32) -> Result<()> {
        match sys::resume(tid, how, signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(err) => Err(Error::io(format!("cannot let process {tid} go on"), err)),
        }
    }

    fn at_system_call(&mut self, tid: u32) -> Result<()> {
        let info = match sys::syscall_info(tid) {
            Ok(info) => info,
            Err(Errno::ESRCH) => return Ok(()),
            Err(errno) => return Err(no_syscall_info(tid, errno)),
        };
        let Some(tracee) = self.tracees.get_mut(&tid) else { return Ok(()) };
        match info {
            SyscallInfo::Entry { audit_arch, number, args } => {
                // With a filter and a debugger's stop at once there would be two for one call; the last one counts.
                let called = Called::decode(audit_arch, number, &args);
                tracee.entered = called.map(|called| Box::new(Entered::read(tid, called, &self.collect)));
            }
            SyscallInfo::Exit(result) => {
                let tgid = tracee.tgid;
                if let Some(entered) = tracee.entered.take() {
                    self.returned(tgid, *entered, result);
                }
            }
            SyscallInfo::None => {}
        }
        Ok(())
    }

    fn returned(&mut self, tgid: u32, entered: Entered, result: i64) {
        // ERESTARTSYS, ERESTARTNOINTR and so on, which no program sees: the call will be made again.
        const RESTARTS: std::ops::RangeInclusive<i64> = -516..=-512;
        if RESTARTS.contains(&result) || (result == 0 && !entered.called().call.is_check()) {
            return;
        }
        let errno = i32::try_from(-result).unwrap_or(0);
        let exec = entered.returned(tgid, errno, &self.collect);
        self.exec(exec);
    }

    /// An exec has succeeded. All other threads of the process are gone; the one that called has got the leader's id, and
    /// neither its own end nor the leader's is ever reported.
    fn executed(&mut self, tgid: u32) {
        let former = sys::message(tgid).unwrap_or(tgid);
        let caller = self.tracees.remove(&former);
        if former != tgid {
            self.tracees.retain(|_, tracee| tracee.tgid != tgid);
        }
        self.tracees.insert(tgid, Tracee { tgid, entered: None });
        match caller.and_then(|caller| caller.entered) {
            Some(entered) => {
                let exec = entered.succeeded(tgid, &self.collect);
                self.exec(exec);
            }
            // It had begun before it was traced; or a filter of its own had it decided on by a supervisor.
            None => {
                self.lost.execs += 1;
                self.tell(What::Lost(Lost { execs: 1, ..Lost::default() }));
            }
        }
    }

    fn new_task(&mut self, parent: u32) -> Result<()> {
        // Without an answer the parent has been killed, and its child is found as one whose parent is not known.
        let (Ok(tid), Some(tracee)) = (sys::message(parent), self.tracees.get(&parent)) else { return Ok(()) };
        let parent_tgid = tracee.tgid;
        if tid == 0 {
            return Ok(());
        }
        let early = match self.early.remove(&tid) {
            Some(Early::Adopted) if !is_traced(tid) => return Ok(()),
            early => early,
        };
        if self.tracees.contains_key(&tid) {
            return Ok(());
        }
        let tgid = if sys::is_thread_of(tid, parent_tgid) { parent_tgid } else { tid };
        if tgid == tid {
            self.tell(What::Child(Child { parent_tgid, tgid }));
        }
        match early {
            Some(Early::Ended(end)) if !is_traced(tid) => {
                if tgid == tid {
                    self.tell(What::Exit(Exit { tgid, end }));
                }
                Ok(())
            }
            early => {
                self.tracees.insert(tid, Tracee { tgid, entered: None });
                match early {
                    Some(Early::Stopped(stop)) => self.take(tid, stop, 0),
                    _ => Ok(()),
                }
            }
        }
    }

    fn ended(&mut self, tid: u32, end: End, status: i32) {
        let Some(tracee) = self.tracees.remove(&tid) else {
            self.early.insert(tid, Early::Ended(end));
            return;
        };
        let tgid = tracee.tgid;
        // The leader's end is reported after that of all other threads; but a leader that had ended when we attached is
        // not one of ours.
        let last = tid == tgid
            || !self.tracees.contains_key(&tgid) && !self.tracees.values().any(|tracee| tracee.tgid == tgid);
        if last {
            self.roots.remove(&tgid);
            if self.command == Some(tgid) {
                self.status = Some(ExitStatus::from_raw(status));
            }
            self.tell(What::Exit(Exit { tgid, end }));
        }
        self.adopt();
    }

    /// Takes in those who wait for a word of the one that made them, which may just have been killed before it could say it.
    fn adopt(&mut self) {
        let stopped = self.early.iter().filter_map(|(tid, early)| match early {
            Early::Stopped(stop) => Some((*tid, *stop)),
            Early::Ended(_) | Early::Adopted => None,
        });
        for (tid, stop) in stopped.collect::<Vec<_>>() {
            self.early.insert(tid, Early::Adopted);
            let tgid = match Status::of(tid) {
                Ok(Status { tgid, ppid, .. }) => {
                    if tgid == tid {
                        self.tell(What::Child(Child { parent_tgid: ppid, tgid }));
                    }
                    tgid
                }
                // Its own end will be reported too.
                Err(_) => tid,
            };
            self.tracees.insert(tid, Tracee { tgid, entered: None });
            // OK because whatever fails here fails again at this tracee's next stop.
            let _ = self.take(tid, stop, 0);
        }
    }

    fn exec(&mut self, exec: Exec) {
        self.tell(What::Exec(Box::new(exec)));
    }

    fn tell(&mut self, what: What) {
        self.unheard |= self.sink.send(Observed { boot: sys::boot_time(), what }).is_err();
    }

    /// Detaches from all that is left. Without a filter the kernel does that when this thread ends, and it does not have
    /// to stop anything for it. With one it would kill them: see [`super`].
    fn let_go(&mut self) -> Result<()> {
        if !self.filtered || self.tracees.is_empty() && self.early.is_empty() {
            return Ok(());
        }
        let count = self.tracees.iter().filter(|(tid, tracee)| **tid == tracee.tgid).count();
        let warning = format!("{count} processes go on untraced; by the seccomp filter their execs fail with ENOSYS");
        self.tell(What::Warning(warning));
        for (tid, early) in std::mem::take(&mut self.early) {
            if let Early::Stopped(_) = early {
                self.resume(tid, Resume::Detach, 0)?;
            }
        }
        for tid in self.tracees.keys() {
            // One that is stopped says ESRCH or nothing at all, and one that has ended ESRCH; both report themselves.
            let _ = sys::interrupt(*tid);
        }
        while !self.tracees.is_empty() {
            let (tid, status) = match sys::wait() {
                Ok(waited) => waited,
                Err(Errno::ECHILD) => break,
                Err(err) => return Err(Error::io("cannot wait for the traced processes", err)),
            };
            let signal = match Stop::decode(status) {
                Stop::Ended(_) => {
                    self.tracees.remove(&tid);
                    continue;
                }
                Stop::Signal(number) => number,
                Stop::NewTask => {
                    // The child is stopped, or will be, unless it was quicker and has been let go already.
                    let child = sys::message(tid).unwrap_or(0);
                    if is_traced(child) {
                        self.tracees.entry(child).or_insert(Tracee { tgid: child, entered: None });
                    }
                    0
                }
                Stop::Exec => {
                    let former = sys::message(tid).unwrap_or(tid);
                    self.tracees.remove(&former);
                    0
                }
                _ => 0,
            };
            self.tracees.remove(&tid);
            self.resume(tid, Resume::Detach, signal)?;
        }
        Ok(())
    }
}

/// Why a tracee's system call cannot be seen.
pub(super) fn no_syscall_info(tid: u32, errno: Errno) -> Error {
    if errno != Errno::EIO {
        return Error::io(format!("cannot see the system call of process {tid}"), errno);
    }
    Error::new(ErrorKind::Unsupported, "this kernel does not tell a tracer the system call")
        .with_source(errno)
        .with_hint("ptrace needs Linux 5.3 or newer: PTRACE_GET_SYSCALL_INFO")
}

/// Whether this very thread traces it now.
fn is_traced(tid: u32) -> bool {
    let me = nix::unistd::gettid().as_raw().cast_unsigned();
    Status::of(tid).is_ok_and(|status| status.tracer == me)
}

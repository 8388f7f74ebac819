//! Stops at system calls, and the execs that they make: that part of [`Engine`].

use nix::errno::Errno;

use super::{Engine, InCall, Tracee};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Lost, What};
use crate::ptrace::abi::Called;
use crate::ptrace::exec::Entered;
use crate::ptrace::stop::SyscallInfo;
use crate::ptrace::sys;

impl Engine {
    pub(super) fn at_system_call(&mut self, tid: u32) -> Result<()> {
        let info = match sys::syscall_info(tid) {
            Ok(info) => info,
            Err(Errno::ESRCH) => return Ok(()),
            Err(errno) => return Err(no_syscall_info(tid, errno)),
        };
        let Some(tracee) = self.tracees.get_mut(&tid) else { return Ok(()) };
        match info {
            SyscallInfo::Entry { audit_arch, number, args } => {
                // With a filter and a debugger's stop at once there would be two for one call; the last one counts.
                tracee.call = match Called::decode(audit_arch, number, &args) {
                    Some(called) => InCall::Exec(Box::new(Entered::read(tid, called, &self.collect))),
                    // It goes on without a stop at the exit.
                    None if self.filtered => InCall::Unknown,
                    None => InCall::Other,
                };
            }
            SyscallInfo::Exit(result) => {
                let tgid = tracee.tgid;
                if let InCall::Exec(entered) = std::mem::replace(&mut tracee.call, InCall::Unknown) {
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
        self.tell(What::Exec(Box::new(exec)));
    }

    /// An exec has succeeded. All other threads of the process are gone; the one that called has got the leader's id, and
    /// neither its own end nor the leader's is ever reported.
    pub(super) fn executed(&mut self, tgid: u32) {
        let former = sys::message(tgid).unwrap_or(tgid);
        let caller = self.tracees.remove(&former);
        if former != tgid {
            self.tracees.retain(|_, tracee| tracee.tgid != tgid);
        }
        self.tracees.insert(tgid, Tracee::new(tgid));
        match caller.map(|caller| caller.call) {
            Some(InCall::Exec(entered)) => {
                let exec = entered.succeeded(tgid, &self.collect);
                self.tell(What::Exec(Box::new(exec)));
            }
            // It had begun before it was traced; or a filter of its own had it decided on by a supervisor.
            _ => {
                self.lost.execs += 1;
                self.tell(What::Lost(Lost { execs: 1, ..Lost::default() }));
            }
        }
    }
}

/// Why a tracee's system call cannot be seen.
pub(in crate::ptrace) fn no_syscall_info(tid: u32, errno: Errno) -> Error {
    if errno != Errno::EIO {
        return Error::io(format!("cannot see the system call of process {tid}"), errno);
    }
    Error::new(ErrorKind::Unsupported, "this kernel does not tell a tracer the system call")
        .with_source(errno)
        .with_hint("ptrace needs Linux 5.3 or newer: PTRACE_GET_SYSCALL_INFO")
}

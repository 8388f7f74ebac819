//! The end of a trace before that of its processes: that part of [`Engine`].

use nix::errno::Errno;

use super::{Early, Engine, Tracee, is_traced};
use crate::error::{Error, Result};
use crate::event::What;
use crate::ptrace::stop::Stop;
use crate::ptrace::sys::{self, Resume};

impl Engine {
    /// Detaches from all that is left. Without a filter the kernel does that when this thread ends, and it does not have
    /// to stop anything for it. With one it would kill them: see [`super`].
    pub(super) fn let_go(&mut self) -> Result<()> {
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
                        self.tracees.entry(child).or_insert(Tracee::new(child));
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

//! New threads and processes, and their ends: that part of [`Engine`].

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::{Early, Engine, Tracee, is_traced};
use crate::error::Result;
use crate::event::{Child, End, Exit, What};
use crate::ptrace::proc::Status;
use crate::ptrace::sys;

impl Engine {
    pub(super) fn new_task(&mut self, parent: u32) -> Result<()> {
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
                self.tracees.insert(tid, Tracee::new(tgid));
                match early {
                    Some(Early::Stopped(stop)) => self.take(tid, stop, 0),
                    _ => Ok(()),
                }
            }
        }
    }

    pub(super) fn ended(&mut self, tid: u32, end: End, status: i32) {
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
            self.tracees.insert(tid, Tracee::new(tgid));
            // OK because whatever fails here fails again at this tracee's next stop.
            let _ = self.take(tid, stop, 0);
        }
    }
}

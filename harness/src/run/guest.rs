//! A guest in which tests run: [`Guest`].

use std::time::Duration;

use tokio::time::timeout;

use super::outcome::{Loss, PhaseName, Verdict};
use crate::vm::ssh::{Session, SshError};
use crate::vm::{Stage, Vm, VmError};

/// A guest that is up.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) vm: Vm,
    pub(super) session: Session,
    /// The number of this VM among those of its job, from 1.
    pub(super) attempt: usize,
    /// The console's log, relative to the run's directory.
    pub(super) console_log: String,
    /// When QEMU was started, in seconds since the jobs of the run began.
    pub(super) started: f64,
    /// How many tests have ended in it.
    pub(super) tested: u64,
}

impl Guest {
    /// What the kernel has complained of so far, if it has, as a loss of whatever runs in it: a kernel that is in doubt
    /// makes every result doubtful.
    pub(super) fn complaint_of_boot(&self) -> Option<Loss> {
        let complaint = self.vm.console().complaints().into_iter().next()?;
        let reason = format!("the kernel complained while it booted: {}", complaint.title);
        Some(Loss { verdict: Verdict::Fail, phase: PhaseName::Boot, reason, log: Some(self.console_log.clone()) })
    }

    /// Waits until everything is read that the kernel said up to the end of the last test. A guest that has fallen silent
    /// shows itself at the next test.
    pub(super) async fn hear_tested(&mut self) {
        const DEADLINE: Duration = Duration::from_secs(10);
        self.tested += 1;
        drop(timeout(DEADLINE, self.vm.console().wait_for_init("tested", self.tested)).await);
    }

    /// Why the session ended: the guest's own last words where it has some, else what ssh says.
    pub(super) async fn lost(&mut self, phase: PhaseName, error: SshError) -> Loss {
        let cause = self.vm.lost_or(Stage::Use, |evidence| VmError::Connect { source: error, evidence }).await;
        vm_loss(phase, &cause, &self.console_log)
    }
}

/// A loss of the guest itself, told by the console.
pub(super) fn vm_loss(phase: PhaseName, error: &VmError, console_log: &str) -> Loss {
    let verdict = if error.is_timeout() { Verdict::Timeout } else { Verdict::Lost };
    Loss { verdict, phase, reason: error.to_string(), log: Some(console_log.to_owned()) }
}

//! Times the boot of a guest with and without what the harness does in it: [`boot_times`].

use std::path::Path;
use std::time::{Duration, Instant};

use super::execute::{self, TestOptions};
use crate::matrix::{Expectations, Job, Tests};
use crate::provision::{Provisioner, VmInputs};
use crate::vm::Vm;

/// Two boots of the same kernel with the same initramfs.
#[derive(Clone, Copy, Debug)]
pub struct BootTimes {
    /// From QEMU's exec to the guest's ready line, with nobody waiting to connect.
    pub bare: Duration,
    /// From QEMU's exec to the moment in which the first test is started over ssh.
    pub first_test: Duration,
}

/// Boots twice, and times both. Logs and sockets go to `logs`, a directory that only we may enter.
///
/// # Errors
/// A text that says which part failed.
pub async fn boot_times(
    provisioner: &Provisioner,
    job: &Job,
    inputs: &VmInputs,
    tests: Tests,
    logs: &Path,
) -> Result<BootTimes, String> {
    fn text(error: impl std::fmt::Display) -> String {
        error.to_string()
    }
    let &newest = job.llvm.first().ok_or("the matrix has no LLVM")?;
    let bundle = provisioner.bundle(job.arch, newest).await.map_err(text)?;
    let machine = provisioner.machine(inputs, std::slice::from_ref(&bundle)).await.map_err(text)?;
    let deadlines = provisioner.deadlines(job.arch, machine.accel);
    let options = TestOptions {
        tests,
        only: Vec::new(),
        once: Vec::new(),
        env: std::collections::BTreeMap::new(),
        deadline: deadlines.connect,
        expectations: Expectations::default(),
        capabilities: None,
        coverage: None,
    };

    let started = Instant::now();
    let vm = Vm::boot(&inputs.qemu, &machine, logs, logs, deadlines).await.map_err(text)?;
    let bare = started.elapsed();
    drop(vm);

    let started = Instant::now();
    let mut vm = Vm::boot(&inputs.qemu, &machine, logs, logs, deadlines).await.map_err(text)?;
    let session = vm.connect(provisioner.keys()).await.map_err(text)?;
    execute::list(&session, &bundle, &options, true).await.map_err(text)??;
    let first_test = started.elapsed();
    vm.power_off(Some(session)).await.map_err(text)?;
    Ok(BootTimes { bare, first_test })
}

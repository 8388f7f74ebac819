//! Finds out whether KVM works: [`kvm_works`].
//!
//! That /dev/kvm exists, opens and creates a VM proves nothing: nested in another hypervisor QEMU may abort on its first
//! register, or hang. So a guest is booted, once, and only its ready line counts.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use crate::vm::machine::{Accel, MachineSpec};
use crate::vm::{Deadlines, Qemu, Vm};

const DEVICE: &str = "/dev/kvm";
/// A guest under KVM is ready within a second or two; one that hangs should not hold up the run for long.
const PROBE: Duration = Duration::from_secs(15);

/// Boots `spec` under KVM. The logs go to `directory`.
///
/// # Errors
/// A text that says why KVM cannot be used.
pub async fn kvm_works(qemu: &Qemu, spec: &MachineSpec, directory: &Path) -> Result<(), String> {
    if let Err(error) = OpenOptions::new().read(true).write(true).open(DEVICE) {
        return Err(format!("cannot open `{DEVICE}`: {error}"));
    }
    let spec = MachineSpec { accel: Accel::Kvm, ..spec.clone() };
    let deadlines = Deadlines { start: PROBE, boot: PROBE, connect: PROBE, power_off: PROBE };
    match Vm::boot(qemu, &spec, directory, directory, deadlines).await {
        Ok(mut vm) => vm.power_off(None).await.map_err(|error| error.to_string()),
        Err(error) => Err(format!("a guest that was tried under KVM did not boot: {error}")),
    }
}

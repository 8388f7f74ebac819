//! Decides how guests are run: [`AccelWish`] is what was asked for.

use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use super::VmInputs;
use crate::archive::{Archive, Key, StoreError};
use crate::matrix::Arch;
use crate::vm::machine::{Accel, MachineSpec};
use crate::vm::probe;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccelWish {
    /// KVM when it works, else emulation; always emulation for another architecture than this machine's.
    Best,
    /// KVM or nothing.
    Kvm,
    /// Emulation.
    Tcg,
}

/// Why guests cannot be run as asked.
#[derive(Debug, Error)]
pub enum AccelError {
    /// KVM was asked for and does not work.
    #[error("KVM does not work here: {0}\n  hint: `--accel tcg` emulates the guest's processor instead")]
    NoKvm(String),
    /// KVM was asked for, for another architecture than this machine's.
    #[error("KVM cannot run a guest of {0} on this machine\n  hint: `--accel auto` emulates what KVM cannot run")]
    Foreign(Arch),
    /// The answer could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether KVM works for `inputs`, found by booting a guest with it: a device that opens and even makes a VM may still
/// not run one. `Err` inside is the reason why not.
///
/// The answer is kept in the store until the machine boots anew or has another QEMU.
///
/// # Errors
/// When the store fails.
pub async fn kvm_works(
    archive: &Arc<Archive>,
    inputs: &VmInputs,
    machine: MachineSpec,
) -> Result<Result<(), String>, StoreError> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let key = Key::new("kvm-probe", [boot.as_str(), &inputs.qemu.version]);
    let store = archive.store();
    let answer = match store.derived(&key)? {
        Some(directory) => read(&directory)?,
        None => {
            let logs = store.scratch()?;
            let works = probe::kvm_works(&inputs.qemu, &machine, logs.path()).await;
            let text = works.map_or_else(|error| first_lines(&error), |()| String::new());
            let directory = store.derive(&key, "whether KVM works here", |directory| {
                let path = directory.join("why-not");
                std::fs::write(&path, &text).map_err(StoreError::at("write", &path))
            })?;
            read(&directory)?
        }
    };
    Ok(if answer.is_empty() { Ok(()) } else { Err(answer) })
}

/// What happened and the first thing that was said about it: the logs behind the rest are gone with the probe.
fn first_lines(error: &str) -> String {
    let lines = error.lines().map(str::trim).filter(|line| !line.ends_with(" said") && !line.ends_with(" with"));
    lines.take(2).collect::<Vec<_>>().join(": ")
}

fn read(directory: &Path) -> Result<String, StoreError> {
    let path = directory.join("why-not");
    std::fs::read_to_string(&path).map_err(StoreError::at("read", &path))
}

impl AccelWish {
    /// The accelerator, when `kvm` is what [`kvm_works`] found. A second part that is there says why it is not KVM.
    ///
    /// # Errors
    /// When KVM was asked for and does not work.
    pub fn decide(self, kvm: Result<(), String>) -> Result<(Accel, Option<String>), AccelError> {
        match (self, kvm) {
            (Self::Tcg, _) => Ok((Accel::Tcg, None)),
            (_, Ok(())) => Ok((Accel::Kvm, None)),
            (Self::Best, Err(why)) => Ok((Accel::Tcg, Some(why))),
            (Self::Kvm, Err(why)) => Err(AccelError::NoKvm(why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_probe_is_told_in_one_line() {
        let error = "a guest did not boot: QEMU ended\n  QEMU said\n    qemu: failed to set MSR\n    more\n  log: gone";
        assert_eq!(first_lines(error), "a guest did not boot: QEMU ended: qemu: failed to set MSR");
    }

    #[test]
    fn a_wish_for_kvm_is_refused_where_it_does_not_work_and_the_best_falls_back_aloud() {
        let broken = || Err("no luck".to_owned());
        assert_eq!(AccelWish::Best.decide(Ok(())).unwrap(), (Accel::Kvm, None));
        assert_eq!(AccelWish::Best.decide(broken()).unwrap(), (Accel::Tcg, Some("no luck".into())));
        assert_eq!(AccelWish::Tcg.decide(Ok(())).unwrap(), (Accel::Tcg, None));
        assert!(
            AccelWish::Kvm.decide(broken()).unwrap_err().to_string().starts_with("KVM does not work here: no luck\n")
        );
    }
}

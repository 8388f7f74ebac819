//! Finds QEMU: this machine's own when it is new enough, else the archive's.

use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use super::program::{self, MissingProgram, Program};
use crate::archive::{Archive, ArchiveError};
use crate::matrix::Arch;
use crate::vm::{Qemu, VmError};

/// The oldest QEMU that is used: older ones were never tried.
const OLDEST: (u32, u32) = (7, 0);

/// Why there is no QEMU.
#[derive(Debug, Error)]
pub enum QemuError {
    /// The archive failed.
    #[error("cannot fetch QEMU: {0}")]
    Archive(#[from] ArchiveError),
    /// The archive's packages are not what they were.
    #[error(transparent)]
    Missing(#[from] MissingProgram),
    /// It does not run.
    #[error(transparent)]
    Run(#[from] VmError),
}

/// The QEMU of this machine for guests of `arch`.
///
/// # Errors
/// A text that says why this machine has none that can be used.
pub async fn system(arch: Arch) -> Result<Qemu, String> {
    let name = format!("qemu-system-{}", arch.name());
    let path = program::on_path(&name).ok_or_else(|| format!("no `{name}` on this machine"))?;
    let qemu = to_qemu(Program::system(&path), Vec::new()).await.map_err(|error| error.to_string())?;
    match numbers(&qemu.version) {
        Some(found) if found >= OLDEST => Ok(qemu),
        _ => Err(format!("`{}` is {}, older than {}.{}", path.display(), qemu.version, OLDEST.0, OLDEST.1)),
    }
}

/// The archive's QEMU for guests of `arch`, fetched when it is not in the store.
///
/// # Errors
/// When it cannot be fetched or does not run.
pub async fn from_archive(archive: &Arc<Archive>, suite: &str, arch: Arch) -> Result<Qemu, QemuError> {
    let host = Arch::host().unwrap_or(Arch::X86_64);
    let package = match arch {
        Arch::X86_64 => "qemu-system-x86",
        Arch::Aarch64 => "qemu-system-arm",
        Arch::Riscv64 => "qemu-system-riscv",
    };
    let (_, tree) = super::in_background({
        let (archive, suite) = (Arc::clone(archive), suite.to_owned());
        move || archive.closure_tree(&[&suite], host, &[package], &[])
    })
    .await?;
    let mut program = Program::in_tree(&tree, &format!("usr/bin/qemu-system-{}", arch.name()), &[], host)?;
    program.env.push(("QEMU_MODULE_DIR".into(), tree.join("usr/lib").join(host.multiarch()).join("qemu").into()));
    // The PC's BIOS is a package of its own.
    let firmware = ["qemu", "seabios"].map(|package| tree.join("usr/share").join(package));
    Ok(to_qemu(program, firmware.into()).await?)
}

async fn to_qemu(program: Program, firmware: Vec<PathBuf>) -> Result<Qemu, VmError> {
    let mut words = program.command.into_iter();
    let first = words.next().unwrap_or_default();
    Qemu::inspect(first.into(), words.collect(), program.env, firmware).await
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_compared_by_its_numbers() {
        assert_eq!(numbers("7.2.22"), Some((7, 2)));
        assert!(numbers("10.0.13").unwrap() >= OLDEST);
        assert!(numbers("6.2.0").unwrap() < OLDEST);
        assert_eq!(numbers("unknown"), None);
    }
}

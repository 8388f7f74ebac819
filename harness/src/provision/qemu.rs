//! Finds QEMU: this machine's own when it is new enough, else the archive's.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::program::{self, MissingProgram, Program};
use crate::archive::{Archive, ArchiveError};
use crate::matrix::Arch;
use crate::process::ProcessError;
use crate::vm::Qemu;

/// The oldest QEMU that is used: 7.0 brought nothing that we need, but older ones were never tried.
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
    Process(#[from] ProcessError),
    /// It runs and does not say which version it is.
    #[error("`{program} --version` printed `{printed}`; expected `QEMU emulator version N.N`")]
    Version {
        /// The program.
        program: String,
        /// What it printed.
        printed: String,
    },
}

/// The QEMU of this machine for guests of `arch`, if it has one that is new enough, or why not.
pub async fn system(arch: Arch) -> Result<Qemu, String> {
    let name = format!("qemu-system-{}", arch.name());
    let path = program::on_path(&name).ok_or_else(|| format!("no `{name}` on this machine"))?;
    let program = Program::system(&path);
    let version = version(&program, &name).await.map_err(|error| error.to_string())?;
    match numbers(&version) {
        Some(found) if found >= OLDEST => Ok(to_qemu(program, version, None)),
        _ => Err(format!("`{}` is {version}, older than {}.{}", path.display(), OLDEST.0, OLDEST.1)),
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
    let name = format!("qemu-system-{}", arch.name());
    let mut program = Program::in_tree(&tree, &format!("usr/bin/{name}"), &[], host)?;
    program.env.push(("QEMU_MODULE_DIR".into(), tree.join("usr/lib").join(host.multiarch()).join("qemu").into()));
    let version = version(&program, &name).await?;
    Ok(to_qemu(program, version, Some(tree.join("usr/share/qemu"))))
}

fn to_qemu(program: Program, version: String, firmware: Option<PathBuf>) -> Qemu {
    Qemu { command: program.command, env: program.env, firmware, version }
}

async fn version(program: &Program, name: &str) -> Result<String, QemuError> {
    /// Printing a version takes milliseconds; a machine under load may take seconds to start anything.
    const DEADLINE: Duration = Duration::from_secs(30);
    let finished = program.to_command().arg("--version").capture().run(DEADLINE).await?;
    let printed = String::from_utf8_lossy(&finished.stdout).into_owned();
    let version = printed.split("version ").nth(1).and_then(|rest| rest.split_whitespace().next());
    version.map(ToOwned::to_owned).ok_or_else(|| QemuError::Version { program: name.to_owned(), printed })
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

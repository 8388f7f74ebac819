//! What compiles a bundle: clang for the BPF side, the tools of user space for the rest. Main type: [`Toolchain`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::llvm::Llvm;
use super::program::{self, MissingProgram, Origin};
use super::userland::Userland;
use crate::archive::{Archive, ArchiveError, Key, StoreError};
use crate::matrix::{Arch, MatrixSpec};
use crate::process::{Command, ProcessError};

/// Everything that compiling a bundle needs besides cargo and the machine's C compiler.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// What compiles and links user space.
    pub userland: Userland,
    /// What compiles the BPF side.
    pub clang: Clang,
}

/// The clang that compiles the BPF side.
#[derive(Clone, Debug)]
pub struct Clang {
    /// The LLVM release.
    pub llvm: u32,
    /// A directory in which it is called `clang`: a program, or a script that runs one with its own libraries.
    pub directory: PathBuf,
    /// What `clang --version` says, for example `22.1.8`.
    pub version: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Why there is no toolchain.
#[derive(Debug, Error)]
pub enum ToolchainError {
    /// The archive failed.
    #[error("cannot fetch {what}: {source}")]
    Archive {
        /// What was fetched.
        what: String,
        /// How it failed.
        source: ArchiveError,
    },
    /// The suite has no such release.
    #[error(
        "no LLVM {llvm} in the suite `{suite}`\n  hint: `llvm: [{{version: {llvm}, suite: …}}]` in the matrix names a suite that has it"
    )]
    NoSuchLlvm {
        /// The release.
        llvm: u32,
        /// The suite.
        suite: String,
    },
    /// The suite has no gcc, whose start files every executable begins with.
    #[error(
        "no `libgcc-…-dev` for {arch} in the suite `{suite}`\n  hint: `arches: {{{arch}: {{sysroot: …}}}}` in the matrix names a suite that has it"
    )]
    NoLibgcc {
        /// The suite.
        suite: String,
        /// The architecture.
        arch: Arch,
    },
    /// The suite has no Rust that compiles for it.
    #[error("no `rustc-web` with a `libstd-rust-web-dev` of the same release for {arch} in the suite `{suite}`")]
    NoRustPackage {
        /// The architecture.
        arch: Arch,
        /// The suite.
        suite: String,
    },
    /// No way led to a standard library.
    #[error("no Rust standard library for {arch}\n  rustup: {rustup}\n  the archive: {archive}")]
    NoRust {
        /// The architecture.
        arch: Arch,
        /// Why rustup did not add it.
        rustup: String,
        /// Why the archive's cannot be had.
        archive: String,
    },
    /// The packages are not what they were.
    #[error(transparent)]
    Missing(#[from] MissingProgram),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A compiler does not run.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

impl Clang {
    /// Finds or fetches the clang of the LLVM release `llvm`.
    ///
    /// # Errors
    /// When it can neither be found nor fetched.
    pub async fn provide(archive: &Arc<Archive>, spec: &MatrixSpec, llvm: u32) -> Result<Self, ToolchainError> {
        let (program, origin) = match program::on_path(&format!("clang-{llvm}")) {
            Some(path) => (called_clang(archive, &path)?, Origin::System),
            None => (Llvm::fetch(archive, llvm, spec.llvm_suite(llvm)).await?.clang(archive.store())?, Origin::Archive),
        };
        let finished = Command::new(&program).arg("--version").capture().run(Duration::from_secs(60)).await?;
        let printed = String::from_utf8_lossy(&finished.stdout).into_owned();
        let version = printed.split("version ").nth(1).and_then(|rest| rest.split_whitespace().next());
        let version = version.unwrap_or("unknown").to_owned();
        let directory = program.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self { llvm, directory, version, origin })
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.directory.join("clang")
    }
}

/// A link called `clang` to the program at `path`.
fn called_clang(archive: &Archive, path: &Path) -> Result<PathBuf, StoreError> {
    let key = Key::new("clang-link", [path.display().to_string()]);
    let directory = archive.store().derive(&key, &format!("link to {}", path.display()), |directory| {
        let link = directory.join("clang");
        std::os::unix::fs::symlink(path, &link).map_err(StoreError::at("link", &link))
    })?;
    Ok(directory.join("clang"))
}

impl Toolchain {
    /// The environment in which the project compiles, be it for a guest or for this machine.
    ///
    /// Whoever looks for `clang` on the PATH finds the matrix's, as does who reads `CLANG`.
    #[must_use]
    pub fn env(&self) -> Vec<(OsString, OsString)> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let directories = std::iter::once(self.clang.directory.clone()).chain(std::env::split_paths(&path));
        let mut env: Vec<(OsString, OsString)> = vec![
            ("CLANG".into(), self.clang.program().into()),
            // OK because the store's path has no colon, or the store would be of no use to any program.
            ("PATH".into(), std::env::join_paths(directories).unwrap_or(path)),
        ];
        env.extend(self.userland.env());
        env
    }
}

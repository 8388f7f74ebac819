//! The Rust compiler, with a standard library for the guest's architecture: [`Rust`].
//!
//! Three ways, in this order: it is there; rustup adds it; the package archive has a whole compiler.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::llvm::{keep_script, script};
use super::program::{self, Origin, Program};
use super::{ToolchainError, in_background};
use crate::archive::{Archive, Key, StoreError};
use crate::matrix::{Arch, MatrixSpec};
use crate::process::{Command, ProcessError};

/// Asking the compiler a question takes some milliseconds, and on first use rustup may fetch the one that a project names.
const QUESTION: Duration = Duration::from_secs(300);
/// A standard library is some 25 MB to download.
const DOWNLOAD: Duration = Duration::from_secs(600);

/// A Rust compiler with a standard library for one architecture.
#[derive(Clone, Debug)]
pub struct Rust {
    /// The compiler.
    pub rustc: PathBuf,
    /// What it says of itself: `rustc -vV`.
    pub version: String,
    /// Whether it is the machine's, to which rustup may have added the standard library, or the archive's.
    pub origin: Origin,
}

impl Rust {
    /// Finds or fetches a compiler for `arch` that suits the project in `root`, which may name a release for rustup.
    ///
    /// # Errors
    /// When none can be had.
    pub async fn provide(
        archive: &Arc<Archive>,
        spec: &MatrixSpec,
        root: &Path,
        arch: Arch,
    ) -> Result<Self, ToolchainError> {
        let rustc = PathBuf::from(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        let machines = || async move {
            let version = ask(&rustc, root, &["-vV"]).await?;
            Ok(Self { rustc, version, origin: Origin::System })
        };
        if has_std(root, arch).await? {
            return machines().await;
        }
        let rustup = match rustup_adds(archive, root, arch).await {
            Ok(()) if has_std(root, arch).await? => return machines().await,
            Ok(()) => "rustup added it to a toolchain other than that of `rustc`".to_owned(),
            Err(why) => why,
        };
        from_archive(archive, &spec.archive.tools, arch).await.map_err(|archive| match archive {
            // Without a network or a disk nothing else would do either.
            error if error.hits_every_bundle() => error,
            archive => ToolchainError::NoRust { arch, rustup, archive: archive.to_string() },
        })
    }
}

/// The LLVM release in the compiler that the project in `root` uses on this machine, which decides the format of raw
/// profiles; `None` if the compiler does not name one.
///
/// # Errors
/// When there is no compiler.
pub async fn llvm_release(root: &Path) -> Result<Option<u32>, ProcessError> {
    let rustc = PathBuf::from(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    Ok(named_llvm(&ask(&rustc, root, &["-vV"]).await?))
}

/// The LLVM release in what `rustc -vV` prints.
fn named_llvm(printed: &str) -> Option<u32> {
    let version = printed.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    version.split('.').next()?.parse().ok()
}

async fn ask(rustc: &Path, root: &Path, arguments: &[&str]) -> Result<String, ProcessError> {
    let finished = Command::new(rustc).args(arguments).current_dir(root).capture().run(QUESTION).await?;
    Ok(String::from_utf8_lossy(&finished.stdout).trim().to_owned())
}

/// Whether the compiler that the project in `root` uses on this machine has a standard library for `arch`.
///
/// # Errors
/// When there is no compiler.
pub async fn has_std(root: &Path, arch: Arch) -> Result<bool, ProcessError> {
    let rustc = PathBuf::from(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let directory = ask(&rustc, root, &["--print", "target-libdir", "--target", arch.rust_target()]).await?;
    let is_std = |name: &str| name.starts_with("libstd-") && name.ends_with(".rlib");
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    Ok(entries.into_iter().any(|entry| entry.file_name().to_str().is_some_and(is_std)))
}

/// Has rustup add the standard library to the toolchain that the project in `root` uses. The error is for a person.
async fn rustup_adds(archive: &Archive, root: &Path, arch: Arch) -> Result<(), String> {
    let rustup = program::on_path("rustup").ok_or("no `rustup` on the PATH")?;
    archive.progress().warn(&format!("Rust's standard library for {arch} is missing; rustup adds it"));
    let command = Command::new(rustup).args(["target", "add", arch.rust_target()]).current_dir(root).capture();
    command.run(DOWNLOAD).await.map(drop).map_err(|error| error.to_string())
}

/// The archive's compiler with its standard libraries for this machine and for `arch`.
async fn from_archive(archive: &Arc<Archive>, suite: &str, arch: Arch) -> Result<Rust, ToolchainError> {
    let (archive, suite) = (Arc::clone(archive), suite.to_owned());
    let rustc = in_background(move || unpack(&archive, &suite, arch)).await?;
    let version = ask(&rustc, Path::new("/"), &["-vV"]).await?;
    Ok(Rust { rustc, version, origin: Origin::Archive })
}

/// Unpacks them, and gives the script that runs the compiler.
fn unpack(archive: &Archive, suite: &str, arch: Arch) -> Result<PathBuf, ToolchainError> {
    let host = Arch::host().unwrap_or(Arch::X86_64);
    let failed = |source| ToolchainError::Archive { what: "Rust".into(), source };
    let missing = |arch| ToolchainError::NoRustPackage { arch, suite: suite.to_owned() };
    let without = ["gcc", "binutils", "libc6-dev"];
    let (packages, compiler) = archive.closure_tree(&[suite], host, &["rustc-web"], &without).map_err(failed)?;
    let version = packages.first().map(|package| upstream(&package.version)).ok_or_else(|| missing(host))?;
    let offered = archive.index(suite, arch).and_then(|index| Ok(index.newest("libstd-rust-web-dev")?));
    // The compiler refuses the library of another release.
    let fitting = offered.map_err(failed)?.filter(|package| upstream(&package.version) == version);
    let library = archive.tree(&[fitting.ok_or_else(|| missing(arch))?]).map_err(failed)?;
    // The compiler comes with the library for this machine.
    let libraries = [(host, &compiler), (arch, &library)];
    // A compiler looks for the standard libraries of all architectures below one directory.
    let key = Key::new("rust-sysroot", libraries.each_ref().map(|(_, tree)| tree.display().to_string()));
    let sysroot = archive.store().derive(&key, &format!("Rust {version} for {arch}"), |directory| {
        let rustlib = directory.join("lib/rustlib");
        std::fs::create_dir_all(&rustlib).map_err(StoreError::at("make", &rustlib))?;
        for (arch, tree) in libraries {
            let (from, link) =
                (tree.join("usr/lib/rustlib").join(arch.rust_target()), rustlib.join(arch.rust_target()));
            std::os::unix::fs::symlink(from, &link).map_err(StoreError::at("link", &link))?;
        }
        Ok::<_, StoreError>(())
    })?;
    let program = Program::in_tree(&compiler, "usr/bin/rustc", &[], host)?;
    let script = script(&program, &["--sysroot".into(), sysroot.display().to_string()]);
    Ok(keep_script(archive.store(), "rustc", &script)?)
}

/// `1.96.0+dfsg1-1~deb12u1` as `1.96.0`.
fn upstream(version: &str) -> &str {
    version.split(['+', '-', '~']).next().unwrap_or(version)
}

#[cfg(test)]
mod tests {
    use super::{named_llvm, upstream};

    #[test]
    fn a_compiler_and_its_library_are_matched_by_their_release() {
        assert_eq!(upstream("1.96.0+dfsg1-1~deb12u1"), "1.96.0");
        assert_eq!(upstream("1.96.0~beta.3-1"), "1.96.0");
    }

    /// Check that the LLVM release is taken from its own line, and not from the compiler's version.
    #[test]
    fn the_llvm_release() {
        let printed = "rustc 1.95.0 (59807616e 2026-04-14)\nrelease: 1.95.0\nLLVM version: 22.1.2";
        assert_eq!(named_llvm(printed), Some(22));
        assert_eq!(named_llvm("rustc 1.95.0\nrelease: 1.95.0"), None);
    }
}

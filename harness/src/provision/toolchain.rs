//! What compiles a bundle: clang for the BPF side, static libraries for the rest. Main type: [`Toolchain`].

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::program::{self, MissingProgram, Origin, Program};
use crate::archive::{Archive, ArchiveError, ClosureError, Key, Store, StoreError};
use crate::matrix::Arch;
use crate::process::{Command, ProcessError};

/// Everything that compiling a bundle needs besides Rust and the machine's C compiler.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// The guest's architecture.
    pub arch: Arch,
    /// The LLVM release.
    pub llvm: u32,
    /// The clang: a program, or a script that runs one with its own libraries.
    pub clang: PathBuf,
    /// What `clang --version` says, for example `22.1.8`.
    pub clang_version: String,
    /// Where that clang came from.
    pub clang_origin: Origin,
    /// An unpacked tree with the headers of libelf and zlib.
    pub sysroot: PathBuf,
    /// A directory with their static libraries and nothing else, so that the linker has no choice.
    pub libraries: PathBuf,
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
    /// The packages are not what they were.
    #[error(transparent)]
    Missing(#[from] MissingProgram),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// clang does not run.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

impl Toolchain {
    /// Finds or fetches what compiles bundles for `arch` with LLVM `llvm`.
    ///
    /// # Errors
    /// When a part of it can neither be found nor fetched.
    pub async fn provide(
        archive: &Arc<Archive>,
        arch: Arch,
        llvm: u32,
        llvm_suite: &str,
        sysroot_suite: &str,
    ) -> Result<Self, ToolchainError> {
        let (clang, clang_origin) = match program::on_path(&format!("clang-{llvm}")) {
            Some(path) => (path, Origin::System),
            None => (clang_from_archive(archive, llvm, llvm_suite).await?, Origin::Archive),
        };
        let finished = Command::new(&clang).arg("--version").capture().run(Duration::from_secs(60)).await?;
        let printed = String::from_utf8_lossy(&finished.stdout).into_owned();
        let version = printed.split("version ").nth(1).and_then(|rest| rest.split_whitespace().next());
        let clang_version = version.unwrap_or("unknown").to_owned();
        let (_, sysroot) = super::in_background({
            let (archive, suite) = (Arc::clone(archive), sysroot_suite.to_owned());
            // libc and its headers are the machine's own.
            move || archive.closure_tree(&[&suite], arch, &["libelf-dev"], &["libc6", "libc6-dev"])
        })
        .await
        .map_err(|source| ToolchainError::Archive { what: "static libelf and zlib".into(), source })?;
        let libraries = static_libraries(archive.store(), &sysroot, arch)?;
        Ok(Self { arch, llvm, clang, clang_version, clang_origin, sysroot, libraries })
    }

    /// The environment in which the project compiles, be it for a guest or for this machine.
    #[must_use]
    pub fn env(&self) -> Vec<(OsString, OsString)> {
        let include = self.sysroot.join("usr/include").display().to_string();
        let mut env: Vec<(OsString, OsString)> = vec![
            ("CLANG".into(), self.clang.clone().into()),
            ("LIBBPF_SYS_LIBRARY_PATH".into(), self.libraries.clone().into()),
            // zlib's header includes another one, which differs between architectures.
            ("LIBBPF_SYS_EXTRA_CFLAGS".into(), format!("-I{include} -I{include}/{}", self.arch.multiarch()).into()),
        ];
        if program::on_path("pkg-config").is_none() {
            // libbpf-sys wants to be able to start it, and needs nothing that it says.
            env.push(("PKG_CONFIG".into(), "false".into()));
        }
        env
    }

    /// The variable that makes cargo link executables of the guest's target statically, so that the guest needs no
    /// libraries. It must not reach what runs on this machine: compilers' plugins cannot be static.
    #[must_use]
    pub fn static_env(&self) -> (OsString, OsString) {
        let target = self.arch.rust_target().replace('-', "_").to_uppercase();
        (format!("CARGO_TARGET_{target}_RUSTFLAGS").into(), "-C target-feature=+crt-static".into())
    }
}

/// Links to the static libraries of `sysroot`.
fn static_libraries(store: &Store, sysroot: &Path, arch: Arch) -> Result<PathBuf, StoreError> {
    let from = sysroot.join("usr/lib").join(arch.multiarch());
    let key = Key::new("static-libraries", [from.display().to_string()]);
    store.derive(&key, &format!("static libelf and zlib for {arch}"), |directory| {
        for library in ["libelf.a", "libz.a"] {
            let link = directory.join(library);
            std::os::unix::fs::symlink(from.join(library), &link).map_err(StoreError::at("link", &link))?;
        }
        Ok(())
    })
}

/// Fetches clang and makes the script that runs it; returns the script.
async fn clang_from_archive(archive: &Arc<Archive>, llvm: u32, suite: &str) -> Result<PathBuf, ToolchainError> {
    let host = Arch::host().unwrap_or(Arch::X86_64);
    let roots = [format!("clang-{llvm}"), format!("libclang-common-{llvm}-dev")];
    // Most of clang's dependencies are for compiling C programs for this machine. The BPF target needs the shared
    // libraries and clang's own headers.
    let mut without = vec![
        "binutils".to_owned(),
        "libc6-dev".into(),
        format!("llvm-{llvm}-linker-tools"),
        format!("libclang1-{llvm}"),
    ];
    for gcc in 10..=20 {
        without.extend(["libgcc", "libobjc", "libstdc++"].map(|library| format!("{library}-{gcc}-dev")));
    }
    let (_, tree) = super::in_background({
        let (archive, suite) = (Arc::clone(archive), suite.to_owned());
        move || {
            let without: Vec<&str> = without.iter().map(String::as_str).collect();
            archive.closure_tree(&[&suite], host, &roots.each_ref().map(String::as_str), &without)
        }
    })
    .await
    .map_err(|source| match source {
        ArchiveError::Closure(ClosureError::NotFound { wanted_by: None, .. }) => {
            ToolchainError::NoSuchLlvm { llvm, suite: suite.to_owned() }
        }
        source => ToolchainError::Archive { what: format!("LLVM {llvm}"), source },
    })?;
    let program = Program::in_tree(
        &tree,
        &format!("usr/lib/llvm-{llvm}/bin/clang"),
        &[&format!("usr/lib/llvm-{llvm}/lib")],
        host,
    )?;
    let script = script(&program, &tree.join(format!("usr/lib/llvm-{llvm}/lib/clang/{llvm}")));
    let key = Key::new("clang", [script.as_bytes()]);
    let directory = archive
        .store()
        .derive(&key, &format!("clang-{llvm}"), |directory| write_script(&directory.join("clang"), &script))?;
    Ok(directory.join("clang"))
}

/// A script that runs clang by its own loader. clang then takes the loader for itself, so its headers have to be named.
fn script(program: &Program, resources: &Path) -> String {
    let words: Vec<String> = program.command.iter().map(|word| format!("'{}'", word.to_string_lossy())).collect();
    format!("#!/bin/sh\nexec {} -resource-dir '{}' \"$@\"\n", words.join(" "), resources.display())
}

fn write_script(path: &Path, text: &str) -> Result<(), StoreError> {
    fs::write(path, text).map_err(StoreError::at("write", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(StoreError::at("make executable", path))
}

//! LLVM releases of the package archive: [`Llvm`] is one, unpacked.
//!
//! It serves twice: clang compiles the BPF side, and with lld the user space of a foreign architecture.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ToolchainError;
use super::program::{self, Program};
use crate::archive::{Archive, ArchiveError, ClosureError, Key, Store, StoreError};
use crate::matrix::{Arch, MatrixSpec};

/// clang and lld of one release, which run on this machine by their own loader and libraries.
#[derive(Clone, Debug)]
pub(super) struct Llvm {
    clang: Program,
    lld: Program,
    /// clang's own headers.
    resources: PathBuf,
}

/// The programs that read coverage.
#[derive(Clone, Debug)]
pub struct CoverageTools {
    /// `llvm-profdata`.
    pub llvm_profdata: PathBuf,
    /// `llvm-cov`.
    pub llvm_cov: PathBuf,
}

impl Llvm {
    /// Fetches the release `version`, which the suite `suite` has.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(super) async fn fetch(archive: &Arc<Archive>, version: u32, suite: &str) -> Result<Self, ToolchainError> {
        let host = Arch::host().unwrap_or(Arch::X86_64);
        let roots = [format!("clang-{version}"), format!("libclang-common-{version}-dev"), format!("lld-{version}")];
        // Most of clang's dependencies are for compiling C programs for this machine, which the machine's own compiler does.
        let mut without = vec![
            "binutils".to_owned(),
            "libc6-dev".into(),
            format!("llvm-{version}-linker-tools"),
            format!("libclang1-{version}"),
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
                ToolchainError::NoSuchLlvm { llvm: version, suite: suite.to_owned() }
            }
            source => ToolchainError::Archive { what: format!("LLVM {version}"), source },
        })?;
        let home = format!("usr/lib/llvm-{version}");
        let program =
            |name: &str| Program::in_tree(&tree, &format!("{home}/bin/{name}"), &[&format!("{home}/lib")], host);
        let resources = tree.join(format!("{home}/lib/clang/{version}"));
        Ok(Self { clang: program("clang")?, lld: program("ld.lld")?, resources })
    }

    /// A script that runs clang. Its name is `clang`, so that its directory can stand on a PATH.
    ///
    /// # Errors
    /// When the store cannot keep it.
    pub(super) fn clang(&self, store: &Store) -> Result<PathBuf, StoreError> {
        keep_script(store, "clang", &self.clang_script(&[]))
    }

    /// A script that compiles and links C programs for `arch` with the headers and libraries of `sysroot`.
    ///
    /// # Errors
    /// When the store cannot keep it.
    pub(super) fn cross_compiler(&self, store: &Store, arch: Arch, sysroot: &Path) -> Result<PathBuf, StoreError> {
        let lld = keep_script(store, "ld.lld", &script(&self.lld, &[]))?;
        let options = [
            format!("--target={}", arch.multiarch()),
            format!("--sysroot={}", sysroot.display()),
            format!("--ld-path={}", lld.display()),
            // It is passed where it only links or only compiles, too.
            "-Wno-unused-command-line-argument".into(),
        ];
        keep_script(store, &format!("{}-clang", arch.multiarch()), &self.clang_script(&options))
    }

    /// A clang that is run by its loader takes the loader for itself, so its headers have to be named.
    fn clang_script(&self, options: &[String]) -> String {
        let resources = ["-resource-dir".to_owned(), self.resources.display().to_string()];
        script(&self.clang, &[&resources, options].concat())
    }
}

/// The programs of one release that read coverage.
///
/// # Errors
/// When they can neither be found nor fetched.
pub async fn coverage_tools(
    archive: &Arc<Archive>,
    spec: &MatrixSpec,
    version: u32,
) -> Result<CoverageTools, ToolchainError> {
    let on_path = |name: &str| program::on_path(&format!("{name}-{version}"));
    if let (Some(llvm_profdata), Some(llvm_cov)) = (on_path("llvm-profdata"), on_path("llvm-cov")) {
        return Ok(CoverageTools { llvm_profdata, llvm_cov });
    }
    let host = Arch::host().unwrap_or(Arch::X86_64);
    let (_, tree) = super::in_background({
        let (archive, suite) = (Arc::clone(archive), spec.llvm_suite(version).to_owned());
        move || archive.closure_tree(&[&suite], host, &[&format!("llvm-{version}")], &[])
    })
    .await
    .map_err(|source| ToolchainError::Archive { what: format!("the coverage tools of LLVM {version}"), source })?;
    let home = format!("usr/lib/llvm-{version}");
    let keep = |name: &str| {
        let program = Program::in_tree(&tree, &format!("{home}/bin/{name}"), &[&format!("{home}/lib")], host)?;
        Ok::<_, ToolchainError>(keep_script(archive.store(), name, &script(&program, &[]))?)
    };
    Ok(CoverageTools { llvm_profdata: keep("llvm-profdata")?, llvm_cov: keep("llvm-cov")? })
}

/// A script that runs `program` with `options` before its arguments.
pub(super) fn script(program: &Program, options: &[String]) -> String {
    let words = program.command.iter().map(|word| word.to_string_lossy().into_owned()).chain(options.iter().cloned());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
    format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" "))
}

/// Keeps the script in the store under `name`, in a directory of its own; gives its path.
///
/// # Errors
/// When the store cannot keep it.
pub(super) fn keep_script(store: &Store, name: &str, script: &str) -> Result<PathBuf, StoreError> {
    let key = Key::new("script", [name, script]);
    let directory = store.derive(&key, &format!("script {name}"), |directory| {
        let path = directory.join(name);
        fs::write(&path, script).map_err(StoreError::at("write", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(StoreError::at("make executable", &path))
    })?;
    Ok(directory.join(name))
}

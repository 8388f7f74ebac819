//! A program that runs on this machine: the system's own, or one from an unpacked tree of the archive, [`Program`].
//!
//! A program of the archive is started by its own dynamic loader with its own libraries, so that it runs on machines
//! whose C library is older, or another one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::matrix::Arch;
use crate::process::Command;

/// Where a program came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was on this machine.
    System,
    /// It was fetched from the archive.
    Archive,
}

/// A program, and what must stand before and around its arguments.
#[derive(Clone, Debug)]
pub struct Program {
    /// The command line up to the program's own arguments.
    pub command: Vec<OsString>,
    /// The environment that it needs.
    pub env: Vec<(OsString, OsString)>,
    /// Where it came from.
    pub origin: Origin,
}

/// Why a tree has no such program.
#[derive(Debug, Error)]
#[error("no {what} in the unpacked packages at {}\n  hint: `ukci cache verify`, then `ukci cache prune`", tree.display())]
pub struct MissingProgram {
    /// What was looked for.
    what: String,
    /// Where.
    tree: PathBuf,
}

impl Program {
    /// The system's program at `path`.
    #[must_use]
    pub fn system(path: &Path) -> Self {
        Self { command: vec![path.into()], env: Vec::new(), origin: Origin::System }
    }

    /// The program at `path` in `tree`, which holds its libraries and its loader as well; `library_dirs`, relative to
    /// the tree, are searched besides the usual ones.
    ///
    /// # Errors
    /// When the tree has no such program or no loader.
    pub fn in_tree(tree: &Path, path: &str, library_dirs: &[&str], arch: Arch) -> Result<Self, MissingProgram> {
        let loader_name = match arch {
            Arch::X86_64 => "ld-linux-x86-64.so.2",
            Arch::Aarch64 => "ld-linux-aarch64.so.1",
            Arch::Riscv64 => "ld-linux-riscv64-lp64d.so.1",
        };
        let usual = [format!("usr/lib/{}", arch.multiarch()), format!("lib/{}", arch.multiarch())];
        let missing = |what: &str| MissingProgram { what: format!("`{what}`"), tree: tree.to_owned() };
        let loader = usual.iter().map(|dir| tree.join(dir).join(loader_name)).find(|path| path.is_file());
        let loader = loader.ok_or_else(|| missing(loader_name))?;
        let program = tree.join(path);
        if !program.is_file() {
            return Err(missing(path));
        }
        let dirs: Vec<String> = library_dirs
            .iter()
            .copied()
            .chain(usual.iter().map(String::as_str))
            .map(|dir| tree.join(dir).display().to_string())
            .collect();
        let command = vec![loader.into(), "--library-path".into(), dirs.join(":").into(), program.into()];
        Ok(Self { command, env: Vec::new(), origin: Origin::Archive })
    }

    /// A command that runs it; its arguments are still to be added.
    #[must_use]
    pub fn to_command(&self) -> Command {
        let mut command = Command::new(PathBuf::from(&self.command[0])).args(&self.command[1..]);
        for (key, value) in &self.env {
            command = command.env(key, value);
        }
        command
    }
}

/// The first executable file `name` on `$PATH`.
#[must_use]
pub fn on_path(name: &str) -> Option<PathBuf> {
    use nix::unistd::{AccessFlags, access};
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|program| program.is_file() && access(program, AccessFlags::X_OK).is_ok())
}

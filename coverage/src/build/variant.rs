//! One instrumented object, compiled and made loadable: [`Built`].

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::BuildError;
use super::compile::Compiler;
use crate::elf::{self, Counted};
use crate::{Engine, Mode, object_hash};

/// An instrumented object that the skeleton of the plain one fits.
pub(super) struct Built {
    pub(super) engine: Engine,
    pub(super) mode: Mode,
    pub(super) map: &'static str,
    /// The loadable object.
    pub(super) object: PathBuf,
    pub(super) hash: String,
    pub(super) functions: Vec<Counted>,
}

impl Built {
    /// Compiles `source` for `mode` into `directory`.
    pub(super) fn new(
        compiler: &Compiler,
        source: &Path,
        name: &str,
        mode: Mode,
        plain: &[u8],
        directory: &Path,
    ) -> Result<Self, BuildError> {
        let raw_path = directory.join(format!("{name}-{}.raw.o", mode.name()));
        compiler.compile(source, mode, &raw_path)?;
        let raw = fs::read(&raw_path).map_err(BuildError::file("read", &raw_path))?;
        let failed = |source| BuildError::Elf { object: raw_path.clone(), source };
        let patched = elf::patch(&raw, mode).map_err(failed)?;
        check_globals(plain, &patched.object, mode, failed)?;
        let object = directory.join(format!("{name}-{}.o", mode.name()));
        fs::write(&object, &patched.object).map_err(BuildError::file("write", &object))?;
        let hash = object_hash(&raw);
        keep(&raw, name, &hash)?;
        let map = elf::map_name(mode);
        Ok(Self { engine: Engine::Clang, mode, map, object, hash, functions: patched.functions })
    }
}

/// Puts the object where reports look for it.
#[expect(clippy::print_stdout, reason = "how a build script talks to cargo")]
pub(super) fn keep(raw: &[u8], name: &str, hash: &str) -> Result<(), BuildError> {
    let Some(directory) = env::var_os("BPF_COVERAGE_OBJECTS").filter(|directory| !directory.is_empty()) else {
        return Ok(());
    };
    let directory = PathBuf::from(directory);
    fs::create_dir_all(&directory).map_err(BuildError::file("make the directory", &directory))?;
    let path = directory.join(format!("{name}-{hash}.o"));
    // A build script does not run again when nothing changed; that the object is gone is a change.
    println!("cargo:rerun-if-changed={}", path.display());
    fs::write(&path, raw).map_err(BuildError::file("write", &path))
}

/// The skeleton's types say where the globals are: they must be in the same places in both objects.
pub(super) fn check_globals(
    plain: &[u8],
    instrumented: &[u8],
    mode: Mode,
    failed: impl Fn(elf::ElfError) -> BuildError,
) -> Result<(), BuildError> {
    let there = elf::globals(instrumented).map_err(&failed)?;
    for (name, place) in elf::globals(plain).map_err(&failed)? {
        let found = there.get(&name).map_or("no place", String::as_str);
        if found != place {
            return Err(BuildError::Moved { name, plain: place, instrumented: found.into(), mode: mode.name() });
        }
    }
    Ok(())
}

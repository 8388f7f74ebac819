//! For build scripts: compiles a BPF source and generates its skeleton, with coverage or without. Main type:
//! [`SkeletonBuilder`].
//!
//! Environment:
//! - `BPF_COVERAGE=1` turns coverage on. Everything else, and its absence, turns it off.
//! - `BPF_COVERAGE_OBJECTS` names a directory into which the objects go that `llvm-cov` needs, as `<name>-<hash>.o`.
//! - `BPF_COVERAGE_ENGINE` is `clang` (the default) or `bpfcov`. The latter is the LLVM pass of the crate of that name: it
//!   needs the feature `bpfcov`, `LLVM_CONFIG` while that is compiled, and `opt` and `llc` (or the variables `OPT` and
//!   `LLC`) of clang's release. It has no single bytes, and compiles for the CPU that llc chooses.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

#[cfg(feature = "bpfcov")]
mod bpfcov;
mod compile;
mod skeleton;
mod variant;

use crate::{ElfError, Engine, repository_around};
use compile::Compiler;
use variant::Built;

/// Compiles one BPF source and generates its skeleton: `libbpf_cargo::SkeletonBuilder`, with coverage.
#[derive(Clone, Debug)]
pub struct SkeletonBuilder {
    source: PathBuf,
    clang: PathBuf,
    clang_args: Vec<OsString>,
    repository: Option<PathBuf>,
    coverage: Option<bool>,
    engine: Option<Engine>,
}

/// Why there is no skeleton.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The source is not what it should be.
    #[error("the source `{}` is not called <name>.bpf.c", .0.display())]
    Source(PathBuf),
    /// A variable that cargo sets is missing.
    #[error("`{0}` is not set\n  hint: this is for build scripts, for which cargo sets it")]
    NoVariable(&'static str),
    /// libbpf-cargo failed: the plain object or its skeleton.
    #[error("{0}")]
    Skeleton(String),
    /// clang failed.
    #[error("`{}` cannot compile `{}` with coverage ({status}):\n{message}", clang.display(), source_path.display())]
    Clang {
        /// The compiler.
        clang: PathBuf,
        /// What was compiled.
        source_path: PathBuf,
        /// How it ended.
        status: String,
        /// What it said.
        message: String,
    },
    /// What clang wrote cannot be made loadable.
    #[error("`{}`: {source}", object.display())]
    Elf {
        /// The object.
        object: PathBuf,
        /// Why.
        source: ElfError,
    },
    /// The skeleton's types would not fit an instrumented object.
    #[error(
        "the global `{name}` is at {plain} in the plain object, and at {instrumented} in the one with {mode}; one skeleton cannot serve both"
    )]
    Moved {
        /// The variable.
        name: String,
        /// Section and offset in the plain object.
        plain: String,
        /// Section and offset in the instrumented one.
        instrumented: String,
        /// How that one counts.
        mode: &'static str,
    },
    /// An engine that does not exist.
    #[error("`BPF_COVERAGE_ENGINE` is `{0}`, expected `clang` or `bpfcov`")]
    Engine(String),
    /// The engine is not compiled in.
    #[error(
        "the engine `bpfcov` is not compiled in\n  hint: add the feature `bpfcov` to the build dependency `bpf-coverage`"
    )]
    NoBpfcov,
    /// The LLVM pass failed.
    #[error("bpfcov cannot instrument `{}`: {message}", source_path.display())]
    Pass {
        /// What was compiled.
        source_path: PathBuf,
        /// What it said.
        message: String,
    },
    /// libbpf-cargo generates something else than this crate knows.
    #[error(
        "libbpf-cargo's skeleton is not as this release of bpf-coverage expects: found `{marker}` {found} times, expected {expected}"
    )]
    Generated {
        /// What was looked for.
        marker: &'static str,
        /// How often it is there.
        found: usize,
        /// How often it should be.
        expected: usize,
    },
    /// A file cannot be read or written.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
}

impl BuildError {
    fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { doing, path: path.to_owned(), source }
    }
}

impl Default for SkeletonBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl SkeletonBuilder {
    /// Without a source yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            source: PathBuf::new(),
            clang: "clang".into(),
            clang_args: Vec::new(),
            repository: None,
            coverage: None,
            engine: None,
        }
    }

    /// The source, `<name>.bpf.c`.
    pub fn source(&mut self, source: impl AsRef<Path>) -> &mut Self {
        self.source = source.as_ref().to_owned();
        self
    }

    /// The compiler. Default: the `clang` of the `PATH`.
    pub fn clang(&mut self, clang: impl AsRef<Path>) -> &mut Self {
        self.clang = clang.as_ref().to_owned();
        self
    }

    /// Further arguments of the compiler.
    pub fn clang_args<A, S>(&mut self, args: A) -> &mut Self
    where
        A: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.clang_args = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        self
    }

    /// The directory that paths in reports are relative to. Default: the root of the git repository around the source,
    /// else the directory with the nearest `Cargo.lock`.
    pub fn repository(&mut self, repository: impl AsRef<Path>) -> &mut Self {
        self.repository = Some(repository.as_ref().to_owned());
        self
    }

    /// Whether to build with coverage. Default: as `BPF_COVERAGE` says.
    pub fn coverage(&mut self, coverage: bool) -> &mut Self {
        self.coverage = Some(coverage);
        self
    }

    /// What instruments. Default: as `BPF_COVERAGE_ENGINE` says, else clang.
    pub fn engine(&mut self, engine: Engine) -> &mut Self {
        self.engine = Some(engine);
        self
    }

    /// Compiles the source, and writes the skeleton to `output`. The plain object stays in `$OUT_DIR/bpf-coverage/<name>.o`.
    ///
    /// # Errors
    /// When a compiler fails, or an instrumented object cannot be made to fit the skeleton.
    pub fn build_and_generate(&self, output: impl AsRef<Path>) -> Result<(), BuildError> {
        let output = output.as_ref();
        rerun_if_changed();
        let name = self.name()?;
        let out = env::var_os("OUT_DIR").ok_or(BuildError::NoVariable("OUT_DIR"))?;
        let directory = PathBuf::from(out).join("bpf-coverage");
        fs::create_dir_all(&directory).map_err(BuildError::file("make the directory", &directory))?;
        let plain = directory.join(format!("{name}.o"));
        libbpf_cargo::SkeletonBuilder::new()
            .source(&self.source)
            .clang(&self.clang)
            .clang_args(&self.clang_args)
            .obj(&plain)
            .build_and_generate(output)
            .map_err(|error| BuildError::Skeleton(format!("{error:#}")))?;
        let wanted = self.coverage.unwrap_or_else(|| env::var_os("BPF_COVERAGE").is_some_and(|value| value == "1"));
        let built = if wanted { self.instrument(name, &plain, &directory)? } else { Vec::new() };
        let text = fs::read_to_string(output).map_err(BuildError::file("read", output))?;
        let text = skeleton::with_coverage(&text, name, &built)?;
        fs::write(output, text).map_err(BuildError::file("write", output))
    }

    fn instrument(&self, name: &str, plain: &Path, directory: &Path) -> Result<Vec<Built>, BuildError> {
        let repository = match &self.repository {
            Some(repository) => repository.clone(),
            None => repository_around(&self.source),
        };
        let compiler = Compiler::new(&self.clang, &self.clang_args, &repository, directory)?;
        let plain = fs::read(plain).map_err(BuildError::file("read", plain))?;
        match self.engine.map_or_else(engine, Ok)? {
            Engine::Clang => compiler
                .modes()
                .map(|mode| Built::new(&compiler, &self.source, name, mode, &plain, directory))
                .collect(),
            #[cfg(feature = "bpfcov")]
            Engine::Bpfcov => Ok(vec![bpfcov::build(&compiler, &self.source, name, &plain, directory)?]),
            #[cfg(not(feature = "bpfcov"))]
            Engine::Bpfcov => Err(BuildError::NoBpfcov),
        }
    }

    /// As libbpf-cargo has it, for which the name ends with the first dot.
    fn name(&self) -> Result<&str, BuildError> {
        let name = self.source.file_name().and_then(OsStr::to_str).filter(|name| name.ends_with(".bpf.c"));
        let name = name.and_then(|name| name.split('.').next()).filter(|name| !name.is_empty());
        name.ok_or_else(|| BuildError::Source(self.source.clone()))
    }
}

fn engine() -> Result<Engine, BuildError> {
    let Some(name) = env::var_os("BPF_COVERAGE_ENGINE") else { return Ok(Engine::Clang) };
    let known = [Engine::Clang, Engine::Bpfcov].into_iter().find(|engine| name == engine.name());
    known.ok_or_else(|| BuildError::Engine(name.to_string_lossy().into_owned()))
}

#[expect(clippy::print_stdout, reason = "how a build script talks to cargo")]
fn rerun_if_changed() {
    println!("cargo:rerun-if-env-changed=BPF_COVERAGE");
    println!("cargo:rerun-if-env-changed=BPF_COVERAGE_ENGINE");
    println!("cargo:rerun-if-env-changed=BPF_COVERAGE_OBJECTS");
}

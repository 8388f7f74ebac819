//! A project and its matrix, read from disk: [`Project`].

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::matrix::{Capabilities, Expectations, KernelLock, LockError, MatrixSpec, SpecError};

/// The file beside the matrix that says what kernels are expected to be capable of.
pub(crate) const CAPABILITIES: &str = "capabilities.yaml";

/// A matrix with the files beside it.
#[derive(Clone, Debug)]
pub struct Project {
    /// The matrix's specification.
    pub spec: MatrixSpec,
    /// The directory of the matrix, which its paths are relative to.
    pub directory: PathBuf,
    /// What its kernels are pinned to.
    pub lock: KernelLock,
    /// Where that is written.
    pub lock_path: PathBuf,
    /// What is known to fail.
    pub expectations: Expectations,
    /// What kernels are expected to be capable of; `None` without a `capabilities.yaml`.
    pub capabilities: Option<Capabilities>,
    /// The directory of the project's `Cargo.toml`.
    pub root: PathBuf,
    /// The directory for everything that is built and for the runs.
    pub target: PathBuf,
}

/// Why there is no project.
#[derive(Debug, Error)]
pub enum ProjectError {
    /// No matrix where one was looked for.
    #[error("no matrix: neither `matrix/matrix.yaml` nor `ukci.yaml` in {} or a directory above\n  hint: `--matrix FILE` names one", from.display())]
    NoMatrix {
        /// Where the search began.
        from: PathBuf,
    },
    /// A file could not be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The matrix names a directory without a project.
    #[error("{}: project.directory: no `Cargo.toml` in `{}`", matrix.display(), root.display())]
    NoCargoToml {
        /// The matrix's file.
        matrix: PathBuf,
        /// The directory.
        root: PathBuf,
    },
    /// The matrix or the expectations are refused.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The lock is refused.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl Project {
    /// Reads the matrix `given` on the command line, or the nearest one.
    ///
    /// # Errors
    /// When there is none, or it or a file beside it is refused.
    pub fn load(given: Option<&Path>) -> Result<Self, ProjectError> {
        let path = match given {
            Some(path) => path.to_owned(),
            None => nearest_matrix()?,
        };
        let text = read(&path)?;
        let spec = MatrixSpec::parse(&path, &text)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let absolute = std::path::absolute(directory.join(&spec.project.directory));
        let root =
            absolute.map(|root| normal(&root)).map_err(|source| ProjectError::Read { path: path.clone(), source })?;
        if !root.join("Cargo.toml").is_file() {
            return Err(ProjectError::NoCargoToml { matrix: path, root });
        }
        let lock_path = directory.join("kernels.lock.json");
        let lock = match optional(&lock_path)? {
            Some(text) => KernelLock::parse(&lock_path, &text)?,
            None => KernelLock::empty(),
        };
        let expect_path = directory.join("expect.yaml");
        let expectations = match optional(&expect_path)? {
            Some(text) => Expectations::parse(&expect_path, &text)?,
            None => Expectations::default(),
        };
        let capabilities_path = directory.join(CAPABILITIES);
        let capabilities = match optional(&capabilities_path)? {
            Some(text) => Some(Capabilities::parse(&capabilities_path, &text)?),
            None => None,
        };
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
        let directory = directory.to_owned();
        Ok(Self { spec, directory, lock, lock_path, expectations, capabilities, root, target })
    }

    /// The directory that holds the runs.
    #[must_use]
    pub fn runs(&self) -> PathBuf {
        self.target.join("ukci/runs")
    }
}

fn nearest_matrix() -> Result<PathBuf, ProjectError> {
    let here = std::env::current_dir().map_err(|source| ProjectError::Read { path: ".".into(), source })?;
    let candidates =
        here.ancestors().flat_map(|directory| [directory.join("matrix/matrix.yaml"), directory.join("ukci.yaml")]);
    let found = candidates.into_iter().find(|path| path.is_file());
    let found = found.ok_or_else(|| ProjectError::NoMatrix { from: here.clone() })?;
    // Shorter in messages, and as the reader would type it.
    Ok(found.strip_prefix(&here).map(Path::to_owned).unwrap_or(found))
}

/// `a/b/../c` as `a/c`, by its text alone: the directories exist, and are not links, in any sane checkout.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                out.pop();
            }
            std::path::Component::CurDir => {}
            part => out.push(part),
        }
    }
    out
}

fn read(path: &Path) -> Result<String, ProjectError> {
    std::fs::read_to_string(path).map_err(|source| ProjectError::Read { path: path.to_owned(), source })
}

fn optional(path: &Path) -> Result<Option<String>, ProjectError> {
    match read(path) {
        Ok(text) => Ok(Some(text)),
        Err(ProjectError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

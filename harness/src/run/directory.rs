//! Where a run leaves its results and logs: [`RunDirectory`].
//!
//! ```text
//! <runs>/<id>/run.json summary.md junit.xml
//!   build-llvm22.log                            what cargo printed
//!   cells/<arch>/<kernel>/attempt1/{console,qemu}.log   one VM serves every LLVM of its kernel
//!   cells/<arch>/<kernel>/llvm22/<executable>-<test>.log
//! ```

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use thiserror::Error;

/// The directory of one run.
#[derive(Clone, Debug)]
pub struct RunDirectory {
    id: String,
    path: PathBuf,
}

/// Why there is no directory.
#[derive(Debug, Error)]
#[error("cannot make the run's directory `{}`: {source}\n  hint: `--out DIR` chooses another", path.display())]
pub struct RunDirectoryError {
    path: PathBuf,
    source: io::Error,
}

impl RunDirectoryError {
    /// Whether the directory is another's: then it is the choice that is wrong, not the disk.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory
        )
    }
}

impl RunDirectory {
    /// Makes a directory below `runs`, named by the time, and points `runs/latest` at it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(runs: &Path, now: Timestamp) -> Result<Self, RunDirectoryError> {
        let fail = |path: &Path, source| RunDirectoryError { path: path.to_owned(), source };
        std::fs::create_dir_all(runs).map_err(|source| fail(runs, source))?;
        let time = now.strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
        let mut id = time.clone();
        for number in 2.. {
            let path = runs.join(&id);
            match std::fs::create_dir(&path) {
                Ok(()) => {
                    point_latest(runs, &id).map_err(|source| fail(&runs.join("latest"), source))?;
                    return Ok(Self { id, path });
                }
                // Another run began in the same second.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => id = format!("{time}-{number}"),
                Err(error) => return Err(fail(&path, error)),
            }
        }
        unreachable!("an open range has no end")
    }

    /// Uses `path`, which must not hold another run.
    ///
    /// # Errors
    /// When it cannot be made or is not empty.
    pub fn at(path: &Path, now: Timestamp) -> Result<Self, RunDirectoryError> {
        let fail = |source| RunDirectoryError { path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(fail)?;
        if std::fs::read_dir(path).map_err(fail)?.next().is_some() {
            return Err(fail(io::Error::from(io::ErrorKind::DirectoryNotEmpty)));
        }
        let id = now.strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
        Ok(Self { id, path: path.to_owned() })
    }

    /// The run's name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The log of compiling the bundle of one LLVM.
    #[must_use]
    pub fn build_log(&self, llvm: u32) -> PathBuf {
        self.path.join(format!("build-llvm{llvm}.log"))
    }

    /// Makes the directory for the logs of a VM: attempt `attempt`, counted from 1, of the job `arch/kernel`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn attempt(&self, job: &str, attempt: usize) -> Result<PathBuf, RunDirectoryError> {
        self.make(self.path.join("cells").join(job).join(format!("attempt{attempt}")))
    }

    /// Makes the directory for the tests' output of the cell `arch/kernel/llvmN`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn cell(&self, cell: &str) -> Result<PathBuf, RunDirectoryError> {
        self.make(self.path.join("cells").join(cell))
    }

    /// `path` as reports name it: relative to the run.
    #[must_use]
    pub fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.path).unwrap_or(path).display().to_string()
    }

    fn make(&self, path: PathBuf) -> Result<PathBuf, RunDirectoryError> {
        std::fs::create_dir_all(&path).map_err(|source| RunDirectoryError { path: path.clone(), source })?;
        Ok(path)
    }
}

/// Replaces the link `latest` in one step, so that nobody sees it absent.
fn point_latest(runs: &Path, id: &str) -> io::Result<()> {
    let next = runs.join(format!(".latest-{}", std::process::id()));
    std::os::unix::fs::symlink(id, &next)?;
    std::fs::rename(&next, runs.join("latest"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_the_same_second_get_directories_of_their_own() {
        let runs = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-11-20T22:30:00Z".parse().unwrap();
        let ids: Vec<_> = (0..3).map(|_| RunDirectory::create(runs.path(), now).unwrap().id).collect();
        assert_eq!(ids, ["2026-11-20T22-30-00Z", "2026-11-20T22-30-00Z-2", "2026-11-20T22-30-00Z-3"]);
        assert_eq!(std::fs::read_link(runs.path().join("latest")).unwrap(), Path::new(&ids[2]));
    }

    #[test]
    fn a_directory_with_another_run_is_refused() {
        let runs = tempfile::tempdir().unwrap();
        let path = runs.path().join("out");
        RunDirectory::at(&path, Timestamp::UNIX_EPOCH).unwrap();
        std::fs::write(path.join("run.json"), "{}").unwrap();
        let error = RunDirectory::at(&path, Timestamp::UNIX_EPOCH).unwrap_err().to_string();
        assert!(error.contains("directory not empty"), "{error}");
    }
}

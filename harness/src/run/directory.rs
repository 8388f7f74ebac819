//! Where a run leaves its results and logs: [`RunDirectory`].
//!
//! ```text
//! <runs>/<id>/run.json summary.md junit.xml
//!   .lock                                       there only while ukci works on the run
//!   build-<arch>-llvm22.log                     what cargo printed
//!   cells/<arch>/<kernel>/attempt1/{console,qemu}.log   one VM serves every LLVM of its kernel
//!   cells/<arch>/<kernel>/llvm22/<executable>-<test>.log
//!   cells/<arch>/<kernel>/llvm22/artifacts/<executable>-<test>/…   what the test left in UKCI_ARTIFACTS
//!   cells/<arch>/<kernel>/llvm22/coverage/<executable>-<test>/{bpf,userspace}/…   with --coverage, and its log beside it
//!   coverage/objects/<arch>/llvm22/{bpf,userspace}/…   the objects and executables that these are read with
//!   cells/<arch>/<kernel>/llvm22/attempt2/…     the same of the second VM
//!   resumed1/build-<arch>-llvm22.log            what cargo printed when the run was taken up again
//!   shard2/build-<arch>-llvm22.log              of a merged run, what only the shard's own machine printed
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;

use crate::archive::{Lock, StoreError};
use crate::matrix::Arch;

/// The directory of one run, on which no other ukci works as long as this or a clone of it is there.
#[derive(Clone, Debug)]
pub struct RunDirectory {
    id: String,
    path: PathBuf,
    _lock: Arc<Lock>,
}

/// Why there is no directory.
#[derive(Debug, Error)]
pub enum RunDirectoryError {
    /// It cannot be made.
    #[error("cannot make the run's directory `{}`: {source}\n  hint: `--out DIR` chooses another", path.display())]
    Make {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else works on the run.
    #[error("another ukci is working on the run in `{}`\n  hint: wait for its end, or interrupt it", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// It cannot be locked.
    #[error(transparent)]
    Lock(#[from] StoreError),
}

impl RunDirectoryError {
    /// Whether the directory is another's: then it is the choice that is wrong, not the disk.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
        match self {
            Self::Make { source, .. } => {
                matches!(source.kind(), DirectoryNotEmpty | AlreadyExists | NotADirectory)
            }
            Self::Busy { .. } => true,
            Self::Lock(_) => false,
        }
    }
}

impl RunDirectory {
    /// Makes a directory below `runs`, named by the time, and points `runs/latest` at it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(runs: &Path, now: Timestamp) -> Result<Self, RunDirectoryError> {
        std::fs::create_dir_all(runs).map_err(failed_to_make(runs))?;
        let time = name_of(now);
        let name = |number| if number == 1 { time.clone() } else { format!("{time}-{number}") };
        // Another run may have begun in the same second.
        let number = make_first_free(|number| runs.join(name(number)))?;
        let directory = Self::lock(&runs.join(name(number)), name(number))?;
        point_latest(runs, &directory.id).map_err(failed_to_make(&runs.join("latest")))?;
        Ok(directory)
    }

    /// Uses `path`, which must not hold another run.
    ///
    /// # Errors
    /// When it cannot be made or is not empty.
    pub fn at(path: &Path, now: Timestamp) -> Result<Self, RunDirectoryError> {
        std::fs::create_dir_all(path).map_err(failed_to_make(path))?;
        if std::fs::read_dir(path).map_err(failed_to_make(path))?.next().is_some() {
            return Err(failed_to_make(path)(io::Error::from(io::ErrorKind::DirectoryNotEmpty)));
        }
        Self::lock(path, name_of(now))
    }

    /// Takes up the run in the directory `path`, which holds one. Read its record only now: nobody else changes it any
    /// more.
    ///
    /// # Errors
    /// When somebody else works on it.
    pub fn open(path: &Path) -> Result<Self, RunDirectoryError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self::lock(path, name)
    }

    /// The same directory, whose run has the name `id`.
    #[must_use]
    pub fn named(self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self }
    }

    fn lock(path: &Path, id: String) -> Result<Self, RunDirectoryError> {
        let lock = Lock::attempt(&path.join(".lock"))?;
        let lock = lock.ok_or_else(|| RunDirectoryError::Busy { path: path.to_owned() })?;
        Ok(Self { id, path: path.to_owned(), _lock: Arc::new(lock) })
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

    /// Makes the directory for the logs of one more VM of the job `arch/kernel`; its number counts from 1, also over the
    /// runs that were taken up again.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn attempt(&self, job: &str) -> Result<(usize, PathBuf), RunDirectoryError> {
        let above = self.make(self.path.join("cells").join(job))?;
        let path = |number| above.join(format!("attempt{number}"));
        let number = make_first_free(path)?;
        Ok((number, path(number)))
    }

    /// Makes the directory for the tests' output of the cell `arch/kernel/llvmN` in the VM with the number `attempt`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn cell(&self, cell: &str, attempt: usize) -> Result<PathBuf, RunDirectoryError> {
        let path = self.path.join("cells").join(cell);
        self.make(if attempt == 1 { path } else { path.join(format!("attempt{attempt}")) })
    }

    /// Makes the directory for the coverage pass of the cell `arch/kernel/llvmN` in the VM with the number `attempt`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn coverage(&self, cell: &str, attempt: usize) -> Result<PathBuf, RunDirectoryError> {
        let cell = self.cell(cell, attempt)?;
        self.make(cell.join("coverage"))
    }

    /// Where the objects go that the coverage of `arch` and `llvm` is read with.
    #[must_use]
    pub fn coverage_objects(&self, arch: Arch, llvm: u32) -> PathBuf {
        self.path.join(format!("coverage/objects/{arch}/llvm{llvm}"))
    }

    /// Makes a directory for what is printed beside the cells when a run is taken up again.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn resumption(&self) -> Result<PathBuf, RunDirectoryError> {
        let path = |number| self.path.join(format!("resumed{number}"));
        make_first_free(path).map(path)
    }

    /// `path` as reports name it: relative to the run.
    #[must_use]
    pub fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.path).unwrap_or(path).display().to_string()
    }

    /// `path` as the record of the cell `arch/kernel/llvmN` names it: relative to `cells/<id>`.
    #[must_use]
    pub fn relative_to_cell(&self, cell: &str, path: &Path) -> String {
        path.strip_prefix(self.path.join("cells").join(cell)).unwrap_or(path).display().to_string()
    }

    fn make(&self, path: PathBuf) -> Result<PathBuf, RunDirectoryError> {
        std::fs::create_dir_all(&path).map_err(failed_to_make(&path))?;
        Ok(path)
    }
}

fn name_of(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H-%M-%SZ").to_string()
}

fn failed_to_make(path: &Path) -> impl FnOnce(io::Error) -> RunDirectoryError {
    let path = path.to_owned();
    move |source| RunDirectoryError::Make { path, source }
}

/// Makes the first of the directories `path(1)`, `path(2)`, … that is not there, and gives its number.
fn make_first_free(path: impl Fn(usize) -> PathBuf) -> Result<usize, RunDirectoryError> {
    let mut number = 1;
    loop {
        let path = path(number);
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(number),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(failed_to_make(&path)(error)),
        }
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

    #[test]
    fn a_run_is_one_ukcis_at_a_time() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunDirectory::create(runs.path(), Timestamp::UNIX_EPOCH).unwrap();
        let clone = run.clone();
        let path = run.path().to_owned();
        drop(run);
        let error = RunDirectory::open(&path).unwrap_err();
        assert!(error.is_taken() && error.to_string().contains("another ukci is working on the run"), "{error}");
        drop(clone);
        RunDirectory::open(&path).unwrap();
        assert!(std::fs::read_dir(&path).unwrap().next().is_none(), "nothing is left of the lock");
    }

    #[test]
    fn no_attempt_writes_where_another_wrote() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunDirectory::create(runs.path(), Timestamp::UNIX_EPOCH).unwrap();
        let (first, one) = run.attempt("x86_64/6.12").unwrap();
        let (second, two) = run.attempt("x86_64/6.12").unwrap();
        assert_eq!((first, second), (1, 2));
        assert!(one.ends_with("cells/x86_64/6.12/attempt1") && two.ends_with("cells/x86_64/6.12/attempt2"));
        assert_eq!(run.attempt("x86_64/7.2").unwrap().0, 1);
        let logs = [first, second].map(|attempt| run.cell("x86_64/6.12/llvm22", attempt).unwrap());
        assert!(logs[0].ends_with("6.12/llvm22") && logs[1].ends_with("6.12/llvm22/attempt2"), "{logs:?}");
        let named = run.relative_to_cell("x86_64/6.12/llvm22", &logs[1].join("artifacts/a/b"));
        assert_eq!(named, "attempt2/artifacts/a/b");
        let resumptions = [run.resumption().unwrap(), run.resumption().unwrap()];
        assert!(resumptions[0].ends_with("resumed1") && resumptions[1].ends_with("resumed2"), "{resumptions:?}");
    }
}

//! The private, content-addressed [`Store`] of everything that is downloaded or made from downloads.
//!
//! ```text
//! $UKCI_STORE, or $XDG_CACHE_HOME/ukci, or ~/.cache/ukci
//!   blobs/sha256/<hash>   downloads, each under the hash of its content
//!   trees/<key>/          directories made from them: unpacked packages, parsed indexes, images, …
//!   names/<hash or key>   what a person calls that entry
//!   indexes/<suite>_…     which index of a suite is the current one
//!   locks/<hash or key>   there only while somebody makes or removes that entry
//!   tmp/<session>/        where one process makes things; <session>.lock is locked as long as that process lives
//! ```
//!
//! Everything is made in `tmp/` and renamed into place, so an entry is whole or absent. Locks are flock(2)'s: they die
//! with their process, SIGKILL included, and the next [`Store::open`] removes what it left in `tmp/`. The time of an
//! entry's last use is its modification time. Files are flushed to the disk before they are renamed, directories are
//! not: after a power cut in the middle of a run, `ukci cache prune` is the way back to a good store.

mod lock;
mod upkeep;

use std::fs::{self, File, FileTimes};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use tempfile::{NamedTempFile, TempDir};
use thiserror::Error;

use crate::archive::hash::{HashedFile, Key, Sha256};
pub(crate) use lock::Lock;
pub use upkeep::{Entry, EntryKind, PruneRule, Pruned};

/// Why the store could not do something.
#[derive(Debug, Error)]
pub enum StoreError {
    /// No environment variable says where the store is.
    #[error(
        "cannot tell where to keep downloads: neither `UKCI_STORE`, `XDG_CACHE_HOME` nor `HOME` is set\n  \
         hint: set UKCI_STORE to a directory on a disk with some 10 GB free"
    )]
    NoHome,
    /// The disk or a quota is full.
    #[error("no space left to write `{path}`{FULL_HINT}")]
    Full {
        /// What was being written.
        path: PathBuf,
    },
    /// An operation on a file failed.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was put in is not what its hash says.
    #[error("`{name}` is not what was asked for: expected SHA-256 `{expected}`, found `{found}`")]
    WrongHash {
        /// What a person calls it.
        name: String,
        /// The hash under which it was to be kept.
        expected: Sha256,
        /// The hash of what came.
        found: Sha256,
    },
}

/// The way out of a full disk.
const FULL_HINT: &str =
    "\n  hint: `ukci cache prune` removes what was not used lately; or set UKCI_STORE to a directory on another disk";

impl StoreError {
    /// The way out of `error`, met while something was written to the store's disk: a hint on a line of its own, or nothing.
    #[must_use]
    pub fn hint_of(error: &io::Error) -> &'static str {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FULL_HINT,
            _ => "",
        }
    }

    /// Makes an error of an operation on `path` (`action` is a verb: "write"); a full disk becomes [`Self::Full`].
    pub fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io { action, path, source },
        }
    }
}

/// The store. Clones share one session.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// Our directory below `tmp/`.
    session: PathBuf,
    /// Says to others that we live. `None` only while it is being dropped.
    alive: Option<Lock>,
}

impl Store {
    /// Opens the store that the environment names, and makes it when it is not there.
    ///
    /// # Errors
    /// When the environment names none, or it cannot be made.
    pub fn from_env() -> Result<Self, StoreError> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = variable("UKCI_STORE")
            .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("ukci")))
            .or_else(|| variable("HOME").map(|home| home.join(".cache/ukci")))
            .ok_or(StoreError::NoHome)?;
        Self::open(&root)
    }

    /// Opens the store at `root`, makes it when it is not there, and removes what dead processes left half-made in it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let root = std::path::absolute(root).map_err(StoreError::at("find", root))?;
        for directory in ["blobs/sha256", "trees", "names", "indexes", "locks", "tmp"] {
            let path = root.join(directory);
            fs::create_dir_all(&path).map_err(StoreError::at("make the directory", &path))?;
        }
        lock::remove_dead_sessions(&root.join("tmp"))?;
        let (session, alive) = lock::new_session(&root.join("tmp"))?;
        Ok(Self { inner: Arc::new(Inner { root, session, alive: Some(alive) }) })
    }

    /// The store's directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// The download with this hash, if it is there. Marks it as used.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn blob(&self, hash: &Sha256) -> Result<Option<PathBuf>, StoreError> {
        let _lock = self.lock(&hash.to_string())?;
        let path = self.blob_path(hash);
        Ok(touch(&path)?.then_some(path))
    }

    /// The download with this hash. When it is not there, `fill` writes it; whoever else wants it meanwhile waits.
    /// `name` is what a person calls it, for example the file's name on the mirror.
    ///
    /// # Errors
    /// What `fill` returns, or [`StoreError::WrongHash`] when it wrote something else, or a failure of the disk. Nothing
    /// is kept then.
    pub fn add_blob<E: From<StoreError>>(
        &self,
        hash: &Sha256,
        name: &str,
        fill: impl FnOnce(&mut HashedFile) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let id = hash.to_string();
        let _lock = self.lock(&id)?;
        let path = self.blob_path(hash);
        if touch(&path)? {
            return Ok(path);
        }
        let scratch = self.scratch()?;
        let draft = scratch.path().join("blob");
        let mut file = HashedFile::create(&draft).map_err(StoreError::at("write", &draft))?;
        fill(&mut file)?;
        let found = file.hash();
        if found != *hash {
            return Err(StoreError::WrongHash { name: name.to_owned(), expected: *hash, found }.into());
        }
        file.sync().map_err(StoreError::at("write", &draft))?;
        let read_only = fs::Permissions::from_mode(0o444);
        fs::set_permissions(&draft, read_only).map_err(StoreError::at("write-protect", &draft))?;
        self.write_whole(&self.name_path(&id), name.as_bytes())?;
        fs::rename(&draft, &path).map_err(StoreError::at("write", &path))?;
        Ok(path)
    }

    /// The directory with this key. When it is not there, `make` fills an empty directory, which then appears under its
    /// final path at once; whoever else wants it meanwhile, in this process or another, waits. Marks it as used. Nobody
    /// may change it afterwards, and `make` must not ask for the same key.
    ///
    /// # Errors
    /// What `make` returns, or a failure of the disk. Nothing is kept then.
    pub fn derive<E: From<StoreError>>(
        &self,
        key: &Key,
        name: &str,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let id = key.to_string();
        let _lock = self.lock(&id)?;
        let path = self.inner.root.join("trees").join(&id);
        if touch(&path)? {
            return Ok(path);
        }
        let scratch = self.scratch()?;
        make(scratch.path())?;
        // `tempfile` makes directories that only their owner may enter; a tree's own mode must not depend on that.
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(scratch.path(), open).map_err(StoreError::at("open", scratch.path()))?;
        touch(scratch.path())?;
        self.write_whole(&self.name_path(&id), name.as_bytes())?;
        fs::rename(scratch.path(), &path).map_err(StoreError::at("write", &path))?;
        drop(scratch.keep());
        Ok(path)
    }

    /// The directory with this key, if it is there. Marks it as used.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn derived(&self, key: &Key) -> Result<Option<PathBuf>, StoreError> {
        let _lock = self.lock(&key.to_string())?;
        let path = self.inner.root.join("trees").join(key.to_string());
        Ok(touch(&path)?.then_some(path))
    }

    /// An empty directory on the store's file system, which disappears with the value.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self) -> Result<TempDir, StoreError> {
        TempDir::new_in(&self.inner.session).map_err(StoreError::at("make a directory in", &self.inner.session))
    }

    /// Removes what this process has half-made, although other threads may be at work on it: for a process that is about
    /// to end. They find their files gone, so none of it can become an entry.
    ///
    /// # Errors
    /// When something cannot be removed; the next [`Self::open`] tries again.
    pub fn abandon(&self) -> Result<(), StoreError> {
        let (grave, _alive) = lock::new_session(&self.inner.root.join("tmp"))?;
        let session = &self.inner.session;
        // In one step, so that nobody renames a tree of which half is removed.
        fs::rename(session, grave.join("abandoned")).map_err(StoreError::at("move", session))?;
        // A thread that is unpacking holds on to its directory, and fills it until that is gone as well.
        let mut tries = 1000;
        while let Err(error) = lock::remove_tree(&grave) {
            tries -= 1;
            match error.kind() {
                io::ErrorKind::NotFound if !grave.exists() => break,
                io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty if tries > 0 => {}
                _ => return Err(StoreError::at("remove", &grave)(error)),
            }
        }
        let alive = session.with_extension("lock");
        fs::remove_file(&alive).map_err(StoreError::at("remove", &alive))
    }

    /// What [`Self::write_index`] kept under `name`.
    pub(super) fn read_index(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.inner.root.join("indexes").join(name);
        match fs::read(&path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::at("read", &path)(error)),
        }
    }

    /// Keeps `content` under `name`, instead of what was there.
    pub(super) fn write_index(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        self.write_whole(&self.inner.root.join("indexes").join(name), content)
    }

    fn write_whole(&self, path: &Path, content: &[u8]) -> Result<(), StoreError> {
        let mut file = NamedTempFile::new_in(&self.inner.session).map_err(StoreError::at("write", path))?;
        file.write_all(content).map_err(StoreError::at("write", path))?;
        file.persist(path).map_err(|error| StoreError::at("write", path)(error.error))?;
        Ok(())
    }

    fn lock(&self, id: &str) -> Result<Lock, StoreError> {
        Lock::wait(&self.inner.root.join("locks").join(id))
    }

    fn blob_path(&self, hash: &Sha256) -> PathBuf {
        self.inner.root.join("blobs/sha256").join(hash.to_string())
    }

    fn name_path(&self, id: &str) -> PathBuf {
        self.inner.root.join("names").join(id)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next `open`, which finds our lock released.
        if fs::remove_dir_all(&self.session).is_err()
            && let Some(alive) = self.alive.take()
        {
            alive.release_only();
        }
    }
}

/// Marks `path` as used now; false when it is not there.
fn touch(path: &Path) -> Result<bool, StoreError> {
    match File::open(path) {
        Ok(file) => {
            let now = FileTimes::new().set_modified(SystemTime::now());
            file.set_times(now).map_err(StoreError::at("mark as used", path))?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::at("open", path)(error)),
    }
}

//! [`Lock`]: a flock(2) on a file that is there only while the lock is held, and the sessions that are built on it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::archive::store::StoreError;

/// A lock that this process holds. Dropping it removes its file and releases it.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
    removes: bool,
}

impl Lock {
    /// Takes the lock at `path`, as soon as nobody else holds it.
    pub(super) fn wait(path: &Path) -> Result<Self, StoreError> {
        loop {
            let file = open(path)?;
            match file.lock() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(StoreError::at("lock", path)(error)),
            }
            if is_at(&file, path) {
                return Ok(Self { path: path.to_owned(), file, removes: true });
            }
        }
    }

    /// Takes the lock at `path`, or gives `None` when somebody holds it.
    pub(crate) fn attempt(path: &Path) -> Result<Option<Self>, StoreError> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => Ok(Some(Self { path: path.to_owned(), file, removes: true })),
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(StoreError::at("lock", path)(error)),
        }
    }

    /// Releases the lock and leaves its file.
    pub(super) fn release_only(mut self) {
        self.removes = false;
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.removes && is_at(&self.file, &self.path) {
            // A file that stays does no harm: whoever opens it next finds it unlocked.
            drop(fs::remove_file(&self.path));
        }
        // Closing the file would release the lock too, but only once nobody has it open: another thread may have forked,
        // and its child has our files open until it calls exec.
        drop(self.file.unlock());
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(StoreError::at("open", path))
}

/// Whether `file` is still the one at `path`: the holder before us may have removed it between our open and our lock, and
/// then somebody else can hold a new one.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(there)) => (held.dev(), held.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// A new directory in `tmp`, and the lock that says that its owner lives.
pub(super) fn new_session(tmp: &Path) -> Result<(PathBuf, Lock), StoreError> {
    loop {
        let name = tempfile::Builder::new()
            .prefix(&format!("{}-", std::process::id()))
            .suffix(".lock")
            .tempfile_in(tmp)
            .and_then(|file| file.into_temp_path().keep().map_err(|error| error.error))
            .map_err(StoreError::at("make a session in", tmp))?;
        // Somebody who opens the store just now may take the new file for that of a dead process; then we try again.
        let Some(lock) = Lock::attempt(&name)? else { continue };
        let session = name.with_extension("");
        fs::create_dir(&session).map_err(StoreError::at("make the directory", &session))?;
        return Ok((session, lock));
    }
}

/// The sessions of other processes that live, each with the path of its lock file.
pub(super) fn live_sessions(tmp: &Path, own: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut live = Vec::new();
    for path in lock_files(tmp)? {
        if path.with_extension("") == own {
            continue;
        }
        match Lock::attempt(&path)? {
            // Its file must stay: without it, the next `open` would not find what the dead process left.
            Some(dead) => dead.release_only(),
            None => live.push(path),
        }
    }
    Ok(live)
}

/// Removes what dead processes left in `tmp`.
pub(super) fn remove_dead_sessions(tmp: &Path) -> Result<(), StoreError> {
    for path in lock_files(tmp)? {
        // The lock is held until its directory is gone, and removes its own file then.
        if let Some(_dead) = Lock::attempt(&path)? {
            let session = path.with_extension("");
            match remove_tree(&session) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::at("remove the leftovers", &session)(error)),
            }
        }
    }
    Ok(())
}

/// Removes a directory with everything in it, also where its makers took our right to write away.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        result => result,
    }
}

fn open_up(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

fn lock_files(tmp: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = fs::read_dir(tmp).map_err(StoreError::at("list", tmp))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == "lock")).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    /// Check that no two hold a lock at once, although each removes the file that the others wait for.
    #[test]
    fn one_holds_it_at_a_time() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let path = directory.path().join("lock");
        let inside = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let _lock = Lock::wait(&path).expect("a lock");
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(!path.exists());
    }
}

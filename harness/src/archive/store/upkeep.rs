//! What `ukci cache` does: [`Store::list`], [`Store::prune`], [`Store::verify`].

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::archive::hash::Sha256;
use crate::archive::store::{Store, StoreError, lock};

/// What an entry of the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A download.
    Blob,
    /// A directory made from downloads.
    Tree,
}

/// Something in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Download or directory.
    pub kind: EntryKind,
    /// The hash or the key under which it is kept.
    pub id: String,
    /// What a person calls it.
    pub name: String,
    /// What it takes on the disk.
    pub bytes: u64,
    /// When it was made or last asked for.
    pub last_used: SystemTime,
    /// Where it is.
    pub path: PathBuf,
}

/// What [`Store::prune`] may remove. Both at once remove what either would.
#[derive(Clone, Copy, Debug, Default)]
pub struct PruneRule {
    /// Remove what was not used for this long.
    pub older_than: Option<Duration>,
    /// Remove what was not used for the longest time, until the rest takes no more bytes than this.
    pub max_bytes: Option<u64>,
}

/// What [`Store::prune`] did.
#[derive(Clone, Debug, Default)]
pub struct Pruned {
    /// What it removed.
    pub removed: Vec<Entry>,
    /// What the rule wanted removed, but a running `ukci` may be using.
    pub in_use: Vec<Entry>,
}

impl Store {
    /// Everything in the store, the longest unused first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        for (kind, directory) in [(EntryKind::Blob, "blobs/sha256"), (EntryKind::Tree, "trees")] {
            let directory = self.root().join(directory);
            for entry in fs::read_dir(&directory).map_err(StoreError::at("list", &directory))? {
                let path = entry.map_err(StoreError::at("list", &directory))?.path();
                entries.extend(self.entry(kind, path)?);
            }
        }
        entries.sort_by(|a, b| (a.last_used, &a.id).cmp(&(b.last_used, &b.id)));
        Ok(entries)
    }

    /// Removes what `rule` says, except what another running process has used or may be about to use.
    ///
    /// # Errors
    /// When the store cannot be read or something cannot be removed.
    pub fn prune(&self, rule: PruneRule) -> Result<Pruned, StoreError> {
        let entries = self.list()?;
        // Whatever a process uses is marked as used after the process began, so nothing older is in use.
        let tmp = self.root().join("tmp");
        let sessions = lock::live_sessions(&tmp, &self.inner.session)?;
        let in_use_since =
            sessions.iter().filter_map(|path| fs::metadata(path).and_then(|data| data.modified()).ok()).min();
        let too_old = rule.older_than.and_then(|age| SystemTime::now().checked_sub(age));
        let mut total: u64 = entries.iter().map(|entry| entry.bytes).sum();
        let mut pruned = Pruned::default();
        for entry in entries {
            let old = too_old.is_some_and(|limit| entry.last_used <= limit);
            let too_much = rule.max_bytes.is_some_and(|limit| total > limit);
            if !old && !too_much {
                continue;
            }
            if in_use_since.is_some_and(|since| entry.last_used >= since) || !self.remove(&entry)? {
                pruned.in_use.push(entry);
                continue;
            }
            total -= entry.bytes;
            pruned.removed.push(entry);
        }
        Ok(pruned)
    }

    /// Hashes every download again, removes those whose content has changed, and says which.
    ///
    /// # Errors
    /// When the store cannot be read or something cannot be removed.
    pub fn verify(&self) -> Result<Vec<Entry>, StoreError> {
        let mut bad = Vec::new();
        for entry in self.list()?.into_iter().filter(|entry| entry.kind == EntryKind::Blob) {
            let found = Sha256::of_file(&entry.path).map_err(StoreError::at("read", &entry.path))?;
            if found.to_string() != entry.id && self.remove(&entry)? {
                bad.push(entry);
            }
        }
        Ok(bad)
    }

    /// Removes an entry, unless it was used since it was listed.
    fn remove(&self, entry: &Entry) -> Result<bool, StoreError> {
        let _lock = self.lock(&entry.id)?;
        let used = fs::symlink_metadata(&entry.path).and_then(|data| data.modified());
        if used.map_err(StoreError::at("read", &entry.path))? != entry.last_used {
            return Ok(false);
        }
        // The rename makes it disappear at once; a process that dies in the middle of the removal leaves it in `tmp/`.
        let scratch = self.scratch()?;
        let moved = scratch.path().join("removed");
        fs::rename(&entry.path, &moved).map_err(StoreError::at("remove", &entry.path))?;
        let removed = match entry.kind {
            EntryKind::Blob => fs::remove_file(&moved),
            EntryKind::Tree => lock::remove_tree(&moved),
        };
        removed.map_err(StoreError::at("remove", &entry.path))?;
        match fs::remove_file(self.name_path(&entry.id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::at("remove", &entry.path)(error)),
            _ => Ok(true),
        }
    }

    /// The entry at `path`, or `None` when somebody removed it meanwhile.
    fn entry(&self, kind: EntryKind, path: PathBuf) -> Result<Option<Entry>, StoreError> {
        let measure = |path: &Path| -> io::Result<(SystemTime, u64)> {
            let data = fs::symlink_metadata(path)?;
            let mut seen = HashSet::new();
            Ok((data.modified()?, disk_usage(path, &mut seen)?))
        };
        match measure(&path) {
            Ok((last_used, bytes)) => {
                let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let name = fs::read_to_string(self.name_path(&id)).unwrap_or_else(|_unnamed| id.clone());
                Ok(Some(Entry { kind, id, name, bytes, last_used, path }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::at("read", &path)(error)),
        }
    }
}

/// Bytes on the disk, of a directory with everything in it; a file with several names counts once.
fn disk_usage(path: &Path, seen: &mut HashSet<u64>) -> io::Result<u64> {
    let data = fs::symlink_metadata(path)?;
    if !data.is_dir() && data.nlink() > 1 && !seen.insert(data.ino()) {
        return Ok(0);
    }
    // st_blocks counts units of 512 bytes, whatever the file system's block size is (stat(2)).
    let mut bytes = data.blocks() * 512;
    if data.is_dir() {
        for entry in fs::read_dir(path)? {
            bytes += disk_usage(&entry?.path(), seen)?;
        }
    }
    Ok(bytes)
}

//! [`Tree`]: a directory into which entries of `tar` archives are written, and nothing beside it.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tar::EntryType;

use crate::archive::store::StoreError;

/// The directories that are links into `usr` since Debian 12 (`usrmerge`).
const MERGED: [&str; 6] = ["bin", "lib", "lib32", "lib64", "libx32", "sbin"];

/// Symbolic links that a path may lead through; Linux's own limit.
const MAX_LINKS: usize = 40;

/// Why an entry was not written.
#[derive(Debug)]
pub(super) enum Failure {
    /// It must not be written; the text continues "its entry …".
    Refused(String),
    /// The archive could not be read.
    Read(io::Error),
    /// The file system failed.
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn refused<T>(reason: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Refused(reason.into()))
}

/// A directory that grows.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    merge: Merge,
}

/// Which directories become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// `lib` and `usr/lib`, and the others that Debian has merged.
    Usr,
    /// None: the tree is no system.
    Nothing,
}

impl Tree {
    pub(super) fn new(root: &Path, merge: Merge) -> Self {
        Self { root: root.to_owned(), merge }
    }

    /// Writes one entry. `content` is read for regular files only.
    pub(super) fn add(
        &mut self,
        kind: EntryType,
        path: &[u8],
        link: Option<&[u8]>,
        mode: u32,
        content: &mut dyn Read,
    ) -> Result<(), Failure> {
        // A header that is about the archive itself.
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let parts = parts(path)?;
        let link = link.map(OsStr::from_bytes);
        match (kind, parts.split_last()) {
            (EntryType::Directory, None) => Ok(()), // The root itself: `./`.
            (_, None) => refused("stands for the whole tree, but is no directory"),
            (EntryType::Directory, Some(_)) => {
                let path = self.directory(&parts)?;
                let mode = Permissions::from_mode(mode & 0o777 | 0o700);
                Ok(fs::set_permissions(&path, mode).map_err(StoreError::at("set the mode of", &path))?)
            }
            (EntryType::Regular | EntryType::Continuous, Some((name, parents))) => {
                let path = self.room_for(name, parents)?;
                write_file(&path, mode & 0o777, content)
            }
            (EntryType::Symlink, Some((name, parents))) => {
                let Some(target) = link else { return refused("is a symbolic link to nothing") };
                self.symlink(name, parents, target)
            }
            (EntryType::Link, Some((name, parents))) => {
                let Some(target) = link else { return refused("is a hard link to nothing") };
                let target_parts = self::parts(target.as_bytes())?;
                let Some((target_name, target_parents)) = target_parts.split_last() else {
                    return refused("is a hard link to a directory");
                };
                let target = self.directory(target_parents)?.join(target_name);
                if !fs::symlink_metadata(&target).is_ok_and(|data| data.is_file()) {
                    return refused("is a hard link to something that is no file of the tree");
                }
                let path = self.room_for(name, parents)?;
                Ok(fs::hard_link(&target, &path).map_err(StoreError::at("link", &path))?)
            }
            (kind, Some(_)) => refused(format!("is a device or something else of type {kind:?}")),
        }
    }

    /// Makes the links that `usrmerge` makes, so that both names lead to a file.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        let merged = if self.merge == Merge::Usr { &MERGED[..] } else { &[] };
        for name in merged {
            let path = self.root.join(name);
            let there = fs::symlink_metadata(self.root.join("usr").join(name)).is_ok_and(|data| data.is_dir());
            if there && fs::symlink_metadata(&path).is_err() {
                symlink(Path::new("usr").join(name), &path).map_err(StoreError::at("write", &path))?;
            }
        }
        Ok(())
    }

    fn is_merged(&self, parents: &[OsString], name: &OsString) -> bool {
        self.merge == Merge::Usr && parents.is_empty() && MERGED.iter().any(|merged| name == *merged)
    }

    fn symlink(&self, name: &OsString, parents: &[OsString], target: &OsStr) -> Result<(), Failure> {
        if self.is_merged(parents, name) {
            // `lib -> usr/lib`, which is what we make of it anyway.
            let usr = Path::new("usr").join(name);
            let target = Path::new(target);
            if target == usr || target == Path::new("/").join(&usr) {
                return Ok(());
            }
            return refused("is a symbolic link where a directory of the system must be");
        }
        let path = self.directory(parents)?.join(name);
        match fs::symlink_metadata(&path) {
            // As dpkg does: a directory that another package has made stays.
            Ok(data) if data.is_dir() => return Ok(()),
            Ok(_) => fs::remove_file(&path).map_err(StoreError::at("replace", &path))?,
            Err(_absent) => {}
        }
        Ok(symlink(target, &path).map_err(StoreError::at("write", &path))?)
    }

    /// The path of a new file, with what was there removed.
    fn room_for(&self, name: &OsString, parents: &[OsString]) -> Result<PathBuf, Failure> {
        if self.is_merged(parents, name) {
            return refused("is a file where a directory of the system must be");
        }
        let path = self.directory(parents)?.join(name);
        match fs::symlink_metadata(&path) {
            Ok(data) if data.is_dir() => return refused("is a file where an earlier entry made a directory"),
            // Never write into what is there: it may be a symbolic link, or have a second name.
            Ok(_) => fs::remove_file(&path).map_err(StoreError::at("replace", &path))?,
            Err(_absent) => {}
        }
        Ok(path)
    }

    /// The directory with these parts, made where it is missing.
    ///
    /// Symbolic links on the way are followed here and not by the kernel, as far as they stay in the tree: packages do have
    /// directories that are relative links to others. The kernel is only handed paths whose parts are real directories,
    /// and nobody else writes to the tree meanwhile.
    fn directory(&self, parts: &[OsString]) -> Result<PathBuf, Failure> {
        let mut todo: VecDeque<OsString> = parts.iter().cloned().collect();
        let mut at = PathBuf::new();
        let mut links = 0;
        while let Some(part) = todo.pop_front() {
            if part == ".." {
                if !at.pop() {
                    return refused("is below a symbolic link that leaves the tree");
                }
                continue;
            }
            if at.as_os_str().is_empty() && self.is_merged(&[], &part) {
                // `usr` is none of the merged names, so this does not go round in a circle.
                todo.push_front(part);
                todo.push_front("usr".into());
                continue;
            }
            let path = self.root.join(&at).join(&part);
            match fs::symlink_metadata(&path) {
                Ok(data) if data.is_dir() => at.push(part),
                Ok(data) if data.is_symlink() => {
                    links += 1;
                    let target = fs::read_link(&path).map_err(StoreError::at("read", &path))?;
                    if target.is_absolute() || links > MAX_LINKS {
                        return refused("is below a symbolic link that is absolute or leads in a circle");
                    }
                    for part in target.as_os_str().as_bytes().split(|byte| *byte == b'/').rev() {
                        if !part.is_empty() && part != b"." {
                            todo.push_front(OsString::from_vec(part.to_vec()));
                        }
                    }
                }
                Ok(_) => return refused("is below something that is no directory"),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    DirBuilder::new().mode(0o755).create(&path).map_err(StoreError::at("make the directory", &path))?;
                    at.push(part);
                }
                Err(error) => return Err(StoreError::at("read", &path)(error).into()),
            }
        }
        Ok(self.root.join(at))
    }
}

/// The parts of an entry's path. Absolute paths and `..` are refused.
fn parts(path: &[u8]) -> Result<Vec<OsString>, Failure> {
    if path.starts_with(b"/") {
        return refused("has or links to an absolute path");
    }
    let mut parts = Vec::new();
    for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".") {
        if part == b".." || part.contains(&0) {
            return refused("has or links to a path with `..` in it");
        }
        parts.push(OsString::from_vec(part.to_vec()));
    }
    Ok(parts)
}

fn write_file(path: &Path, mode: u32, content: &mut dyn Read) -> Result<(), Failure> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(StoreError::at("write", path))?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => file.write_all(&buffer[..count]).map_err(StoreError::at("write", path))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::Read(error)),
        }
    }
    // Not at `open`, where the umask would take bits away.
    Ok(file.set_permissions(Permissions::from_mode(mode)).map_err(StoreError::at("set the mode of", path))?)
}

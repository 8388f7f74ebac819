//! Unpacks a tar archive that an untrusted guest made: [`unpack`]. Regular files only, below one new directory only.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use tar::{Archive, Entry, EntryType};

/// What may at most be unpacked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Of the files' contents together.
    pub(super) bytes: u64,
    /// Entries of the archive.
    pub(super) files: u64,
}

/// What was unpacked.
#[derive(Debug, Default)]
pub(super) struct Unpacked {
    /// The files, relative to the directory, sorted.
    pub(super) files: Vec<String>,
    /// What was not, in one line.
    pub(super) trouble: Option<String>,
}

impl Unpacked {
    /// Nothing was, for this reason.
    pub(super) fn refused(why: String) -> Self {
        Self { files: Vec::new(), trouble: Some(why) }
    }
}

/// Why an entry was not unpacked.
enum Failure {
    /// It alone is left out; the text continues "the entry …".
    Skipped(&'static str),
    /// Nothing behind it is read either.
    Ended(String),
}

/// Unpacks the archives in `reader`, one behind the other, into the directory `into`, which must not be there and is made for the first file. What is
/// no regular file, has a path that is not simply below the directory, or is there twice, is left out; the rest stays.
pub(super) fn unpack(reader: impl Read, into: &Path, limits: Limits) -> Unpacked {
    let mut unpacked = Unpacked::default();
    let mut skipped: Option<(String, usize)> = None;
    let mut left = limits.bytes;
    let mut archive = Archive::new(reader);
    archive.set_ignore_zeros(true);
    let entries = match archive.entries() {
        Ok(entries) => entries,
        Err(error) => return Unpacked::refused(error.to_string()),
    };
    for (count, entry) in (1..).zip(entries) {
        let (name, result) = match entry {
            Err(error) => (String::new(), Err(Failure::Ended(format!("the archive is damaged: {error}")))),
            Ok(_) if count > limits.files => {
                (String::new(), Err(Failure::Ended(format!("more than {} files", limits.files))))
            }
            Ok(entry) => {
                let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                (name, unpack_entry(entry, into, &mut left))
            }
        };
        match result {
            Ok(path) => unpacked.files.push(path),
            Err(Failure::Skipped(why)) => {
                skipped.get_or_insert_with(|| (format!("the entry `{name}` {why}"), 0)).1 += 1;
            }
            Err(Failure::Ended(why)) => {
                unpacked.trouble = Some(why);
                break;
            }
        }
    }
    if let (None, Some((first, count))) = (&unpacked.trouble, skipped) {
        let more = if count > 1 { format!(", and {} more are left out", count - 1) } else { String::new() };
        unpacked.trouble = Some(format!("{first}{more}"));
    }
    unpacked.files.sort();
    unpacked
}

/// Writes one file and gives its path. `left` is what all files may still take.
fn unpack_entry(mut entry: Entry<'_, impl Read>, into: &Path, left: &mut u64) -> Result<String, Failure> {
    let kind = entry.header().entry_type();
    if !matches!(kind, EntryType::Regular | EntryType::Continuous) {
        return Err(Failure::Skipped("is no regular file"));
    }
    let path = safe_path(entry.path_bytes().into_owned()).map_err(Failure::Skipped)?;
    let size = entry.size();
    *left = left.checked_sub(size).ok_or_else(|| Failure::Ended("together larger than is kept".into()))?;
    let place = into.join(&path);
    let written = place.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&place)?;
        io::copy(&mut (&mut entry).take(size), &mut file)
    });
    match written {
        // An archive that ends within a file: what there is may be of use all the same, but is not passed off as the file.
        Ok(copied) if copied < size => {
            drop(fs::remove_file(&place));
            Err(Failure::Ended("the archive ends within a file".into()))
        }
        Ok(_) => Ok(path.to_string_lossy().into_owned()),
        Err(error) => match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
                Err(Failure::Skipped("has the place of another"))
            }
            io::ErrorKind::InvalidFilename => Err(Failure::Skipped("has a name that is too long")),
            _ => Err(Failure::Ended(format!("cannot write `{}`: {error}", place.display()))),
        },
    }
}

/// The path of an entry, when it leads nowhere but down, and is text.
fn safe_path(bytes: Vec<u8>) -> Result<PathBuf, &'static str> {
    let path = PathBuf::from(OsString::from_vec(bytes));
    let Some(text) = path.to_str() else { return Err("has a name that is no text") };
    if text.chars().any(char::is_control) {
        return Err("has a control character in its name");
    }
    let mut safe = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => safe.push(part),
            Component::CurDir => {}
            Component::RootDir | Component::ParentDir | Component::Prefix(_) => {
                return Err("would leave its directory");
            }
        }
    }
    if safe.as_os_str().is_empty() { Err("has no name") } else { Ok(safe) }
}

#[cfg(test)]
mod tests;

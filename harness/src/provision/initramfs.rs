//! Writes initramfs segments: [`Segment`] is a cpio archive in the kernel's `newc` format, [`assemble`] joins several.
//!
//! The kernel unpacks every archive that it finds in the initramfs, one after the other, so what changes rarely and what
//! is made for one boot live in files of their own. The same content gives the same bytes: entries are sorted, and
//! carry no time and no inode number.
//!
//! Segments are not compressed: an emulated guest decompresses far slower than the host copies.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cpio::newc;
use thiserror::Error;

/// Why an initramfs could not be written.
#[derive(Debug, Error)]
pub enum InitramfsError {
    /// A file that goes into it could not be read.
    #[error("cannot put `{path}` into the guest's initramfs: {source}")]
    Read {
        /// The file on the host.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is larger than the format can say.
    #[error("cannot put `{path}` into the guest's initramfs: expected at most 4 GiB, found {size} bytes")]
    TooLarge {
        /// The file on the host.
        path: PathBuf,
        /// Its size.
        size: u64,
    },
    /// The output could not be written.
    #[error("cannot write the initramfs `{path}`: {source}{}", crate::archive::StoreError::hint_of(source))]
    Write {
        /// The output.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[derive(Clone, Debug)]
enum Content {
    Directory,
    Symlink(String),
    Bytes(Vec<u8>),
    /// Copied when the segment is written, so that a large file is never held in memory.
    HostFile(PathBuf),
}

/// A cpio archive to be. Paths are relative to the guest's root; directories are added as they are needed.
#[derive(Clone, Debug, Default)]
pub struct Segment {
    entries: BTreeMap<String, (u32, Content)>,
}

impl Segment {
    /// Adds an empty directory, or sets the mode of one.
    pub fn directory(&mut self, path: &str, mode: u32) {
        self.add(path, 0o040_000 | mode, Content::Directory);
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str) {
        self.add(path, 0o120_777, Content::Symlink(target.to_owned()));
    }

    /// Adds a file with this content.
    pub fn bytes(&mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) {
        self.add(path, 0o100_000 | mode, Content::Bytes(content.into()));
    }

    /// Adds a copy of a file of the host.
    pub fn host_file(&mut self, path: &str, mode: u32, source: impl Into<PathBuf>) {
        self.add(path, 0o100_000 | mode, Content::HostFile(source.into()));
    }

    fn add(&mut self, path: &str, mode: u32, content: Content) {
        for (end, _slash) in path.match_indices('/') {
            self.entries.entry(path[..end].to_owned()).or_insert((0o040_755, Content::Directory));
        }
        self.entries.insert(path.to_owned(), (mode, content));
    }

    /// Writes the archive to the file `out`. It holds keys at times, so only its owner may read it.
    ///
    /// # Errors
    /// When a file of the host cannot be read or `out` not be written.
    pub fn write(&self, out: &Path) -> Result<(), InitramfsError> {
        let failed = |source| InitramfsError::Write { path: out.to_owned(), source };
        let mut writer = BufWriter::new(create_private(out).map_err(failed)?);
        // The order of a BTreeMap puts a directory before what is in it, as the kernel needs it.
        for (path, (mode, content)) in &self.entries {
            let entry = newc::Builder::new(path).mode(*mode);
            writer = match content {
                Content::Directory => entry.write(writer, 0).finish().map_err(failed)?,
                Content::Symlink(target) => put(entry, writer, target.as_bytes()).map_err(failed)?,
                Content::Bytes(bytes) => put(entry, writer, bytes).map_err(failed)?,
                Content::HostFile(source) => put_file(entry, writer, source, out)?,
            };
        }
        newc::trailer(writer).and_then(|mut writer| writer.flush()).map_err(failed)
    }
}

fn create_private(path: &Path) -> io::Result<File> {
    let file = File::create(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

fn put<W: Write>(entry: newc::Builder, writer: W, bytes: &[u8]) -> io::Result<W> {
    let size = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut writer = entry.write(writer, size);
    writer.write_all(bytes)?;
    writer.finish()
}

fn put_file<W: Write>(entry: newc::Builder, writer: W, source: &Path, out: &Path) -> Result<W, InitramfsError> {
    let unreadable = |error| InitramfsError::Read { path: source.to_owned(), source: error };
    let mut file = File::open(source).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let Ok(short) = u32::try_from(size) else {
        return Err(InitramfsError::TooLarge { path: source.to_owned(), size });
    };
    let mut writer = entry.write(writer, short);
    io::copy(&mut file, &mut writer)
        .and_then(|_copied| writer.finish())
        .map_err(|error| InitramfsError::Write { path: out.to_owned(), source: error })
}

/// Joins segments into one initramfs. A later segment's file replaces an earlier one's.
///
/// # Errors
/// When a segment cannot be read or `out` not be written.
pub fn assemble(segments: &[&Path], out: &Path) -> Result<(), InitramfsError> {
    let failed = |source| InitramfsError::Write { path: out.to_owned(), source };
    let mut joined = create_private(out).map_err(failed)?;
    for segment in segments {
        let mut file =
            File::open(segment).map_err(|source| InitramfsError::Read { path: segment.to_path_buf(), source })?;
        // `io::copy` from file to file leaves the copying to the kernel.
        io::copy(&mut file, &mut joined).map_err(failed)?;
        // The kernel looks for the next archive at a multiple of 4 only.
        let end = joined.stream_position().map_err(failed)?;
        joined.write_all(&[0; 4][..(end.next_multiple_of(4) - end) as usize]).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;

    use super::*;

    fn names_and_modes(archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut entries = Vec::new();
        let mut rest = archive;
        loop {
            let mut reader = newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                return entries;
            }
            let mut content = Vec::new();
            reader.read_to_end(&mut content).unwrap();
            entries.push((reader.entry().name().to_owned(), reader.entry().mode(), content));
            rest = reader.finish().unwrap();
        }
    }

    #[test]
    fn parents_come_first_and_the_bytes_do_not_depend_on_the_order_of_adding() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("host"), "12345").unwrap();
        let write = |name: &str, reverse: bool| {
            let mut segment = Segment::default();
            for step in if reverse { [2, 1, 0] } else { [0, 1, 2] } {
                match step {
                    0 => segment.bytes("usr/bin/tool", 0o755, "x"),
                    1 => segment.symlink("bin", "usr/bin"),
                    _ => segment.host_file("ukci/file", 0o644, dir.path().join("host")),
                }
            }
            segment.write(&dir.path().join(name)).unwrap();
            fs::read(dir.path().join(name)).unwrap()
        };
        let archive = write("a", false);
        assert_eq!(archive, write("b", true));
        let listed: Vec<_> = names_and_modes(&archive).into_iter().map(|(n, m, c)| (n, m, c.len())).collect();
        let expected = [
            ("bin", 0o120_777, 7),
            ("ukci", 0o040_755, 0),
            ("ukci/file", 0o100_644, 5),
            ("usr", 0o040_755, 0),
            ("usr/bin", 0o040_755, 0),
            ("usr/bin/tool", 0o100_755, 1),
        ];
        assert_eq!(listed, expected.map(|(n, m, c)| (n.to_owned(), m, c)));
    }

    #[test]
    fn joined_segments_begin_at_multiples_of_four() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b, out) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("out"));
        fs::write(&a, "odd").unwrap();
        fs::write(&b, "even").unwrap();
        assemble(&[&a, &b, &a], &out).unwrap();
        assert_eq!(fs::read(&out).unwrap(), b"odd\0evenodd\0");
    }

    #[test]
    fn a_missing_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut segment = Segment::default();
        segment.host_file("x", 0o644, "/nonexistent/bundle");
        let error = segment.write(&dir.path().join("out")).unwrap_err().to_string();
        assert!(error.contains("`/nonexistent/bundle`"), "{error}");
    }
}

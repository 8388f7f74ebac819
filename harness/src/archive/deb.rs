//! Unpacks Debian packages and tar archives without root: [`unpack`] and [`unpack_any`].
//!
//! A package is an `ar` archive that holds a compressed `tar` archive. Its content is signed for, but this code does not
//! lean on that: whatever is in a package, nothing outside the target directory is written.

mod tree;

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::archive::store::StoreError;
pub use tree::Merge;
use tree::Tree;

/// Changes whenever [`unpack`] makes something else of the same packages.
pub(super) const VERSION: &str = "1";

/// What a package may at most become. Larger than any package that we use, and small enough to notice a bomb in time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the uncompressed `tar` archive.
    pub bytes: u64,
    /// Files, directories and links in it.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 8 << 30, entries: 1_000_000 }
    }
}

/// Why a package could not be unpacked.
#[derive(Debug, Error)]
pub enum DebError {
    /// It is no package, or a damaged one.
    #[error("`{package}` is no package that we can read: {reason}")]
    Malformed {
        /// The package's file name.
        package: String,
        /// What is wrong.
        reason: String,
    },
    /// It wants something that a package must not do.
    #[error("refused to unpack `{package}`: its entry `{entry}` {reason}")]
    Refused {
        /// The package's file name.
        package: String,
        /// The path of the entry.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It becomes too large.
    #[error("refused to unpack `{package}`: it is larger than {} MiB or has more than {} entries", limits.bytes >> 20, limits.entries)]
    TooLarge {
        /// The package's file name.
        package: String,
        /// What is allowed.
        limits: Limits,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Unpacks packages (file name for messages, path) into the empty directory `into`, each on top of those before it.
///
/// `bin`, `sbin` and `lib*` become links to the directories of the same name in `usr`, wherever the packages have their
/// files: packages up to bullseye use `lib`, later ones `usr/lib`, and a tree may hold both. Owners, set-user-id bits and
/// times are not kept, other modes are; directories can be written by their owner.
///
/// # Errors
/// When a package is malformed, larger than `limits`, or has an entry that would leave `into` or is a device.
pub fn unpack(packages: &[(String, PathBuf)], into: &Path, limits: Limits) -> Result<(), DebError> {
    let mut tree = Tree::new(into, Merge::Usr);
    for (name, path) in packages {
        unpack_one(name, path, &mut tree, limits)?;
    }
    tree.finish()?;
    Ok(())
}

fn unpack_one(package: &str, path: &Path, tree: &mut Tree, limits: Limits) -> Result<(), DebError> {
    let malformed = |reason: String| DebError::Malformed { package: package.to_owned(), reason };
    let broken = |error: io::Error| malformed(error.to_string());
    let file = File::open(path).map_err(StoreError::at("open", path))?;
    let mut members = ar::Archive::new(BufReader::new(file));
    let mut is_first = true;
    while let Some(member) = members.next_entry() {
        let mut member = member.map_err(broken)?;
        // Some versions of `ar` end names with a slash.
        let name = String::from_utf8_lossy(member.header().identifier()).trim_end_matches('/').to_owned();
        if is_first {
            let mut format = String::new();
            (&mut member).take(16).read_to_string(&mut format).map_err(broken)?;
            if name != "debian-binary" || !format.starts_with("2.") {
                return Err(malformed("it does not begin with a member `debian-binary` of version 2".into()));
            }
            is_first = false;
            continue;
        }
        let Some(suffix) = name.strip_prefix("data.tar") else { continue };
        let compression = Compression::ALL.into_iter().find(|compression| compression.suffix() == suffix);
        let unknown = || malformed(format!("its member `data.tar{suffix}` is compressed in an unknown way"));
        return unpack_compressed(package, compression.ok_or_else(unknown)?, member, tree, limits);
    }
    Err(malformed("it has no member `data.tar`".into()))
}

/// Whether the file at `path` is a Debian package or a tar archive, by its first bytes.
///
/// # Errors
/// When it cannot be read.
pub fn is_archive(path: &Path) -> Result<bool, StoreError> {
    let start = first_bytes(path)?;
    Ok(start.starts_with(AR) || Compression::of(&start).is_some())
}

/// Unpacks the Debian package or tar archive at `path` into the empty directory `into`, as [`unpack`] does; with
/// [`Merge::Nothing`] everything stays where the archive has it.
///
/// # Errors
/// As for [`unpack`], and when it is neither.
pub fn unpack_any(package: &str, path: &Path, into: &Path, merge: Merge, limits: Limits) -> Result<(), DebError> {
    let start = first_bytes(path)?;
    let mut tree = Tree::new(into, merge);
    if start.starts_with(AR) {
        unpack_one(package, path, &mut tree, limits)?;
    } else {
        let compression = Compression::of(&start).ok_or_else(|| DebError::Malformed {
            package: package.to_owned(),
            reason: "expected a Debian package or a tar archive: plain, or compressed by gzip, xz or zstd".into(),
        })?;
        let file = File::open(path).map_err(StoreError::at("open", path))?;
        unpack_compressed(package, compression, BufReader::new(file), &mut tree, limits)?;
    }
    Ok(tree.finish()?)
}

/// What every `ar` archive begins with.
const AR: &[u8] = b"!<arch>\n";

fn first_bytes(path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut start = Vec::new();
    let file = File::open(path).map_err(StoreError::at("open", path))?;
    file.take(512).read_to_end(&mut start).map_err(StoreError::at("read", path))?;
    Ok(start)
}

/// How a tar archive is compressed.
#[derive(Clone, Copy, Debug)]
enum Compression {
    None,
    Gzip,
    Xz,
    Zstd,
}

impl Compression {
    const ALL: [Self; 4] = [Self::None, Self::Gzip, Self::Xz, Self::Zstd];

    /// What the name of such an archive has after `.tar`.
    fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
        }
    }

    /// That of the tar archive which begins with the bytes `start`. A compressed file may hold something else; that shows
    /// when it is read.
    fn of(start: &[u8]) -> Option<Self> {
        if start.get(257..262) == Some(b"ustar") {
            return Some(Self::None);
        }
        let magic = [(Self::Gzip, &b"\x1f\x8b"[..]), (Self::Xz, b"\xfd7zXZ\0"), (Self::Zstd, b"\x28\xb5\x2f\xfd")];
        magic.into_iter().find(|(_, magic)| start.starts_with(magic)).map(|(compression, _)| compression)
    }
}

fn unpack_compressed<'a>(
    package: &str,
    compression: Compression,
    from: impl Read + 'a,
    tree: &mut Tree,
    limits: Limits,
) -> Result<(), DebError> {
    let broken = |error: io::Error| DebError::Malformed { package: package.to_owned(), reason: error.to_string() };
    let reader: Box<dyn Read + 'a> = match compression {
        Compression::None => Box::new(from),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(from)),
        Compression::Xz => {
            // The strongest preset of xz needs 65 MiB to unpack; several streams may follow each other.
            let stream = liblzma::stream::Stream::new_stream_decoder(256 << 20, liblzma::stream::CONCATENATED)
                .map_err(|error| broken(error.into()))?;
            Box::new(liblzma::read::XzDecoder::new_stream(from, stream))
        }
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(from).map_err(broken)?),
    };
    let left = Cell::new(limits.bytes);
    let capped = Capped { reader, left: &left };
    unpack_tar(package, capped, tree, limits).map_err(|error| match error {
        // The reader below fails when the limit is reached, which `tar` reports as damage.
        DebError::Malformed { .. } if left.get() == 0 => DebError::TooLarge { package: package.to_owned(), limits },
        error => error,
    })
}

fn unpack_tar(package: &str, reader: impl Read, tree: &mut Tree, limits: Limits) -> Result<(), DebError> {
    let broken = |error: io::Error| DebError::Malformed { package: package.to_owned(), reason: error.to_string() };
    let mut archive = tar::Archive::new(reader);
    for (count, entry) in (1..).zip(archive.entries().map_err(broken)?) {
        let mut entry = entry.map_err(broken)?;
        if count > limits.entries {
            return Err(DebError::TooLarge { package: package.to_owned(), limits });
        }
        let path = entry.path_bytes().into_owned();
        let link = entry.link_name_bytes().map(|name| name.into_owned());
        let mode = entry.header().mode().map_err(broken)?;
        let kind = entry.header().entry_type();
        tree.add(kind, &path, link.as_deref(), mode, &mut entry).map_err(|failure| match failure {
            tree::Failure::Refused(reason) => DebError::Refused {
                package: package.to_owned(),
                entry: String::from_utf8_lossy(&path).into_owned(),
                reason,
            },
            tree::Failure::Read(error) => broken(error),
            tree::Failure::Store(error) => error.into(),
        })?;
    }
    Ok(())
}

/// A reader that fails once more than the limit was read.
struct Capped<'a, R> {
    reader: R,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for Capped<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        match self.left.get().checked_sub(count as u64) {
            Some(left) if left > 0 || count == 0 => self.left.set(left),
            _ => {
                self.left.set(0);
                return Err(io::Error::other("too large"));
            }
        }
        Ok(count)
    }
}

//! Files from anywhere, named by their hash: the rest of [`Archive`].

use std::path::{Path, PathBuf};

use crate::archive::deb::{self, Limits, Merge};
use crate::archive::fetch::Length;
use crate::archive::hash::{Key, Sha256};
use crate::archive::{Archive, ArchiveError, check_hash};

/// The most that is read of a file whose size nobody told us, in bytes: several times a kernel's source.
const LARGEST: u64 = 2 << 30;

impl Archive {
    /// The file at `url`, whose SHA-256 is `sha256`: from the store when it is there, whatever address it once came from.
    ///
    /// # Errors
    /// When it cannot be fetched, is too large, or is another file.
    pub fn download(&self, url: &str, sha256: Sha256) -> Result<PathBuf, ArchiveError> {
        let name = url.rsplit('/').next().unwrap_or(url);
        self.store.add_blob(&sha256, name, |file| {
            self.client.get(url, Length::AtMost(LARGEST), file, &|_bytes| {})?;
            self.progress.downloaded(name, file.bytes(), file.bytes());
            Ok(check_hash(url.to_owned(), sha256, file.hash())?)
        })
    }

    /// A directory with what is in the file `path`, whose SHA-256 is `sha256`; `None` when it is neither a Debian package nor a
    /// tar archive. `name` is what a person calls it.
    ///
    /// # Errors
    /// When it cannot be unpacked safely.
    pub fn unpacked(&self, name: &str, path: &Path, sha256: Sha256) -> Result<Option<PathBuf>, ArchiveError> {
        if !deb::is_archive(path)? {
            return Ok(None);
        }
        let key = Key::new("unpacked", [deb::VERSION.to_owned(), sha256.to_string()]);
        let directory = self.store.derive(&key, name, |directory| {
            deb::unpack_any(name, path, directory, Merge::Usr, Limits::default()).map_err(ArchiveError::from)
        })?;
        Ok(Some(directory))
    }
}

//! How an index comes into the store: the rest of [`Archive`].

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use jiff::Timestamp;

use crate::archive::fetch::{FetchError, Length};
use crate::archive::hash::{HashedFile, Key, Sha256};
use crate::archive::index::{self, Index, IndexError};
use crate::archive::release::{Listed, Release};
use crate::archive::store::StoreError;
use crate::archive::{Archive, ArchiveError, check_hash, locked};
use crate::matrix::Arch;

/// How often a mirror may be out of step with itself before that is an error.
const TRIES: u32 = 3;

/// The most that is read of a Release file, in bytes.
const LARGEST_RELEASE: u64 = 64 << 20;

impl Archive {
    /// The index of `suite`, for example `trixie-backports`: the one in the store, or the mirror's when there is none.
    ///
    /// # Errors
    /// When it cannot be fetched or verified, or the suite has no packages for `arch` ([`IndexError::NoIndex`]).
    pub fn index(&self, suite: &str, arch: Arch) -> Result<Arc<Index>, ArchiveError> {
        let id = self.index_id(suite, arch)?;
        let place = (suite.to_owned(), arch);
        if let Some(index) = locked(&self.indexes).get(&place)
            && index.id() == id
        {
            return Ok(Arc::clone(index));
        }
        let directory = match self.store.derived(&index_key(id))? {
            Some(directory) => directory,
            None => return self.refresh(suite, arch), // Somebody pruned it just now.
        };
        self.load(&directory, id, place)
    }

    /// The mirror's current index of `suite`, which becomes the one in the store.
    ///
    /// # Errors
    /// As for [`Self::index`]; the index in the store stays then.
    pub fn refresh(&self, suite: &str, arch: Arch) -> Result<Arc<Index>, ArchiveError> {
        check_suite(suite)?;
        let path = format!("main/binary-{}/Packages.xz", arch.debian_name());
        let mut wait = self.client.patience().backoff;
        let mut tries = 1;
        let (id, directory) = loop {
            let release = self.release(suite)?;
            let listed = release.file(&path).ok_or_else(|| IndexError::NoIndex {
                suite: suite.to_owned(),
                arch,
                path: path.clone(),
            })?;
            match self.fetch_index(suite, arch, &path, listed) {
                Ok(directory) => break (listed.hash, directory),
                Err(ArchiveError::Fetch(
                    error @ (FetchError::NotFound { .. } | FetchError::Hash { .. } | FetchError::Size { .. }),
                )) => {
                    if tries == TRIES {
                        let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
                        return Err(IndexError::OutOfStep { suite: suite.to_owned(), arch, tries, reason }.into());
                    }
                    tries += 1;
                    thread::sleep(wait);
                    wait *= 2;
                }
                Err(error) => return Err(error),
            }
        };
        self.store.write_index(&current_name(suite, arch), id.to_string().as_bytes())?;
        self.load(&directory, id, (suite.to_owned(), arch))
    }

    /// The hash of the index in the store, which is fetched when there is none.
    pub(super) fn index_id(&self, suite: &str, arch: Arch) -> Result<Sha256, ArchiveError> {
        check_suite(suite)?;
        let current = self.store.read_index(&current_name(suite, arch))?;
        let id: Option<Sha256> = current.and_then(|text| String::from_utf8(text).ok()?.trim().parse().ok());
        match id {
            Some(id) if self.store.derived(&index_key(id))?.is_some() => Ok(id),
            _ => Ok(self.refresh(suite, arch)?.id()),
        }
    }

    fn load(&self, directory: &Path, id: Sha256, place: (String, Arch)) -> Result<Arc<Index>, ArchiveError> {
        let index = Arc::new(Index::load(&directory.join("packages"), id, &place.0, place.1)?);
        locked(&self.indexes).insert(place, Arc::clone(&index));
        Ok(index)
    }

    /// The mirror's Release file of `suite`, verified.
    fn release(&self, suite: &str) -> Result<Release, ArchiveError> {
        let source = self.source()?;
        let url = format!("{}/dists/{suite}/InRelease", source.mirror.base(suite));
        let mut message = Vec::new();
        self.client.get(&url, Length::AtMost(LARGEST_RELEASE), &mut message, &|_bytes| {})?;
        let text = source
            .keyring
            .signed_text(&message)
            .map_err(|source| ArchiveError::Signature { url: url.clone(), source })?;
        let release = Release::parse(&text, suite)?;
        if let Some(date) = release.valid_until.filter(|date| *date < Timestamp::now())
            && locked(&self.outdated).insert(suite.to_owned())
        {
            // No error: a maintainer must be able to work while his mirror or the archive itself lags.
            self.progress.warn(&format!("`{url}` should have been replaced by {date}: the mirror may be outdated"));
        }
        Ok(release)
    }

    /// The directory with the condensed index that the Release file lists as `listed`.
    fn fetch_index(&self, suite: &str, arch: Arch, path: &str, listed: Listed) -> Result<PathBuf, ArchiveError> {
        let name = format!("index of {suite} ({arch})");
        self.store.derive(&index_key(listed.hash), &name, |directory| {
            let source = self.source()?;
            let base = format!("{}/dists/{suite}", source.mirror.base(suite));
            let folder = path.rsplit_once('/').map_or("", |(folder, _file)| folder);
            let by_hash = format!("{base}/{folder}/by-hash/SHA256/{}", listed.hash);
            let scratch = self.store.scratch()?;
            let packed = scratch.path().join("Packages.xz");
            let mut file = HashedFile::create(&packed).map_err(StoreError::at("write", &packed))?;
            let mut get = |url: String| {
                let told = |bytes| self.progress.downloaded(&name, bytes, listed.bytes);
                file.restart().map_err(StoreError::at("write", &packed))?;
                self.client.get(&url, Length::Exactly(listed.bytes), &mut file, &told)?;
                check_hash(url, listed.hash, file.hash())
            };
            match get(by_hash) {
                Err(FetchError::NotFound { .. }) => get(format!("{base}/{path}"))?,
                result => result?,
            }
            let condensed = directory.join("packages");
            let from = File::open(&packed).map_err(StoreError::at("read", &packed))?;
            let to = File::create(&condensed).map_err(StoreError::at("write", &condensed))?;
            let from = BufReader::with_capacity(64 << 10, liblzma::read::XzDecoder::new(from));
            index::condense(from, BufWriter::new(to)).map_err(StoreError::at("unpack the index to", &condensed))?;
            Ok::<_, ArchiveError>(())
        })
    }
}

fn index_key(id: Sha256) -> Key {
    Key::new("index", [index::FORMAT.to_owned(), id.to_string()])
}

fn current_name(suite: &str, arch: Arch) -> String {
    format!("{suite}_{}", arch.debian_name())
}

/// Suites become parts of URLs and of file names.
fn check_suite(suite: &str) -> Result<(), IndexError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if suite.is_empty() || !suite.bytes().all(fits) {
        return Err(IndexError::BadSuite(suite.to_owned()));
    }
    Ok(())
}

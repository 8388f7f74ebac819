//! The package archive as artifact store: [`Archive`] finds packages, fetches and verifies them, and unpacks them into the
//! private, content-addressed [`Store`].
//!
//! What is trusted: the keys in the keyring. They sign a suite's Release file, which lists the hash of each index, which
//! lists the hash of each package. So a mirror and the network between us can withhold, but not forge.
//!
//! Nothing is fetched twice, and no mirror is looked for before something must be fetched: what is in the store works
//! without a network and without any setting. Everything here blocks; asynchronous code calls it in `spawn_blocking`.

mod closure;
pub mod deb;
mod download;
mod fetch;
mod hash;
mod index;
mod mirror;
mod package;
mod release;
mod signature;
mod store;
mod update;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use crate::matrix::Arch;
pub use closure::ClosureError;
pub use deb::DebError;
pub use fetch::{FetchError, Patience, Progress};
pub use hash::{HashedFile, Key, NotASha256, Sha256};
pub use index::{Index, IndexError};
pub use mirror::{Mirror, MirrorError, Settings};
pub use package::Package;
pub use release::{Listed, Release, ReleaseError};
pub use signature::{Keyring, SignatureError};
pub(crate) use store::Lock;
pub use store::{Entry, EntryKind, PruneRule, Pruned, Store, StoreError};

use fetch::{Client, Length, in_parallel};

/// Why the archive could not do something.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// No mirror or keyring is known.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// A Release file is not signed by a key that may sign.
    #[error("cannot trust `{url}`: {source}")]
    Signature {
        /// The Release file.
        url: String,
        /// Why.
        source: SignatureError,
    },
    /// The keyring is of no use.
    #[error(transparent)]
    Keyring(SignatureError),
    /// A Release file is of no use.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// An index is of no use.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Dependencies cannot be satisfied.
    #[error(transparent)]
    Closure(#[from] ClosureError),
    /// A download did not come.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A package cannot be unpacked.
    #[error(transparent)]
    Deb(#[from] DebError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ArchiveError {
    /// Whether the settings are wrong, which only a person can put right.
    #[must_use]
    pub fn is_setting(&self) -> bool {
        matches!(self, Self::Mirror(_) | Self::Keyring(_))
    }

    /// Whether it is about more than one package, so that another package would most likely fare no better.
    #[must_use]
    pub fn hits_every_package(&self) -> bool {
        match self {
            Self::Fetch(FetchError::Gone { .. } | FetchError::Size { .. } | FetchError::Hash { .. }) => false,
            Self::Deb(error) => matches!(error, DebError::Store(_)),
            Self::Closure(_) | Self::Index(IndexError::NoIndex { .. }) => false,
            _ => true,
        }
    }
}

/// The package archive. Shared between threads by reference.
pub struct Archive {
    settings: Settings,
    store: Store,
    progress: Arc<dyn Progress>,
    client: Client,
    source: Mutex<Option<Arc<Source>>>,
    indexes: Mutex<HashMap<(String, Arch), Arc<Index>>>,
    /// The suites that we have called outdated: each architecture asks for the Release file anew.
    outdated: Mutex<HashSet<String>>,
}

/// What is needed to fetch something; found when the first thing must be fetched.
#[derive(Debug)]
struct Source {
    mirror: Mirror,
    keyring: Keyring,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("settings", &self.settings).field("store", &self.store).finish_non_exhaustive()
    }
}

impl Archive {
    /// The archive that `settings` will find, kept in `store`. Does nothing yet.
    #[must_use]
    pub fn open(settings: Settings, store: Store, progress: Arc<dyn Progress>) -> Self {
        let client = Client::new(Patience::default());
        Self {
            settings,
            store,
            progress,
            client,
            source: Mutex::default(),
            indexes: Mutex::default(),
            outdated: Mutex::default(),
        }
    }

    /// The same, with another patience.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.client = Client::new(patience);
        self
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Who is told how downloads go.
    #[must_use]
    pub fn progress(&self) -> &dyn Progress {
        &*self.progress
    }

    /// The packages called `roots` and all that they depend on, the roots first, taken from several suites (the newest
    /// version wins), without those called in `without` and what only those need. Version constraints are not looked at.
    ///
    /// # Errors
    /// When an index cannot be had, or a package or dependency is in none of them.
    pub fn closure(
        &self,
        suites: &[&str],
        arch: Arch,
        roots: &[&str],
        without: &[&str],
    ) -> Result<Vec<Package>, ArchiveError> {
        let ids = suites.iter().map(|suite| self.index_id(suite, arch)).collect::<Result<Vec<_>, _>>()?;
        // The lists are kept apart by an empty part, which no name is.
        let parts = [closure::FORMAT.to_owned(), arch.to_string()]
            .into_iter()
            .chain(suites.iter().zip(ids).flat_map(|(suite, id)| [(*suite).to_owned(), id.to_string()]))
            .chain([String::new()])
            .chain(roots.iter().map(|root| (*root).to_owned()))
            .chain([String::new()])
            .chain(without.iter().map(|name| (*name).to_owned()));
        let key = Key::new("closure", parts);
        let name = format!("closure of {} ({arch})", roots.join(", "));
        let directory = self.store.derive(&key, &name, |directory| {
            let indexes = suites.iter().map(|suite| self.index(suite, arch)).collect::<Result<Vec<_>, _>>()?;
            let packages = closure::closure(&indexes, roots, without)?;
            let path = directory.join("packages.json");
            let json = serde_json::to_vec(&packages).map_err(|error| StoreError::at("write", &path)(error.into()))?;
            fs::write(&path, json).map_err(StoreError::at("write", &path))?;
            Ok::<_, ArchiveError>(())
        })?;
        let path = directory.join("packages.json");
        let json = fs::read(&path).map_err(StoreError::at("read", &path))?;
        serde_json::from_slice(&json).map_err(|error| StoreError::at("read", &path)(error.into()).into())
    }

    /// Downloads packages that are not in the store, a few at once, and gives the path of each, in the same order.
    ///
    /// # Errors
    /// When one cannot be fetched or is not what its index says; [`FetchError::Gone`] when the mirror has dropped it.
    pub fn fetch(&self, packages: &[Package]) -> Result<Vec<PathBuf>, ArchiveError> {
        in_parallel(packages, |package| {
            self.store.add_blob(&package.sha256, package.file_name(), |file| {
                let source = self.source()?;
                let url = format!("{}/{}", source.mirror.base(&package.suite), package.filename);
                let told = |bytes| self.progress.downloaded(&package.name, bytes, package.size);
                let fetched = self.client.get(&url, Length::Exactly(package.size), file, &told);
                fetched.and_then(|()| check_hash(url, package.sha256, file.hash())).map_err(|error| match error {
                    FetchError::NotFound { url } => FetchError::Gone {
                        package: package.name.clone(),
                        version: package.version.clone(),
                        suite: package.suite.clone(),
                        url,
                    },
                    error => error,
                })?;
                Ok(())
            })
        })
    }

    /// A directory with `packages` unpacked into it, each on top of those before it (see [`deb::unpack`]).
    ///
    /// # Errors
    /// As for [`Self::fetch`], and when a package cannot be unpacked safely.
    pub fn tree(&self, packages: &[Package]) -> Result<PathBuf, ArchiveError> {
        let hashes = packages.iter().map(|package| package.sha256.to_string());
        let key = Key::new("tree", [deb::VERSION.to_owned()].into_iter().chain(hashes));
        let name = match packages {
            [] => "empty tree".to_owned(),
            [one] => format!("{} {} ({})", one.name, one.version, one.architecture),
            [first, rest @ ..] => {
                format!("{} {} ({}) and {} more", first.name, first.version, first.architecture, rest.len())
            }
        };
        self.store.derive(&key, &name, |directory| {
            let paths = self.fetch(packages)?;
            let named: Vec<_> = packages.iter().map(|package| package.file_name().to_owned()).zip(paths).collect();
            Ok(deb::unpack(&named, directory, deb::Limits::default())?)
        })
    }

    /// The tree of a closure. When the mirror has dropped one of its packages, the indexes are refreshed and it is made of
    /// what they list then. Gives the packages too.
    ///
    /// # Errors
    /// As for [`Self::closure`] and [`Self::tree`].
    pub fn closure_tree(
        &self,
        suites: &[&str],
        arch: Arch,
        roots: &[&str],
        without: &[&str],
    ) -> Result<(Vec<Package>, PathBuf), ArchiveError> {
        let packages = self.closure(suites, arch, roots, without)?;
        match self.tree(&packages) {
            Err(ArchiveError::Fetch(gone @ FetchError::Gone { .. })) => {
                let text = gone.to_string();
                self.progress.warn(&format!("{}; refreshing the index", text.lines().next().unwrap_or_default()));
                for suite in suites {
                    self.refresh(suite, arch)?;
                }
                let packages = self.closure(suites, arch, roots, without)?;
                let tree = self.tree(&packages)?;
                Ok((packages, tree))
            }
            result => Ok((packages, result?)),
        }
    }

    fn source(&self) -> Result<Arc<Source>, ArchiveError> {
        let mut slot = locked(&self.source);
        if let Some(source) = &*slot {
            return Ok(Arc::clone(source));
        }
        let mirror = self.settings.discover()?;
        let keyring = Keyring::load(&mirror.keyring).map_err(ArchiveError::Keyring)?;
        Ok(Arc::clone(slot.insert(Arc::new(Source { mirror, keyring }))))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is replaced at once, so a panic elsewhere leaves nothing half-done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check_hash(url: String, expected: Sha256, found: Sha256) -> Result<(), FetchError> {
    if expected == found { Ok(()) } else { Err(FetchError::Hash { url, expected, found }) }
}

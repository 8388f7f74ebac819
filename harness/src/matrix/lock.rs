//! What the series of the matrix resolved to: [`KernelLock`], kept in `kernels.lock.json` beside the matrix.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Arch;

/// A line of kernel development.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum Series {
    /// The releases `major.minor` and `major.minor.z`.
    Stable {
        /// The first number.
        major: u32,
        /// The second number.
        minor: u32,
    },
    /// The newest release candidate.
    Rc,
}

impl FromStr for Series {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "rc" {
            return Ok(Self::Rc);
        }
        let numbers = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let (major, minor) =
            numbers.ok_or_else(|| format!("series `{text}` is neither `major.minor`, like `6.12`, nor `rc`"))?;
        Ok(Self::Stable { major, minor })
    }
}

impl TryFrom<String> for Series {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stable { major, minor } => write!(f, "{major}.{minor}"),
            Self::Rc => write!(f, "rc"),
        }
    }
}

impl Series {
    /// Whether the archive's package version `version` (for example `6.12.117-1` or `7.3~rc7-1~exp1`) belongs to it.
    #[must_use]
    pub fn has(&self, version: &str) -> bool {
        let upstream = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
        match self {
            Self::Rc => upstream.contains("~rc"),
            Self::Stable { .. } => {
                let rest = upstream.strip_prefix(&self.to_string());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            }
        }
    }
}

/// One package, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its path below the archive's root.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
}

impl PinnedPackage {
    /// The archive's name of its architecture, which its file's name ends in.
    #[must_use]
    pub fn architecture(&self) -> &str {
        let stem = self.path.strip_suffix(".deb").unwrap_or(&self.path);
        stem.rsplit('_').next().unwrap_or_default()
    }
}

/// One kernel, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedKernel {
    /// What `uname -r` prints.
    pub release: String,
    /// The suite that had it.
    pub suite: String,
    /// The package with the image, then the one with the modules where that is another and the archive has it.
    pub packages: Vec<PinnedPackage>,
}

impl PinnedKernel {
    /// The package that holds the image.
    #[must_use]
    pub fn image_package(&self) -> Option<&PinnedPackage> {
        self.packages.first()
    }
}

/// The kernels of a matrix, pinned by `arch/name`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelLock {
    schema: u32,
    kernels: BTreeMap<String, PinnedKernel>,
}

/// Why a lock is refused.
#[derive(Debug, Error)]
pub enum LockError {
    /// It is no JSON of ours.
    #[error("{}: {source}\n  hint: `ukci update` writes it anew", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What and where.
        source: serde_json::Error,
    },
    /// It was written by another ukci.
    #[error("{}: schema is `{found}`, expected `{SCHEMA}`\n  hint: `ukci update` writes it anew", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// What stands there.
        found: u32,
    },
}

const SCHEMA: u32 = 1;

impl KernelLock {
    /// A lock that pins nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self { schema: SCHEMA, kernels: BTreeMap::new() }
    }

    /// Parses `text`, which stands in the file `path`.
    ///
    /// # Errors
    /// When it is no JSON of ours.
    pub fn parse(path: &Path, text: &str) -> Result<Self, LockError> {
        let lock: Self =
            serde_json::from_str(text).map_err(|source| LockError::Malformed { path: path.to_owned(), source })?;
        if lock.schema != SCHEMA {
            return Err(LockError::Schema { path: path.to_owned(), found: lock.schema });
        }
        Ok(lock)
    }

    /// The text to keep, the same for the same kernels.
    #[must_use]
    pub fn to_text(&self) -> String {
        // OK because the type has only strings, numbers and maps with string keys.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// What the kernel `name` is pinned to on `arch`.
    #[must_use]
    pub fn get(&self, arch: Arch, name: &str) -> Option<&PinnedKernel> {
        self.kernels.get(&format!("{arch}/{name}"))
    }

    /// Pins a kernel.
    pub fn insert(&mut self, arch: Arch, name: &str, kernel: PinnedKernel) {
        self.kernels.insert(format!("{arch}/{name}"), kernel);
    }

    /// What differs from `old`: a line for each kernel that moved, came or went.
    #[must_use]
    pub fn changes_since(&self, old: &Self) -> Vec<String> {
        let version = |kernel: &PinnedKernel| kernel.image_package().map_or("?", |package| &package.version).to_owned();
        let keys: std::collections::BTreeSet<&String> = self.kernels.keys().chain(old.kernels.keys()).collect();
        keys.into_iter()
            .filter_map(|key| match (old.kernels.get(key), self.kernels.get(key)) {
                (Some(old), Some(new)) if old == new => None,
                (Some(old), Some(new)) => Some(format!("{key}: {} → {}", version(old), version(new))),
                (None, Some(new)) => Some(format!("{key}: new, {}", version(new))),
                (Some(old), None) => Some(format!("{key}: gone, was {}", version(old))),
                (None, None) => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_knows_its_releases() {
        let has = |series: &str, version: &str| series.parse::<Series>().unwrap().has(version);
        assert!(has("6.1", "6.1.192-1"));
        assert!(!has("6.1", "6.12.117-1"));
        assert!(has("6.18", "6.18.15-1~bpo13+1"));
        assert!(has("rc", "7.3~rc7-1~exp1"));
        assert!(!has("7.3", "7.3~rc7-1~exp1"));
        assert!(!has("rc", "7.2.13-1"));
        assert!("six".parse::<Series>().is_err());
    }

    #[test]
    fn a_lock_survives_the_round_trip_and_says_what_moved() {
        let kernel = |version: &str| PinnedKernel {
            release: format!("{version}-cloud"),
            suite: "one".into(),
            packages: vec![PinnedPackage {
                name: "linux".into(),
                version: version.into(),
                path: "p".into(),
                size: 1,
                sha256: "00".into(),
            }],
        };
        let mut old = KernelLock::empty();
        old.insert(Arch::X86_64, "6.1", kernel("6.1.1"));
        old.insert(Arch::X86_64, "6.0", kernel("6.0.1"));
        let mut new = KernelLock::empty();
        new.insert(Arch::X86_64, "6.1", kernel("6.1.2"));
        new.insert(Arch::X86_64, "rc", kernel("7.3~rc7"));
        assert_eq!(KernelLock::parse(Path::new("l"), &new.to_text()).unwrap(), new);
        assert_eq!(
            new.changes_since(&old),
            ["x86_64/6.0: gone, was 6.0.1", "x86_64/6.1: 6.1.1 → 6.1.2", "x86_64/rc: new, 7.3~rc7"]
        );
        assert!(new.changes_since(&new).is_empty());
    }

    #[test]
    fn a_lock_of_another_schema_is_refused() {
        let error = KernelLock::parse(Path::new("l"), r#"{"schema": 2, "kernels": {}}"#).unwrap_err().to_string();
        assert!(error.starts_with("l: schema is `2`, expected `1`"), "{error}");
    }
}

//! [`Index`]: which packages a suite offers for an architecture.
//!
//! A suite has 70,000 packages in 60 MB of text, and a run asks for a hundred of them. So [`condense`] keeps only the fields
//! that we use when an index is fetched, [`Index::load`] only finds where each package's text begins, and a package is
//! parsed when somebody asks for it.

use std::fs;
use std::io::{self, BufRead, Write};
use std::ops::Range;
use std::path::Path;

use deb822_fast::Paragraph;
use thiserror::Error;

use crate::archive::hash::Sha256;
use crate::archive::package::{Package, relation_name};
use crate::archive::store::StoreError;
use crate::matrix::Arch;

/// Changes whenever [`condense`] writes something else.
pub(super) const FORMAT: &str = "1";

/// The fields that [`Package`] is made of. `Package` comes first in every paragraph of the archive's.
const FIELDS: [&[u8]; 9] = [
    b"Package:",
    b"Version:",
    b"Architecture:",
    b"Pre-Depends:",
    b"Depends:",
    b"Provides:",
    b"Filename:",
    b"Size:",
    b"SHA256:",
];

/// Why there is no index to look into.
#[derive(Debug, Error)]
pub enum IndexError {
    /// The suite's name cannot be one.
    #[error("`{0}` is no name of a suite: expected lower-case letters, digits and `-`, as in `trixie-backports`")]
    BadSuite(String),
    /// The suite has no packages for the architecture.
    #[error("suite `{suite}` has no packages for `{arch}` (`{path}` is not in its Release file)")]
    NoIndex {
        /// The suite.
        suite: String,
        /// The architecture.
        arch: Arch,
        /// What is missing.
        path: String,
    },
    /// The mirror serves an index that is not the one in its Release file, again and again.
    #[error(
        "the mirror is out of step with itself: the index of `{suite}` for `{arch}` was not the one that the Release file \
         lists, {tries} times: {reason}\n  \
         hint: it is probably being updated; try again in some minutes, or set UKCI_MIRROR to another mirror"
    )]
    OutOfStep {
        /// The suite.
        suite: String,
        /// The architecture.
        arch: Arch,
        /// How often it was tried.
        tries: u32,
        /// What was wrong the last time.
        reason: String,
    },
    /// The index is not in the format.
    #[error("the index of `{suite}` for `{arch}` is malformed: {reason}")]
    Malformed {
        /// The suite.
        suite: String,
        /// The architecture.
        arch: Arch,
        /// What is wrong.
        reason: String,
    },
    /// The file cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The packages of one suite for one architecture.
#[derive(Debug)]
pub struct Index {
    id: Sha256,
    suite: String,
    arch: Arch,
    text: String,
    /// Sorted by name.
    paragraphs: Vec<Named>,
    /// Sorted by the name that is provided.
    provided: Vec<Named>,
}

/// A name in the text, and the paragraph that it belongs to.
#[derive(Clone, Debug)]
struct Named {
    name: Range<usize>,
    paragraph: Range<usize>,
}

impl Index {
    /// Reads the condensed index at `path`; `id` is the hash of the file on the mirror that it was made from.
    pub(super) fn load(path: &Path, id: Sha256, suite: &str, arch: Arch) -> Result<Self, IndexError> {
        let bytes = fs::read(path).map_err(StoreError::at("read", path))?;
        let malformed = |reason: String| IndexError::Malformed { suite: suite.to_owned(), arch, reason };
        let text = String::from_utf8(bytes).map_err(|error| malformed(error.to_string()))?;
        let (mut paragraphs, mut provided) = (Vec::new(), Vec::new());
        let mut start = 0;
        while start < text.len() {
            let end = text[start..].find("\n\n").map_or(text.len(), |length| start + length + 1);
            let paragraph = start..end;
            let mut line_start = start;
            for line in text[paragraph.clone()].split_inclusive('\n') {
                if let Some(value) = line.strip_prefix("Package:") {
                    let name = position(line_start + line.len() - value.len(), value);
                    paragraphs.push(Named { name, paragraph: paragraph.clone() });
                } else if let Some(value) = line.strip_prefix("Provides:") {
                    let mut at = line_start + line.len() - value.len();
                    for relation in value.split(',') {
                        if let Some(name) = relation_name(relation) {
                            let from = position(at, relation).start;
                            provided.push(Named { name: from..from + name.len(), paragraph: paragraph.clone() });
                        }
                        at += relation.len() + 1;
                    }
                }
                line_start += line.len();
            }
            start = end + 1;
        }
        paragraphs.sort_by(|a, b| text[a.name.clone()].cmp(&text[b.name.clone()]));
        provided.sort_by(|a, b| text[a.name.clone()].cmp(&text[b.name.clone()]));
        Ok(Self { id, suite: suite.to_owned(), arch, text, paragraphs, provided })
    }

    /// The hash of the index file on the mirror: two indexes with the same hash are the same.
    #[must_use]
    pub fn id(&self) -> Sha256 {
        self.id
    }

    /// The suite.
    #[must_use]
    pub fn suite(&self) -> &str {
        &self.suite
    }

    /// The architecture.
    #[must_use]
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// The names that begin with `prefix`, sorted, each once.
    #[must_use]
    pub fn names(&self, prefix: &str) -> Vec<&str> {
        let start = self.paragraphs.partition_point(|entry| self.name(entry) < prefix);
        let names = self.paragraphs[start..].iter().map(|entry| self.name(entry));
        let mut names: Vec<_> = names.take_while(|name| name.starts_with(prefix)).collect();
        names.dedup();
        names
    }

    /// Every version of the package called `name`, the newest first.
    ///
    /// # Errors
    /// When its entry is malformed.
    pub fn versions(&self, name: &str) -> Result<Vec<Package>, IndexError> {
        let mut found = self.parse_all(&self.paragraphs, name)?;
        found.sort_by_key(|package| std::cmp::Reverse(package.debian_version()));
        Ok(found)
    }

    /// The newest version of the package called `name`.
    ///
    /// # Errors
    /// When its entry is malformed.
    pub fn newest(&self, name: &str) -> Result<Option<Package>, IndexError> {
        Ok(self.versions(name)?.into_iter().next())
    }

    /// The packages that provide the virtual package `name`, in the order of their names.
    ///
    /// # Errors
    /// When an entry is malformed.
    pub fn providers(&self, name: &str) -> Result<Vec<Package>, IndexError> {
        let mut found = self.parse_all(&self.provided, name)?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn name(&self, entry: &Named) -> &str {
        &self.text[entry.name.clone()]
    }

    fn parse_all(&self, sorted: &[Named], name: &str) -> Result<Vec<Package>, IndexError> {
        let start = sorted.partition_point(|entry| self.name(entry) < name);
        let found = sorted[start..].iter().take_while(|entry| self.name(entry) == name);
        found.map(|entry| self.parse(&self.text[entry.paragraph.clone()])).collect()
    }

    fn parse(&self, text: &str) -> Result<Package, IndexError> {
        let paragraph: Result<Paragraph, _> = text.parse().map_err(|error: deb822_fast::Error| error.to_string());
        paragraph.and_then(|paragraph| Package::from_paragraph(&paragraph, &self.suite)).map_err(|reason| {
            let first_line = text.lines().next().unwrap_or_default();
            let reason = format!("{reason}, in the entry that begins with `{first_line}`");
            IndexError::Malformed { suite: self.suite.clone(), arch: self.arch, reason }
        })
    }
}

/// Where `value`, which begins at `at`, stands without the white space around it.
fn position(at: usize, value: &str) -> Range<usize> {
    let start = at + value.len() - value.trim_start().len();
    start..start + value.trim().len()
}

/// Copies the fields that we use from an index to another.
pub(super) fn condense(mut from: impl BufRead, mut to: impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    let mut keeps = false;
    loop {
        line.clear();
        if from.read_until(b'\n', &mut line)? == 0 {
            return to.flush();
        }
        keeps = match line.first() {
            Some(b'\n') => true,
            Some(b' ' | b'\t') => keeps,
            _ => FIELDS.iter().any(|field| line.starts_with(field)),
        };
        if keeps {
            to.write_all(&line)?;
        }
    }
}

//! [`Release`]: what a suite's signed Release file says.

use std::collections::HashMap;

use deb822_fast::Deb822;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use thiserror::Error;

use crate::archive::hash::Sha256;

/// A file that a Release file lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The hash of its content.
    pub hash: Sha256,
    /// Its size in bytes.
    pub bytes: u64,
}

/// What a suite's Release file says. Made from signed text only.
#[derive(Clone, Debug)]
pub struct Release {
    /// When it should have been replaced.
    pub valid_until: Option<Timestamp>,
    files: HashMap<String, Listed>,
}

/// Why a Release file is of no use.
#[derive(Debug, Error)]
pub enum ReleaseError {
    /// It is not in the format.
    #[error("the Release file of suite `{suite}` is malformed: {reason}")]
    Malformed {
        /// The suite.
        suite: String,
        /// What is wrong.
        reason: String,
    },
    /// It belongs to another suite.
    #[error(
        "the mirror answers with the Release file of another suite: expected `{suite}`, found suite `{found_suite}`, \
         codename `{codename}`\n  hint: use the release's code name, such as `trixie`, and check UKCI_MIRROR"
    )]
    OtherSuite {
        /// The suite that was asked for.
        suite: String,
        /// The suite that came.
        found_suite: String,
        /// The code name that came.
        codename: String,
    },
}

impl Release {
    /// Parses the signed text of the Release file of `suite`.
    ///
    /// # Errors
    /// When it is malformed or is about another suite: a mirror could otherwise answer with an old, rightly signed one.
    pub fn parse(text: &str, suite: &str) -> Result<Self, ReleaseError> {
        let malformed = |reason: String| ReleaseError::Malformed { suite: suite.to_owned(), reason };
        let paragraphs: Deb822 = text.parse().map_err(|error: deb822_fast::Error| malformed(error.to_string()))?;
        let mut paragraphs = paragraphs.iter();
        let (Some(fields), None) = (paragraphs.next(), paragraphs.next()) else {
            return Err(malformed("expected one paragraph".into()));
        };
        let field = |name| fields.get(name).unwrap_or_default().trim();
        let (found_suite, codename) = (field("Suite"), field("Codename"));
        if suite != found_suite && suite != codename {
            return Err(ReleaseError::OtherSuite {
                suite: suite.to_owned(),
                found_suite: found_suite.to_owned(),
                codename: codename.to_owned(),
            });
        }
        let valid_until = match field("Valid-Until") {
            "" => None,
            date => Some(parse_date(date).ok_or_else(|| malformed(format!("`Valid-Until` is `{date}`")))?),
        };
        let mut files = HashMap::new();
        for line in field("SHA256").lines().filter(|line| !line.trim().is_empty()) {
            let mut words = line.split_whitespace();
            let listed = (|| {
                let hash = words.next()?.parse().ok()?;
                let bytes = words.next()?.parse().ok()?;
                Some((words.next()?.to_owned(), Listed { hash, bytes }))
            })();
            let (path, listed) = listed.ok_or_else(|| malformed(format!("`SHA256` has the line `{line}`")))?;
            files.insert(path, listed);
        }
        Ok(Self { valid_until, files })
    }

    /// The file at `path` below `dists/<suite>/`.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<Listed> {
        self.files.get(path).copied()
    }
}

/// A date as the archive writes it. "UTC" is none of RFC 2822's zones, but means what "GMT" means there.
fn parse_date(date: &str) -> Option<Timestamp> {
    rfc2822::parse(&date.replace("UTC", "GMT")).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that dates are understood as the archive writes them.
    #[test]
    fn dates() {
        let expected: Timestamp = "2026-11-05T08:09:10Z".parse().expect("a date");
        assert_eq!(parse_date("Thu, 05 Nov 2026 08:09:10 UTC"), Some(expected));
        assert_eq!(parse_date("Thu, 05 Nov 2026 08:09:10 +0000"), Some(expected));
        assert_eq!(parse_date("tomorrow"), None);
    }
}

//! [`Package`]: one entry of an index.

use deb822_fast::Paragraph;
use debversion::Version;
use serde::{Deserialize, Serialize};

use crate::archive::hash::Sha256;

/// A binary package that a suite offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, with epoch and revision.
    pub version: String,
    /// The archive's name of its architecture, or `all`.
    pub architecture: String,
    /// What must be there for it to work (`Pre-Depends` and `Depends`): of each group of names one. The versions that the
    /// groups ask for are left out: a suite is consistent in itself.
    pub depends: Vec<Vec<String>>,
    /// The further names under which others may depend on it.
    pub provides: Vec<String>,
    /// Where it is, relative to the base of the archive that has its suite.
    pub filename: String,
    /// Its size in bytes.
    pub size: u64,
    /// The hash of its content.
    pub sha256: Sha256,
    /// The suite that offers it.
    pub suite: String,
}

impl Package {
    /// Makes a package of a paragraph of the index of `suite`; `Err` names what is wrong with it.
    pub(super) fn from_paragraph(fields: &Paragraph, suite: &str) -> Result<Self, String> {
        let field = |name: &str| fields.get(name).map(str::trim).filter(|value| !value.is_empty());
        let need = |name: &str| field(name).map(str::to_owned).ok_or_else(|| format!("`{name}` is missing"));
        let version = need("Version")?;
        version.parse::<Version>().map_err(|error| format!("`Version` is `{version}`: {error}"))?;
        let size = need("Size")?;
        Ok(Self {
            name: need("Package")?,
            version,
            architecture: need("Architecture")?,
            depends: ["Pre-Depends", "Depends"].into_iter().filter_map(field).flat_map(groups).collect(),
            provides: field("Provides").into_iter().flat_map(groups).flatten().collect(),
            filename: need("Filename")?,
            size: size.parse().map_err(|error| format!("`Size` is `{size}`: {error}"))?,
            sha256: need("SHA256")?.parse().map_err(|error| format!("`SHA256`: {error}"))?,
            suite: suite.to_owned(),
        })
    }

    /// Its version, for comparisons.
    #[must_use]
    pub fn debian_version(&self) -> Option<Version> {
        self.version.parse().ok()
    }

    /// The last part of its file's name, such as `busybox-static_1.37.0-6_amd64.deb`.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.filename.rsplit('/').next().unwrap_or(&self.filename)
    }
}

/// The names of `a (>= 1) | b:any, c [amd64] <!nocheck>`: [[a, b], [c]].
fn groups(relations: &str) -> impl Iterator<Item = Vec<String>> {
    relations
        .split(',')
        .map(|group| group.split('|').filter_map(relation_name).collect::<Vec<_>>())
        .filter(|g| !g.is_empty())
}

/// The name in one relation, without version, architecture and qualifier.
pub(super) fn relation_name(relation: &str) -> Option<String> {
    let name = relation.trim().split([' ', '\t', '\n', '(', '[', '<', ':']).next().unwrap_or_default();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a relation is reduced to the names in it.
    #[test]
    fn relations_are_names() {
        let found: Vec<_> = groups("a (>= 1) | b:any, c [amd64] <!nocheck>,\n d(= 2),").collect();
        assert_eq!(found, [vec!["a", "b"], vec!["c"], vec!["d"]]);
    }
}

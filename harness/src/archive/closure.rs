//! Which packages are needed to use some packages: [`closure`].

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use thiserror::Error;

use crate::archive::index::{Index, IndexError};
use crate::archive::package::Package;

/// Changes whenever [`closure`] gives something else for the same indexes.
pub(super) const FORMAT: &str = "1";

/// Why there is no closure.
#[derive(Debug, Error)]
pub enum ClosureError {
    /// Nothing of that name is on offer.
    #[error("no package `{name}` in {}{}", suites.join(", "), wanted_by.as_ref().map(|by| format!(", which `{by}` depends on")).unwrap_or_default())]
    NotFound {
        /// What was looked for: the names of a group of alternatives are separated by `|`.
        name: String,
        /// The package that depends on it; `None` for what was asked for.
        wanted_by: Option<String>,
        /// Where it was looked for.
        suites: Vec<String>,
    },
    /// An index is of no use.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// The packages called `roots` and everything that they depend on, the roots first, without the packages called in `without`
/// and what only those need.
///
/// Of alternatives the first that exists is taken, as it is or as another package provides it; if that one is in `without`,
/// the dependency is dropped. Of several versions the newest is taken, whichever suite has it. The versions that a
/// dependency asks for are not looked at: packages of one suite fit each other, and who mixes suites wants the newest.
pub(super) fn closure(indexes: &[Arc<Index>], roots: &[&str], without: &[&str]) -> Result<Vec<Package>, ClosureError> {
    let suites = || indexes.iter().map(|index| format!("`{}`", index.suite())).collect();
    let mut todo: VecDeque<(Vec<String>, Option<String>)> =
        roots.iter().map(|root| (vec![(*root).to_owned()], None)).collect();
    let (mut done_names, mut found) = (HashSet::new(), Vec::<Package>::new());
    while let Some((group, wanted_by)) = todo.pop_front() {
        if !done_names.insert(group.clone()) {
            continue;
        }
        let Some(choice) = choose(indexes, &group, without)? else {
            return Err(ClosureError::NotFound { name: group.join(" | "), wanted_by, suites: suites() });
        };
        let Choice::Take(package) = choice else { continue };
        if found.iter().any(|other| other.name == package.name) {
            continue;
        }
        todo.extend(package.depends.iter().map(|group| (group.clone(), Some(package.name.clone()))));
        found.push(*package);
    }
    Ok(found)
}

enum Choice {
    Take(Box<Package>),
    LeaveOut,
}

/// What satisfies a dependency, or `None` when nothing does.
fn choose(indexes: &[Arc<Index>], group: &[String], without: &[&str]) -> Result<Option<Choice>, IndexError> {
    let unwanted = |name: &str| without.contains(&name);
    for name in group {
        if unwanted(name) {
            return Ok(Some(Choice::LeaveOut));
        }
        let mut versions = Vec::new();
        for index in indexes {
            versions.extend(index.newest(name)?);
        }
        if versions.is_empty() {
            for index in indexes {
                versions.extend(index.providers(name)?);
            }
            // Of several providers the first by name: which one is arbitrary, but it must not change from run to run.
            versions.sort_by(|a, b| a.name.cmp(&b.name));
            let first = versions.first().map(|package| package.name.clone());
            versions.retain(|package| Some(&package.name) == first.as_ref());
        }
        // The last of equals is what `max_by_key` takes; suites that come first should win.
        let newest = versions.into_iter().rev().max_by_key(Package::debian_version);
        if let Some(package) = newest {
            let leave_out = unwanted(&package.name);
            return Ok(Some(if leave_out { Choice::LeaveOut } else { Choice::Take(Box::new(package)) }));
        }
    }
    Ok(None)
}

//! Reads what tests report about a kernel, and compares it with what is expected of it: [`found_in`] and [`judge`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use super::outcome::{Capability, TestRecord};
use crate::matrix::{Arch, Capabilities, ExpectedCapability};

/// The artifact in which any test may report capabilities: a JSON object of strings.
pub(super) const FILE: &str = "capabilities.json";

/// The file comes from a guest.
const MOST_BYTES: u64 = 64 << 10;

/// What the tests reported whose artifacts are below `directory`, that of their cell, and what is wrong with their reports.
pub(super) fn found_in(directory: &Path, tests: &[TestRecord]) -> (BTreeMap<String, String>, Vec<String>) {
    let (mut found, mut troubles) = (BTreeMap::new(), Vec::new());
    for test in tests {
        // At the top of the test's own directory, `artifacts/<stem>/`.
        let is_report = |path: &&String| path.ends_with(&format!("/{FILE}")) && is_at_the_top(path);
        for path in test.artifacts.iter().filter(is_report) {
            match read(&directory.join(path)) {
                Ok(reported) => {
                    for (name, value) in reported {
                        if let Some(before) =
                            found.insert(name.clone(), value.clone()).filter(|before| *before != value)
                        {
                            let name = format!("capability `{name}`");
                            troubles.push(format!("{}: {name}: `{value}`, but before it was `{before}`", test.name));
                        }
                    }
                }
                Err(why) => troubles.push(format!("{}: cannot read its `{FILE}`: {why}", test.name)),
            }
        }
    }
    (found, troubles)
}

fn is_at_the_top(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts.as_slice(), [.., "artifacts", _stem, _file])
}

fn read(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MOST_BYTES {
        return Err(format!("expected at most {} KiB", MOST_BYTES >> 10));
    }
    serde_json::from_str(&text).map_err(|error| format!("expected a JSON object of strings: {error}"))
}

/// A cell, as far as expectations go.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// The architecture.
    pub arch: Arch,
    /// The kernel's name in the matrix.
    pub kernel: &'a str,
    /// `arch/kernel/llvmN`.
    pub cell: &'a str,
    /// Whether every test ran in it, so that what was not reported is not there.
    pub complete: bool,
}

/// What was found in a cell, and what is `expected` of it; with no expectations at all, nothing counts.
#[must_use]
pub fn judge(found: &BTreeMap<String, String>, expected: Option<&Capabilities>, judged: Judged<'_>) -> Vec<Capability> {
    let Judged { arch, kernel, cell, complete } = judged;
    let rows: BTreeMap<&str, ExpectedCapability<'_>> =
        expected.map(|expected| expected.of_cell(arch, kernel, cell)).unwrap_or_default();
    let missing = rows.keys().copied().filter(|_| complete);
    let names: BTreeSet<&str> = found.keys().map(String::as_str).chain(missing).collect();
    let capability = |name: &str| {
        let row = rows.get(name);
        Capability {
            name: name.to_owned(),
            found: found.get(name).cloned(),
            expected: row.and_then(|row| row.value).map(ToOwned::to_owned),
            reason: row.map(|row| row.reason.to_owned()),
            judged: expected.is_some(),
        }
    };
    names.into_iter().map(capability).collect()
}

#[cfg(test)]
mod tests;

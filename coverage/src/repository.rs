//! The directory that paths in reports are relative to: [`repository_around`].

use std::path::{Path, PathBuf};

/// The root of the git repository around the file `source`, else the directory with the nearest `Cargo.lock`, else its own.
#[must_use]
pub fn repository_around(source: &Path) -> PathBuf {
    let source = std::path::absolute(source).unwrap_or_else(|_| source.to_owned());
    let above = |marker: &str| source.ancestors().skip(1).find(|directory| directory.join(marker).exists());
    above(".git").or_else(|| above("Cargo.lock")).or_else(|| source.parent()).unwrap_or(Path::new(".")).to_owned()
}

//! What a kernel is built from: [`Source`] and [`Config`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::archive::{Archive, Sha256};
use crate::matrix::{Arch, SourceOrigin, SourceSpec};
use crate::provision::kernel::{KernelError, content, elsewhere};

/// The source, before it is unpacked.
pub(super) struct Source {
    /// Names its content.
    pub(super) id: String,
    pub(super) path: PathBuf,
    pub(super) is_tree: bool,
}

impl Source {
    pub(super) fn find(
        archive: &Archive,
        directory: &Path,
        name: &str,
        spec: &SourceSpec,
    ) -> Result<Self, KernelError> {
        let failed = |path: &Path, source| KernelError::Read { name: name.to_owned(), path: path.to_owned(), source };
        match &spec.source {
            SourceOrigin::Tarball(path) => {
                let path = directory.join(path);
                let id = Sha256::of_file(&path).map_err(|error| failed(&path, error))?.to_string();
                Ok(Self { id, path, is_tree: false })
            }
            SourceOrigin::Tree(path) => {
                let path = directory.join(path);
                let absolute = std::path::absolute(&path).map_err(|error| failed(&path, error))?;
                let id = content::of_tree(&absolute).map_err(|error| failed(&path, error))?;
                Ok(Self { id, path: absolute, is_tree: true })
            }
            SourceOrigin::Url(url) => {
                let (path, sha256) = elsewhere::download(archive, name, url)?;
                Ok(Self { id: sha256.to_string(), path, is_tree: false })
            }
        }
    }
}

/// The configuration that is asked for.
pub(super) struct Config {
    /// A target of make, unless there is a text.
    pub(super) base: String,
    pub(super) base_text: Option<String>,
    /// All the fragments' lines.
    pub(super) lines: String,
}

impl Config {
    /// Reads the files. Beside the fragment `x.config`, `x.<arch>.config` is read where there is one.
    pub(super) fn read(directory: &Path, name: &str, spec: &SourceSpec, arch: Arch) -> Result<Self, KernelError> {
        let read = |path: &Path| {
            fs::read_to_string(path).map_err(|source| KernelError::Read {
                name: name.to_owned(),
                path: path.to_owned(),
                source,
            })
        };
        let is_target = spec.config.ends_with("config") && !spec.config.contains(['/', '.']);
        let base_text = if is_target { None } else { Some(read(&directory.join(&spec.config))?) };
        let mut lines = String::new();
        for fragment in &spec.fragments {
            let path = directory.join(fragment);
            lines += &read(&path)?;
            lines.push('\n');
            match read(&path.with_extension(format!("{arch}.config"))) {
                Ok(text) => lines = lines + &text + "\n",
                Err(KernelError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { base: spec.config.clone(), base_text, lines })
    }

    /// The lines of the fragments that `made`, the configuration in the end, does not have.
    pub(super) fn refused(&self, made: &str) -> Vec<String> {
        let taken: BTreeSet<&str> = made.lines().collect();
        let asked = |line: &&str| line.starts_with("CONFIG_");
        // The last line about an option is the one that counts.
        let last: BTreeMap<&str, &str> =
            self.lines.lines().filter(asked).filter_map(|line| Some((line.split_once('=')?.0, line))).collect();
        // `=n` is written as a comment, or not at all.
        last.into_values().filter(|line| !line.ends_with("=n") && !taken.contains(line)).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_fragment_that_was_not_taken_is_named() {
        let lines = "# words\nCONFIG_A=y\nCONFIG_B=y\nCONFIG_C=n\nCONFIG_B=m\n# CONFIG_D is not set\nCONFIG_E=\"x\"\n";
        let config = Config { base: "tinyconfig".into(), base_text: None, lines: lines.into() };
        assert_eq!(config.refused("CONFIG_A=y\nCONFIG_B=m\nCONFIG_E=\"x\"\n"), [""; 0]);
        assert_eq!(config.refused("CONFIG_A=m\nCONFIG_B=y\n"), ["CONFIG_A=y", "CONFIG_B=m", "CONFIG_E=\"x\""]);
    }
}

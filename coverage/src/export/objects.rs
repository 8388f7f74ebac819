//! The objects that profiles are of, found by hash: [`Objects`].

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use object::elf;
use thiserror::Error;

use crate::object_hash;

/// The ELF files below a directory.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    bpf: BTreeMap<String, PathBuf>,
    executables: Vec<PathBuf>,
}

/// Why they cannot be found.
#[derive(Debug, Error)]
pub enum ObjectsError {
    /// A file or directory cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what its name says.
    #[error("`{}`: expected the contents of hash `{expected}`, found `{found}`: the object is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The hash in its name.
        expected: String,
        /// That of its contents.
        found: String,
    },
}

impl Objects {
    /// Looks through `directory`, at whatever depth. One that does not exist has none.
    ///
    /// # Errors
    /// When something cannot be read, or an object's contents do not have the hash of its name.
    pub fn below(directory: &Path) -> Result<Self, ObjectsError> {
        let mut objects = Self::default();
        match directory.try_exists() {
            Ok(false) => {}
            _ => objects.add(directory)?,
        }
        objects.executables.sort();
        Ok(objects)
    }

    /// The BPF object with this hash.
    #[must_use]
    pub fn bpf(&self, hash: &str) -> Option<&Path> {
        self.bpf.get(hash).map(PathBuf::as_path)
    }

    /// The executables, and other ELF files that are not BPF objects, in the order of their paths.
    #[must_use]
    pub fn executables(&self) -> &[PathBuf] {
        &self.executables
    }

    fn add(&mut self, directory: &Path) -> Result<(), ObjectsError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ObjectsError::Read { path, source }
        };
        for entry in fs::read_dir(directory).map_err(failed(directory))? {
            let path = entry.map_err(failed(directory))?.path();
            if path.is_dir() {
                self.add(&path)?;
                continue;
            }
            let contents = fs::read(&path).map_err(failed(&path))?;
            if !contents.starts_with(&elf::ELFMAG) {
                continue;
            }
            // `e_machine` of a little-endian file.
            if contents.get(18..20) != Some(elf::EM_BPF.0.to_le_bytes().as_slice()) {
                self.executables.push(path);
                continue;
            }
            let found = object_hash(&contents);
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            match stem.rsplit_once('-') {
                Some((_, expected)) if expected.len() == found.len() && expected != found => {
                    return Err(ObjectsError::Damaged { path, expected: expected.to_owned(), found });
                }
                _ => drop(self.bpf.insert(found, path)),
            }
        }
        Ok(())
    }
}

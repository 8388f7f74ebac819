//! What a run's directory has of coverage: [`scan`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The coverage files of one cell, over all its attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellFiles {
    /// `arch/kernel/llvmN`.
    pub cell: String,
    /// What each load of a BPF object left: the test and the record, which may have a profile beside it.
    pub records: Vec<(String, PathBuf)>,
    /// Raw profiles of the test executables.
    pub userspace: Vec<PathBuf>,
}

/// A directory cannot be read.
#[derive(Debug, Error)]
#[error("cannot read `{}`: {source}", path.display())]
pub struct ScanError {
    path: PathBuf,
    source: io::Error,
}

/// The files of all cells below the run's directory that have some, in the order of their names.
///
/// # Errors
/// When a directory cannot be read.
pub fn scan(run: &Path) -> Result<Vec<CellFiles>, ScanError> {
    let mut found = Vec::new();
    for arch in directories(&run.join("cells"))? {
        for kernel in directories(&arch)? {
            for llvm in directories(&kernel)? {
                // Beside the cells of a kernel are the logs of its VMs.
                if !name(&llvm).starts_with("llvm") {
                    continue;
                }
                let mut files =
                    CellFiles { cell: [&arch, &kernel, &llvm].map(|path| name(path)).join("/"), ..Default::default() };
                add_tests(&mut files, &llvm.join("coverage"))?;
                for attempt in directories(&llvm)?.iter().filter(|path| name(path).starts_with("attempt")) {
                    add_tests(&mut files, &attempt.join("coverage"))?;
                }
                if !files.records.is_empty() || !files.userspace.is_empty() {
                    found.push(files);
                }
            }
        }
    }
    Ok(found)
}

fn add_tests(files: &mut CellFiles, coverage: &Path) -> Result<(), ScanError> {
    for test in directories(coverage)? {
        let records = entries(&test.join("bpf"))?.into_iter().filter(|path| has_extension(path, "json"));
        files.records.extend(records.map(|record| (name(&test), record)));
        let profiles = entries(&test.join("userspace"))?.into_iter().filter(|path| has_extension(path, "profraw"));
        files.userspace.extend(profiles);
    }
    Ok(())
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn directories(path: &Path) -> Result<Vec<PathBuf>, ScanError> {
    Ok(entries(path)?.into_iter().filter(|entry| entry.is_dir()).collect())
}

/// What is in a directory, sorted; nothing is in one that does not exist.
fn entries(path: &Path) -> Result<Vec<PathBuf>, ScanError> {
    let failed = |source| ScanError { path: path.to_owned(), source };
    let listed = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(failed)?,
    };
    let mut entries = listed.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(failed)?;
    entries.sort();
    Ok(entries)
}

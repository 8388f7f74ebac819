//! Finds what the tests of a run said about programs: [`collect`] reads every `complexity.json` below a run's directory.

use std::path::{Path, PathBuf};
use std::{fs, io};

use bpf_complexity::{FILE_NAME, ReadError, Report};
use thiserror::Error;

use crate::run::outcome::RunOutcome;

/// A report, and the cell that it comes from.
#[derive(Clone, Debug)]
pub struct Found {
    /// The cell's id, `arch/kernel/llvmN`.
    pub cell: String,
    /// The file, relative to the run's directory.
    pub path: PathBuf,
    /// What it says.
    pub report: Report,
}

/// A file that says nothing, and why. The others are read all the same.
#[derive(Debug, Error)]
#[error("{}: {cause}", path.display())]
pub struct Problem {
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub cause: Cause,
}

/// What is wrong with a file.
#[derive(Debug, Error)]
pub enum Cause {
    /// It cannot be read.
    #[error("cannot read it: {0}")]
    Io(#[from] io::Error),
    /// It is no report.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Every report in the `directory` of `run`, in the order of its cells; the later attempt's behind the earlier's. What cannot be
/// read is among the problems, and nothing else suffers.
#[must_use]
pub fn collect(directory: &Path, run: &RunOutcome) -> (Vec<Found>, Vec<Problem>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for cell in &run.cells {
        let home = directory.join("cells").join(&cell.id);
        // The first attempt has no directory of its own.
        let attempts = (2..=cell.attempts.len().max(1)).map(|number| home.join(format!("attempt{number}")));
        for attempt in std::iter::once(home.clone()).chain(attempts) {
            let mut files = Vec::new();
            if let Err(problem) = find(&attempt.join("artifacts"), 0, &mut files) {
                problems.push(problem);
            }
            for path in files {
                match read(&path) {
                    Ok(report) => {
                        let path = path.strip_prefix(directory).map(Path::to_owned).unwrap_or(path);
                        found.push(Found { cell: cell.id.clone(), path, report });
                    }
                    Err(cause) => problems.push(Problem { path, cause }),
                }
            }
        }
    }
    (found, problems)
}

fn read(path: &Path) -> Result<Report, Cause> {
    // A test may leave bytes that are no text.
    Ok(Report::parse(&String::from_utf8_lossy(&fs::read(path)?))?)
}

/// Directories that a test may have made in its own before its report is no longer looked for.
const DEPTH: usize = 4;

/// Adds the reports below `directory`, sorted; there are none when it is not there.
fn find(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Problem> {
    let failed = |error: io::Error| Problem { path: directory.to_owned(), cause: error.into() };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        // Of the entry itself: a link may lead anywhere.
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() && depth < DEPTH {
            find(&entry.path(), depth + 1, files)?;
        } else if kind.is_file() && entry.file_name() == FILE_NAME {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

//! Turns events and outcomes into text: [`Terminal`] while a run goes on; `run.json`, `summary.md`, `junit.xml` and a table after it.

pub mod html;
mod json;
mod junit;
mod markdown;
mod plan;
mod support;
mod table;
mod terminal;

pub(crate) mod cells;
mod finding;
mod grid;
mod note;
pub(crate) mod text;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub use json::{ReadError, read};
pub use junit::write as write_junit;
pub use markdown::render as markdown;
pub use plan::{reasons_not_to_run, render as plan};
pub use support::Support;
pub use table::render as write_table;
pub use terminal::{Draw, Terminal};
pub use text::Style;
pub(crate) use text::one_line;

use crate::run::outcome::RunOutcome;

/// Writes `run.json` alone: cheap enough to do after every test, so that a killed run leaves a readable record.
///
/// # Errors
///
/// Fails when the file cannot be written; the one of before is then still there.
pub fn write_record(run_dir: &Path, run: &RunOutcome) -> io::Result<()> {
    write_atomically(run_dir, "run.json", |file| json::write(run, file))
}

/// Writes `summary.md` and `junit.xml`: for the end of each cell, and of the run.
///
/// # Errors
///
/// Fails when a file cannot be written; the one of before is then still there.
pub fn write_summaries(run_dir: &Path, run: &RunOutcome) -> io::Result<()> {
    write_atomically(run_dir, "summary.md", |file| file.write_all(markdown::render(run).as_bytes()))?;
    write_atomically(run_dir, "junit.xml", |file| junit::write(run, file))
}

/// Writes every file that reports the run.
///
/// # Errors
///
/// Fails when a file cannot be written; the one of before is then still there.
pub fn write_all(run_dir: &Path, run: &RunOutcome) -> io::Result<()> {
    write_record(run_dir, run)?;
    write_summaries(run_dir, run)
}

/// Appends Markdown to the page that GitHub shows for a job: `path` is the value of `GITHUB_STEP_SUMMARY`.
///
/// # Errors
///
/// Fails when the file cannot be opened or written.
pub fn append_step_summary(path: &Path, markdown: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{}\n\n", markdown.trim_end()).as_bytes())
}

/// Replaces the file as a whole: a reader, and whoever comes after a kill, sees the old text or the new one. A run has one
/// writer, so the name of the temporary file is fixed and a killed run leaves at most one.
fn write_atomically(dir: &Path, name: &str, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    replace_file(&dir.join(name), write)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot write `{}`: {error}", dir.join(name).display())))
}

/// Replaces the file `path` by what `write` writes, in one step: whoever reads it sees all of the old or all of the new.
///
/// # Errors
///
/// Fails when it cannot be written; the one of before is then still there.
pub fn replace_file(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o644)).tempfile_in(directory)?;
    write(file.as_file_mut())?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

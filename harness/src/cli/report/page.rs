//! Gathers what a run's page shows, and writes the page: the only part of it that reads files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path};

use crate::cli::failure::Failure;
use crate::complexity::{self, Table, Verdict};
use crate::project::Project;
use crate::report;
use crate::report::html::{
    Capability, Coverage, Excerpt, LoadVerdict, Logs, Measured, Page, Part, render, wanted_logs,
};
use crate::run::outcome::{CellOutcome, RunOutcome};

/// The page's name in the run's directory.
pub(super) const NAME: &str = "report.html";
/// Bytes of a log that the page has: its end.
const MOST_OF_LOG: u64 = 64 << 10;
/// Bytes of all logs that the page has.
const MOST_OF_LOGS: u64 = 4 << 20;
/// Bytes of a source file, beyond which it is none that a person wrote.
const MOST_OF_SOURCE: u64 = 4 << 20;

/// Writes the page of the run in `directory` to `page`.
pub(in crate::cli) fn write_page(outcome: &RunOutcome, directory: &Path, page: &Path) -> Result<(), Failure> {
    let logs = logs(outcome, directory);
    let coverage = coverage(directory);
    let lies_in_directory = is_same(page.parent().unwrap_or(Path::new("")), directory);
    let content = render(&Page {
        run: outcome,
        directory: &directory.display().to_string(),
        lies_in_directory,
        logs: &logs,
        coverage: &coverage,
        complexity: &complexity(outcome, directory),
        capabilities: &capabilities(outcome),
    });
    report::replace_file(page, |file| file.write_all(content.as_bytes()))
        .map_err(|error| Failure::Broken(format!("cannot write `{}`: {error}", page.display())))
}

/// What the BPF programs cost the verifiers, where tests have measured it.
fn complexity(outcome: &RunOutcome, directory: &Path) -> Part<Vec<Measured>> {
    let (found, problems) = complexity::collect(directory, outcome);
    let table = Table::new(outcome, &found);
    let labels = table.labels();
    let measured: Vec<_> = table
        .entries()
        .map(|entry| Measured {
            arch: entry.arch,
            program: labels.get(entry.id).cloned().unwrap_or_default(),
            kernel: entry.kernel.to_owned(),
            llvm: entry.llvm,
            verdict: match entry.record.verdict {
                Verdict::Ok => LoadVerdict::Loaded,
                Verdict::Rejected => LoadVerdict::Rejected,
                Verdict::Skipped => LoadVerdict::Skipped,
            },
            insns_processed: entry.record.insns_processed,
            stack_max: entry.record.stack_max.map(u64::from),
            reason: entry.record.reason.clone(),
        })
        .collect();
    match problems.first() {
        Some(problem) if measured.is_empty() => Part::Unreadable(problem.to_string()),
        _ if measured.is_empty() => Part::Absent,
        _ => Part::Read(measured),
    }
}

/// What the tests found the kernels to be capable of.
fn capabilities(outcome: &RunOutcome) -> Part<Vec<Capability>> {
    let of_cell = |cell: &CellOutcome| {
        let (arch, kernel, llvm) = (cell.arch, cell.kernel.name.clone(), cell.llvm);
        let found = cell.attempts.last().map(|attempt| attempt.capabilities.clone()).unwrap_or_default();
        found.into_iter().filter_map(move |capability| {
            let (kernel, value) = (kernel.clone(), capability.found?);
            Some(Capability { arch, kernel, llvm, name: capability.name, value })
        })
    };
    let found: Vec<_> = outcome.cells.iter().flat_map(of_cell).collect();
    if found.is_empty() { Part::Absent } else { Part::Read(found) }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(if path.as_os_str().is_empty() { Path::new(".") } else { path });
    matches!((real(one), real(other)), (Ok(one), Ok(other)) if one == other)
}

/// The ends of the logs that the page wants.
fn logs(outcome: &RunOutcome, directory: &Path) -> Logs {
    let mut left = MOST_OF_LOGS;
    let mut logs = Logs::new();
    for path in wanted_logs(outcome) {
        let excerpt = if left == 0 {
            Excerpt::Missing("left out, because the page has enough logs".into())
        } else {
            read_end(directory, &path, left.min(MOST_OF_LOG))
                .unwrap_or_else(|error| Excerpt::Missing(format!("it cannot be read: {error}")))
        };
        if let Excerpt::Tail { shown_bytes, .. } = &excerpt {
            left = left.saturating_sub(*shown_bytes);
        }
        logs.insert(path, excerpt);
    }
    logs
}

/// At most `most` bytes from the end of a file below `directory`, beginning with a whole line.
fn read_end(directory: &Path, path: &str, most: u64) -> io::Result<Excerpt> {
    let mut file = open_below(directory, path)?;
    let total_bytes = file.metadata()?.len();
    let from = total_bytes.saturating_sub(most);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    let start = if from > 0 { bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1) } else { 0 };
    let bytes = &bytes[start..];
    let shown_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    Ok(Excerpt::Tail { total_bytes, shown_bytes, text: String::from_utf8_lossy(bytes).into_owned() })
}

/// Opens a regular file below `directory`. A record may come from anywhere, and the page may go anywhere: neither its paths
/// nor links on the way may lead out of there.
fn open_below(directory: &Path, path: &str) -> io::Result<File> {
    let outside = || io::Error::other("it is not below the directory");
    if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(outside());
    }
    let real = fs::canonicalize(directory.join(path))?;
    if !real.starts_with(fs::canonicalize(directory)?) {
        return Err(outside());
    }
    if !fs::metadata(&real)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    File::open(real)
}

/// `coverage/lines.json` with the sources as the project has them now. Without a project here, lines have numbers only.
fn coverage(directory: &Path) -> Part<Coverage> {
    let path = directory.join("coverage/lines.json");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Part::Absent,
        Err(error) => return Part::Unreadable(format!("{} cannot be read: {error}", path.display())),
    };
    let coverage = match Coverage::parse(&text) {
        Ok(coverage) => coverage,
        Err(error) => return Part::Unreadable(format!("{} cannot be read: {error}", path.display())),
    };
    let sources = Project::load(None).map(|project| sources(&coverage, &project.root)).unwrap_or_default();
    Part::Read(coverage.with_sources(sources))
}

fn sources(coverage: &Coverage, root: &Path) -> BTreeMap<String, String> {
    let read = |path: &str| {
        let mut text = String::new();
        open_below(root, path).ok()?.take(MOST_OF_SOURCE).read_to_string(&mut text).ok()?;
        Some((path.to_owned(), text))
    };
    coverage.paths().filter_map(read).collect()
}

#[cfg(test)]
mod tests;

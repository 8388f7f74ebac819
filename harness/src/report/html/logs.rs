//! Which logs the page has, and what was read of each: [`Logs`].

use std::collections::{BTreeMap, BTreeSet};

use super::is_trouble;
use crate::report::finding::{self, Finding};
use crate::run::outcome::{CellOutcome, RunOutcome, TestRecord, Verdict};

/// Cells of one finding whose logs are on the page; the others' are named.
const MOST_CELLS: usize = 2;

/// What was read of the logs, by their paths relative to the run's directory.
pub type Logs = BTreeMap<String, Excerpt>;

/// What was read of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Excerpt {
    /// Its end, or all of it.
    Tail {
        /// How long the whole log is.
        total_bytes: u64,
        /// How much of it this is.
        shown_bytes: u64,
        /// The end of it.
        text: String,
    },
    /// Nothing, and why.
    Missing(String),
}

/// A log that tells about a finding.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogOf<'a> {
    pub(super) cell: &'a CellOutcome,
    /// Which attempt at the cell, from 1.
    pub(super) attempt: usize,
    /// What wrote it: a test's name, or the phase that the attempt ended in.
    pub(super) of: &'a str,
    pub(super) path: &'a str,
}

/// The logs of the run that the page wants to show, relative to the run's directory. The record may come from anywhere: see
/// that they lead nowhere else.
#[must_use]
pub fn wanted(run: &RunOutcome) -> BTreeSet<String> {
    let findings = finding::all(run);
    findings.iter().flat_map(shown).map(|log| log.path.to_owned()).collect()
}

/// The logs of a finding that are on the page.
pub(super) fn shown<'a>(finding: &Finding<'a>) -> Vec<LogOf<'a>> {
    let cells = if is_trouble(finding.verdict) { MOST_CELLS } else { 0 };
    let mut seen = BTreeSet::new();
    let logs = finding.cells.iter().take(cells).flat_map(|cell| of_cell(cell, finding.test));
    // The cells of one VM share its console.
    logs.filter(|log| seen.insert(log.path)).collect()
}

/// What the attempts at the cell left about `test`, or about everything that went wrong.
pub(super) fn of_cell<'a>(cell: &'a CellOutcome, test: Option<&TestRecord>) -> Vec<LogOf<'a>> {
    let mut logs = Vec::new();
    for (index, attempt) in cell.attempts.iter().enumerate() {
        let log = |of, path| LogOf { cell, attempt: index + 1, of, path };
        let told = |record: &&TestRecord| match test {
            Some(test) => record.binary == test.binary && record.name == test.name,
            None => !record.verdict().is_expected(),
        };
        let of_tests = attempt.tests.iter().filter(told).filter(|record| record.verdict() != Verdict::NotRun);
        logs.extend(of_tests.filter_map(|record| Some(log(record.name.as_str(), record.log.as_deref()?))));
        let loss = attempt.loss.as_ref().and_then(|loss| Some(log("the VM", loss.log.as_deref()?)));
        logs.extend(loss.filter(|_| test.is_none()));
    }
    logs
}

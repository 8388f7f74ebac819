//! What a reader may want to know though no verdict depends on it: [`Note`], one per cause.

use crate::report::cells::{self, Place};
use crate::report::text;
use crate::run::outcome::{CellOutcome, RunOutcome};

/// One thing about the coverage passes.
#[derive(Debug)]
pub(crate) struct Note<'a> {
    /// What happened, in one line.
    pub(crate) line: String,
    /// Where.
    pub(crate) places: Vec<Place<'a>>,
}

/// Every note on the run, in the order of the plan.
pub(crate) fn all(run: &RunOutcome) -> Vec<Note<'_>> {
    let mut notes: Vec<Note<'_>> = Vec::new();
    for cell in &run.cells {
        for line in of_cell(cell) {
            match notes.iter_mut().find(|note| note.line == line) {
                Some(note) => note.places.push(cells::place(cell)),
                None => notes.push(Note { line, places: vec![cells::place(cell)] }),
            }
        }
    }
    notes
}

fn of_cell(cell: &CellOutcome) -> Vec<String> {
    let Some(coverage) = cell.attempts.last().and_then(|last| last.coverage.as_ref()) else { return Vec::new() };
    let failed = coverage.failed.iter().map(|test| {
        let message = test.message.lines().find(|line| !line.trim().is_empty()).unwrap_or("it left no message");
        text::one_line(&format!("{} failed in the coverage pass: {message}", test.name))
    });
    let missing = coverage.missing.iter().map(|missing| {
        let first = missing.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        text::one_line(&format!("coverage is incomplete: {first}"))
    });
    failed.chain(missing).collect()
}

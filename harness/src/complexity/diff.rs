//! What changed between two tables: [`Diff`].

use std::collections::BTreeMap;

use bpf_complexity::{Record, Verdict};

use super::table::{ProgramId, Table};

/// How much more a program may cost before it counts as a change for the worse: both must be passed.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// In percent of what it cost.
    pub percent: u64,
    /// In instructions processed.
    pub insns: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { percent: 10, insns: 500 }
    }
}

/// What changed for one program in one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The kernel's answer is another; the reason, where there is one.
    Verdict {
        /// What it was.
        before: Verdict,
        /// What it is.
        after: Verdict,
        /// Why.
        reason: Option<String>,
    },
    /// It is no longer measured.
    Vanished,
    /// It was not measured.
    New,
    /// Instructions processed, more or less by more than the thresholds.
    Insns {
        /// As many as it took.
        before: u64,
        /// As many as it takes.
        after: u64,
    },
}

impl Change {
    /// Whether it fails a comparison.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        match self {
            Self::Verdict { before, .. } => *before == Verdict::Ok,
            Self::Vanished => true,
            Self::New => false,
            Self::Insns { before, after } => after > before,
        }
    }
}

/// What changed between two tables, in the order of the cells' ids and the programs.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    /// Each change, with its cell and program.
    pub changes: Vec<(String, ProgramId, Change)>,
    /// Pairs of records that were compared.
    pub compared: usize,
    /// Records of before in cells that were not run now.
    pub elsewhere: usize,
}

impl Diff {
    /// Compares `after` with `before`. Times and peaks of states are not looked at: they differ from run to run.
    #[must_use]
    pub fn new(before: &Table, after: &Table, thresholds: Thresholds) -> Self {
        let (old, new) = (flat(before), flat(after));
        let mut diff = Self::default();
        for ((cell, id), record) in &old {
            let change = match new.get(&(cell.clone(), id)) {
                Some(now) => {
                    diff.compared += 1;
                    compare(record, now, thresholds)
                }
                None if after.cells.contains(cell) => Some(Change::Vanished),
                None => {
                    diff.elsewhere += 1;
                    None
                }
            };
            diff.changes.extend(change.map(|change| (cell.clone(), (*id).clone(), change)));
        }
        let added =
            new.keys().filter(|(cell, id)| before.cells.contains(cell) && !old.contains_key(&(cell.clone(), *id)));
        diff.changes.extend(added.map(|(cell, id)| (cell.clone(), (*id).clone(), Change::New)));
        diff.changes.sort_by(|(cell, id, _), (other_cell, other_id, _)| (id, cell).cmp(&(other_id, other_cell)));
        diff
    }

    /// Whether something became worse.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        self.changes.iter().any(|(_, _, change)| change.is_worse())
    }
}

fn flat(table: &Table) -> BTreeMap<(String, &ProgramId), &Record> {
    table.entries().map(|entry| ((entry.cell(), entry.id), entry.record)).collect()
}

fn compare(before: &Record, after: &Record, thresholds: Thresholds) -> Option<Change> {
    if before.verdict != after.verdict {
        let reason = after.reason.clone();
        return Some(Change::Verdict { before: before.verdict, after: after.verdict, reason });
    }
    let (before, after) = (before.processed()?, after.processed()?);
    let by = before.abs_diff(after);
    let is_much = by > thresholds.insns && u128::from(by) * 100 > u128::from(before) * u128::from(thresholds.percent);
    is_much.then_some(Change::Insns { before, after })
}

#[cfg(test)]
mod tests;

//! Makes a budget out of a table: [`entries`] gives each program ceilings a little above what it costs now.

use bpf_complexity::record::STACK_LIMIT_BYTES;
use bpf_complexity::{Record, Verdict};

use self::lines::{Place, Value, is_close};
use super::check::kernel_of;
use super::{Budget, Ceiling, Entry, Line};
use crate::complexity::table::Table;

mod key;
mod lines;

/// A program with its lines, to be written.
pub(super) type NewEntry = (String, Vec<NewLine>);

/// A line to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewLine {
    pub(super) key: String,
    pub(super) ceiling: Ceiling,
    pub(super) reason: Option<String>,
}

/// What is known of a program in one cell.
#[derive(Clone, Debug)]
struct Sample<'a> {
    program: String,
    cell: String,
    record: &'a Record,
}

/// The entries of a new budget: what `table` knows is measured anew, what it does not know stays as it is in `old`. `cells` are
/// the ids of those that the matrix can run, in its order.
pub(super) fn entries(old: &Budget, table: &Table, cells: &[String]) -> Vec<NewEntry> {
    let samples = table.entries().map(|entry| {
        let (program, cell) = (entry.id.to_string(), entry.cell());
        Sample { program, cell, record: entry.record }
    });
    let samples: Vec<Sample<'_>> = samples.collect();
    let key_of = |program: &str| old.entry(program).map_or_else(|| globset::escape(program), |entry| entry.key.clone());
    let mut keys: Vec<String> = old.entries.iter().map(|entry| entry.key.clone()).collect();
    for sample in &samples {
        let key = key_of(&sample.program);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let entry = |key: String| {
        let before = old.entries.iter().find(|entry| entry.key == key);
        let own: Vec<&Sample<'_>> = samples.iter().filter(|sample| key_of(&sample.program) == key).collect();
        let lines = Program { before, samples: own, table, cells }.lines();
        (key, lines)
    };
    keys.into_iter().map(entry).filter(|(_, lines)| !lines.is_empty()).collect()
}

/// What the lines of one program, or of those that one glob names, are made from.
struct Program<'a> {
    before: Option<&'a Entry>,
    samples: Vec<&'a Sample<'a>>,
    table: &'a Table,
    cells: &'a [String],
}

impl<'a> Program<'a> {
    fn lines(&self) -> Vec<NewLine> {
        let kept = self.by_hand();
        let places: Vec<(String, Place)> = self.all_cells().into_iter().map(|cell| self.place(cell, &kept)).collect();
        lines::lines(&places).into_iter().chain(kept).collect()
    }

    fn old(&self) -> &'a [Line] {
        self.before.map_or(&[], |entry| &entry.lines)
    }

    /// The line of before that counts in this cell.
    fn old_line(&self, cell: &str) -> Option<&'a Line> {
        self.before.and_then(|entry| entry.line(cell, kernel_of(cell)))
    }

    fn samples_of(&self, is_meant: impl Fn(&str) -> bool) -> Vec<&'a Record> {
        self.samples.iter().filter(|sample| is_meant(&sample.cell)).map(|sample| sample.record).collect()
    }

    /// Lines that [`lines`] would not write, those with other globs and ceilings with a reason, are a person's: they stay, with
    /// new numbers.
    fn by_hand(&self) -> Vec<NewLine> {
        let kept = self.old().iter().filter(|line| is_by_hand(line)).filter_map(|line| {
            let is_meant = |cell: &str| self.old_line(cell).is_some_and(|chosen| std::ptr::eq(chosen, line));
            let Line { key, ceiling, reason, .. } = line;
            let (ceiling, reason) = match judge(&self.samples_of(is_meant)) {
                Some((Ceiling::Known(verdict), why)) => (Ceiling::Known(verdict), reason.clone().or(why)),
                // What is known to be refused and loads all the same needs no line of its own any more.
                Some(_) if matches!(ceiling, Ceiling::Known(_)) => return None,
                Some((ceiling, _)) => (ceiling, reason.clone()),
                None if self.table.cells.iter().any(|cell| line.matches(cell, kernel_of(cell))) => return None,
                None => (ceiling.clone(), reason.clone()),
            };
            Some(NewLine { key: key.clone(), ceiling, reason })
        });
        kept.collect()
    }

    /// The matrix's cells, those of the table, and for kernels that only older lines name every architecture with every LLVM.
    fn all_cells(&self) -> Vec<String> {
        let mut cells = self.cells.to_vec();
        cells.extend(self.table.cells.iter().filter(|cell| !self.cells.contains(cell)).cloned());
        let written = self.old().iter().filter(|line| !is_by_hand(line));
        let named = written
            .flat_map(|line| key::kernels(&line.key))
            .filter(|kernel| cells.iter().all(|cell| kernel_of(cell) != *kernel));
        let mut others = Vec::new();
        for kernel in named {
            for cell in &cells {
                let (home, llvm) = cell.rsplit_once('/').unwrap_or_default();
                let arch = home.split('/').next().unwrap_or_default();
                let other = format!("{arch}/{kernel}/{llvm}");
                if !others.contains(&other) {
                    others.push(other);
                }
            }
        }
        cells.extend(others);
        cells
    }

    /// What is to be expected in a cell, beside the lines that are `kept`.
    fn place(&self, cell: String, kept: &[NewLine]) -> (String, Place) {
        let line = self.old_line(&cell);
        let now = judge(&self.samples_of(|other| other == cell));
        let by_hand = line.filter(|line| is_by_hand(line));
        let place = match (by_hand.and_then(|line| kept.iter().find(|kept| kept.key == line.key)), now) {
            (Some(kept), Some((ceiling, why))) if !is_same_kind(&kept.ceiling, &ceiling) => {
                Place::Value(Value { is_exception: true, ..Value::measured(ceiling, why) })
            }
            (Some(kept), _) if kept.key.contains('/') => Place::ByHand,
            (Some(_), _) => Place::Nothing,
            (None, Some((ceiling, why))) => Place::Value(Value::measured(ceiling, why).over(line)),
            (None, None) if self.table.cells.contains(&cell) => Place::Nothing,
            (None, None) => line.map_or(Place::Nothing, |line| Place::Value(Value::kept(line))),
        };
        (cell, place)
    }
}

fn is_by_hand(line: &Line) -> bool {
    let has_own_reason = matches!(line.ceiling, Ceiling::Loads { .. }) && line.reason.is_some();
    has_own_reason || !key::is_written(&line.key)
}

fn why(record: &Record) -> String {
    record.reason.clone().unwrap_or_else(|| "no reason was given".into())
}

fn is_same_kind(one: &Ceiling, other: &Ceiling) -> bool {
    match (one, other) {
        (Ceiling::Known(one), Ceiling::Known(other)) => one == other,
        (Ceiling::Loads { .. }, Ceiling::Loads { .. }) => true,
        _ => false,
    }
}

/// What is to be expected of these together: that the dearest of those that are taken is.
fn judge(records: &[&Record]) -> Option<(Ceiling, Option<String>)> {
    let taken = || records.iter().filter(|record| record.verdict == Verdict::Ok);
    if let Some(first) = records.first()
        && taken().next().is_none()
    {
        return Some((Ceiling::Known(first.verdict), Some(why(first))));
    }
    let insns = taken().filter_map(|record| record.processed()).max()?;
    let stack = taken().filter_map(|record| record.stack_max).max();
    Some((Ceiling::Loads { insns: room_for_insns(insns), stack: stack.map(room_for_stack) }, None))
}

/// A tenth more, or 500, rounded up to hundreds: so that small changes change nothing in the file either.
fn room_for_insns(insns: u64) -> u64 {
    (insns + (insns / 10).max(500)).next_multiple_of(100)
}

/// Rounded up to the step in which kernels count it.
fn room_for_stack(stack: u32) -> u32 {
    stack.next_multiple_of(32).min(STACK_LIMIT_BYTES)
}

impl Value {
    /// Of a cell that was measured now.
    fn measured(ceiling: Ceiling, reason: Option<String>) -> Self {
        Self { measured: Some(ceiling.clone()), ceiling, reason, is_exception: false }
    }

    /// Of a cell that was not: as it is written.
    fn kept(line: &Line) -> Self {
        let Line { ceiling, reason, .. } = line.clone();
        Self { measured: None, ceiling, reason, is_exception: false }
    }

    /// The same where there is a line of before: its reason stays, and its ceiling when it still is high enough and not much
    /// too high.
    fn over(mut self, line: Option<&Line>) -> Self {
        let Some(line) = line.filter(|line| is_same_kind(&line.ceiling, &self.ceiling)) else { return self };
        self.reason = line.reason.clone().or(self.reason);
        if let (Ceiling::Loads { insns, stack }, &Ceiling::Loads { insns: old, stack: old_stack }) =
            (&self.ceiling, &line.ceiling)
            && *insns <= old
            && *stack <= old_stack
            && is_close(&self.ceiling, &line.ceiling)
        {
            self.ceiling = line.ceiling.clone();
        }
        self
    }
}

//! Makes a budget out of a table: [`entries`] gives each program ceilings a little above what it costs now.

use std::collections::BTreeSet;

use bpf_complexity::record::STACK_LIMIT_BYTES;
use bpf_complexity::{Record, Verdict};

use super::check::kernel_of;
use super::{Budget, Ceiling, Entry, Line};
use crate::complexity::table::Table;

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

/// The entries of a new budget: what `table` knows is measured anew, what it does not know stays as it is in `old`. `kernels`
/// are the matrix's, in its order.
pub(super) fn entries(old: &Budget, table: &Table, kernels: &[String]) -> Vec<NewEntry> {
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
        let lines = Lines { before, samples: own, table, kernels }.all();
        (key, lines)
    };
    keys.into_iter().map(entry).filter(|(_, lines)| !lines.is_empty()).collect()
}

/// What the lines of one program are made from.
struct Lines<'a> {
    before: Option<&'a Entry>,
    samples: Vec<&'a Sample<'a>>,
    table: &'a Table,
    kernels: &'a [String],
}

impl<'a> Lines<'a> {
    fn all(&self) -> Vec<NewLine> {
        let mut apart = Vec::new();
        let (kept, left) = self.by_hand(&mut apart);
        let of_kernels = self.of_kernels(&left, &mut apart);
        let known: BTreeSet<&str> = kept.iter().map(|line| line.key.as_str()).collect();
        let exceptions = self.exceptions(&apart).into_iter().filter(|line| !known.contains(line.key.as_str()));
        of_kernels.into_iter().chain(exceptions).chain(kept.clone()).collect()
    }

    fn old(&self) -> &'a [Line] {
        self.before.map_or(&[], |entry| &entry.lines)
    }

    fn was_run(&self, matches: impl Fn(&str) -> bool) -> bool {
        self.table.cells.iter().any(|cell| matches(cell))
    }

    /// Lines of cells, and of kernels by a glob, are a person's: they stay, with new numbers. Besides, what they leave.
    fn by_hand(&self, apart: &mut Vec<&'a Sample<'a>>) -> (Vec<NewLine>, Vec<&'a Sample<'a>>) {
        let (mut kept, mut left) = (Vec::new(), self.samples.clone());
        for line in self.old().iter().filter(|line| !is_plain(&line.key)) {
            let is_meant = |sample: &&Sample<'_>| {
                let chosen = self.before.and_then(|entry| entry.line(&sample.cell, kernel_of(&sample.cell)));
                chosen.is_some_and(|chosen| std::ptr::eq(chosen, line))
            };
            let (own, others): (Vec<_>, Vec<_>) = left.into_iter().partition(is_meant);
            left = others;
            let Line { key, ceiling, reason, .. } = line;
            match judge(&own, apart) {
                Some((Ceiling::Known(verdict), why)) => {
                    let ceiling = Ceiling::Known(verdict);
                    kept.push(NewLine { key: key.clone(), ceiling, reason: reason.clone().or(why) });
                }
                // What is known to be refused and loads all the same needs no line of its own any more.
                Some(_) if matches!(ceiling, Ceiling::Known(_)) => left.extend(own),
                Some((ceiling, _)) => kept.push(NewLine { key: key.clone(), ceiling, reason: reason.clone() }),
                None if self.was_run(|cell| line.matches(cell, kernel_of(cell))) => {}
                None => kept.push(NewLine { key: key.clone(), ceiling: ceiling.clone(), reason: reason.clone() }),
            }
        }
        (kept, left)
    }

    /// A line for each row of kernels that cost about the same.
    fn of_kernels(&self, samples: &[&'a Sample<'a>], apart: &mut Vec<&'a Sample<'a>>) -> Vec<NewLine> {
        let mut groups: Vec<Group> = Vec::new();
        for kernel in self.all_kernels() {
            let own: Vec<_> = samples.iter().copied().filter(|sample| kernel_of(&sample.cell) == kernel).collect();
            let names_it = |line: &&Line| is_plain(&line.key) && line.key.split_whitespace().any(|part| part == kernel);
            let before = self.old().iter().find(names_it);
            let group = match (judge(&own, apart), before) {
                (Some((ceiling, why)), before) => {
                    // What was said of a refusal says nothing of a ceiling, nor the other way round.
                    let same_kind = |line: &&Line| {
                        matches!(line.ceiling, Ceiling::Known(_)) == matches!(ceiling, Ceiling::Known(_))
                    };
                    let reason = before.filter(same_kind).and_then(|line| line.reason.clone()).or(why);
                    Group { kernels: vec![kernel], measured: true, ceiling, reason }
                }
                (None, Some(line)) if !self.was_run(|cell| kernel_of(cell) == kernel) => {
                    let Line { ceiling, reason, .. } = line.clone();
                    Group { kernels: vec![kernel], measured: false, ceiling, reason }
                }
                (None, _) => continue,
            };
            match groups.last_mut().and_then(|last| Some((last.joined(&group)?, last))) {
                Some((joined, last)) => *last = joined,
                None => groups.push(group),
            }
        }
        groups.into_iter().map(Group::into_line).collect()
    }

    /// The matrix's kernels, then those that only the old lines name.
    fn all_kernels(&self) -> Vec<String> {
        let named = self.old().iter().filter(|line| is_plain(&line.key)).flat_map(|line| line.key.split_whitespace());
        let mut kernels = self.kernels.to_vec();
        for kernel in named.chain(self.samples.iter().map(|sample| kernel_of(&sample.cell))) {
            if !kernels.iter().any(|other| other == kernel) {
                kernels.push(kernel.to_owned());
            }
        }
        kernels
    }

    /// Lines for cells whose kernel takes the program elsewhere, and not there: one for each verdict and reason.
    fn exceptions(&self, apart: &[&Sample<'_>]) -> Vec<NewLine> {
        let mut lines: Vec<(Verdict, String, BTreeSet<String>)> = Vec::new();
        for sample in apart {
            let (home, llvm) = sample.cell.rsplit_once('/').unwrap_or((&sample.cell, "*"));
            let here = |other: &&&Sample<'_>| other.cell.rsplit_once('/').is_some_and(|(other, _)| other == home);
            let every = self.samples.iter().filter(here).count() == apart.iter().filter(here).count();
            let key = format!("{home}/{}", if every { "*" } else { llvm });
            let (verdict, reason) = (sample.record.verdict, why(sample.record));
            match lines.iter_mut().find(|(other, because, _)| (*other, because.as_str()) == (verdict, reason.as_str()))
            {
                Some((_, _, keys)) => _ = keys.insert(key),
                None => lines.push((verdict, reason, BTreeSet::from([key]))),
            }
        }
        let line = |(verdict, reason, keys): (Verdict, String, BTreeSet<String>)| NewLine {
            key: keys.into_iter().collect::<Vec<_>>().join(" "),
            ceiling: Ceiling::Known(verdict),
            reason: Some(reason),
        };
        lines.into_iter().map(line).collect()
    }
}

/// Whether a key names kernels, and nothing else.
fn is_plain(key: &str) -> bool {
    !key.contains(['/', '*', '?', '[', '{'])
}

fn why(record: &Record) -> String {
    record.reason.clone().unwrap_or_else(|| "no reason was given".into())
}

/// What is to be expected of these; those that are not taken, where others are, are put `apart`.
fn judge<'a>(samples: &[&'a Sample<'a>], apart: &mut Vec<&'a Sample<'a>>) -> Option<(Ceiling, Option<String>)> {
    let is_taken = |sample: &&&Sample<'_>| sample.record.verdict == Verdict::Ok;
    if let Some(first) = samples.first()
        && !samples.iter().any(|sample| is_taken(&sample))
    {
        let verdict = first.record.verdict;
        apart.extend(samples.iter().filter(|sample| sample.record.verdict != verdict));
        return Some((Ceiling::Known(verdict), Some(why(first.record))));
    }
    apart.extend(samples.iter().filter(|sample| !is_taken(sample)));
    let taken = || samples.iter().filter(is_taken).map(|sample| sample.record);
    let insns = taken().filter_map(Record::processed).max()?;
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

/// Kernels, one after another in the matrix, that share a line.
#[derive(Clone, Debug)]
struct Group {
    kernels: Vec<String>,
    /// Whether all of it was measured now; only then may a ceiling move.
    measured: bool,
    ceiling: Ceiling,
    reason: Option<String>,
}

impl Group {
    /// Both as one, when their ceilings are as good as the same.
    fn joined(&self, other: &Self) -> Option<Self> {
        let ceiling = match (&self.ceiling, &other.ceiling) {
            (one, another) if one == another => one.clone(),
            (&Ceiling::Loads { insns: a, stack: x }, &Ceiling::Loads { insns: b, stack: y })
                if self.measured && other.measured && x.is_some() == y.is_some() =>
            {
                let close = (a.abs_diff(b) <= 200 || 10 * a.min(b) >= 9 * a.max(b))
                    && x.unwrap_or_default().abs_diff(y.unwrap_or_default()) <= 32;
                close.then_some(Ceiling::Loads { insns: a.max(b), stack: x.max(y) })?
            }
            _ => return None,
        };
        if self.reason != other.reason {
            return None;
        }
        let kernels = self.kernels.iter().chain(&other.kernels).cloned().collect();
        Some(Self { kernels, measured: self.measured && other.measured, ceiling, reason: self.reason.clone() })
    }

    fn into_line(self) -> NewLine {
        NewLine { key: self.kernels.join(" "), ceiling: self.ceiling, reason: self.reason }
    }
}

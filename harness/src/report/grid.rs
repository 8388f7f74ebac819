//! The tables of a report before they are text: [`Grid`]. One per architecture and question, for terminal and Markdown alike.

use std::collections::HashMap;

use crate::matrix::Arch;
use crate::report::text;
use crate::run::outcome::{CellOutcome, RunOutcome, TestRecord, TestResult, Verdict};

/// A table: what stands in its head, and its rows.
#[derive(Debug)]
pub(crate) struct Grid {
    pub(crate) title: String,
    /// Whether the ends of its labels may be cut to spare a second block of columns.
    pub(crate) cut_labels: bool,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// One line of a table; an entry is `None` where the plan has nothing.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) entries: Vec<Option<Entry>>,
}

/// What stands where a row and a column meet.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) verdict: Verdict,
    pub(crate) text: String,
    pub(crate) time: String,
}

/// The positions of keys in the order in which they first came.
struct Axis<K>(HashMap<K, usize>);

impl<K: Eq + std::hash::Hash> Axis<K> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    /// The key's position, and whether it is new.
    fn place(&mut self, key: K) -> (usize, bool) {
        let next = self.0.len();
        let place = *self.0.entry(key).or_insert(next);
        (place, place == next)
    }
}

/// Every table of the run, in the order in which they are shown.
pub(crate) fn all(run: &RunOutcome) -> Vec<Grid> {
    let mut grids = vec![];
    for arch in Arch::ALL {
        let cells: Vec<&CellOutcome> = run.cells.iter().filter(|cell| cell.arch == arch).collect();
        if let Some(first) = cells.first() {
            grids.push(kernels(arch, &cells));
            if cells.iter().all(|cell| cell.llvm == first.llvm) {
                grids.extend(tests(arch, &cells));
            }
        }
    }
    grids
}

/// Kernels × LLVM releases.
fn kernels(arch: Arch, cells: &[&CellOutcome]) -> Grid {
    let mut llvms: Vec<u32> = cells.iter().map(|cell| cell.llvm).collect();
    llvms.sort_unstable();
    llvms.dedup();
    let mut axis = Axis::new();
    let mut rows: Vec<Row> = vec![];
    let names = cells.iter().map(|cell| text::width(&cell.kernel.name)).max().unwrap_or(0).min(16);
    for cell in cells {
        let (place, new) = axis.place(&cell.kernel.name);
        if new {
            let name = text::pad(&text::fit_middle(&text::one_line(&cell.kernel.name), names), names);
            let label = format!("{name}  {}", text::one_line(&cell.kernel.release)).trim_end().to_owned();
            rows.push(Row { label, entries: vec![None; llvms.len()] });
        }
        let column = llvms.binary_search(&cell.llvm).unwrap_or_default();
        rows[place].entries[column] = Some(cell_entry(cell));
    }
    Grid {
        title: arch.to_string(),
        cut_labels: true,
        columns: llvms.iter().map(|llvm| format!("LLVM {llvm}")).collect(),
        rows,
    }
}

/// What a cell amounts to in a few words, with how long it took.
fn cell_entry(cell: &CellOutcome) -> Entry {
    Entry { verdict: cell.verdict(), text: cell_text(cell), time: cell_time(cell) }
}

/// How long a cell took, empty for one that never began.
pub(crate) fn cell_time(cell: &CellOutcome) -> String {
    if cell.attempts.is_empty() { String::new() } else { text::seconds(cell.seconds()) }
}

/// `9/9 pass`, `8/9 FAIL`, `lost boot`: the tests that went as expected, or the phase that ended the cell.
pub(crate) fn cell_text(cell: &CellOutcome) -> String {
    let verdict = cell.verdict();
    let word = text::word(verdict);
    match cell.attempts.last().and_then(|attempt| attempt.loss.as_ref()) {
        Some(loss) if loss.verdict == verdict => format!("{word} {}", loss.phase),
        _ if cell.tests().is_empty() => word.to_owned(),
        _ => {
            let fine = |test: &&TestRecord| test.result != TestResult::NotRun && test.verdict().is_expected();
            format!("{}/{} {word}", cell.tests().iter().filter(fine).count(), cell.tests().len())
        }
    }
}

/// Tests × kernels, for one LLVM release; `None` when no test is known.
fn tests(arch: Arch, cells: &[&CellOutcome]) -> Option<Grid> {
    let mut axis = Axis::new();
    let mut keys: Vec<(&str, &str)> = vec![];
    let mut entries: Vec<Vec<Option<Entry>>> = vec![];
    for (column, cell) in cells.iter().enumerate() {
        for test in cell.tests() {
            let key = (test.binary.as_str(), test.name.as_str());
            let (place, new) = axis.place(key);
            if new {
                keys.push(key);
                entries.push(vec![None; cells.len()]);
            }
            entries[place][column] = Some(Entry::mark(mark_verdict(cell, test)));
        }
    }
    for (column, cell) in cells.iter().enumerate().filter(|(_, cell)| cell.tests().is_empty()) {
        entries.iter_mut().for_each(|row| row[column] = Some(Entry::mark(cell.verdict())));
    }
    let mut uses: HashMap<&str, usize> = HashMap::new();
    keys.iter().for_each(|(_, name)| *uses.entry(name).or_default() += 1);
    let label = |(binary, name): (&str, &str)| {
        text::one_line(&if uses[name] > 1 { format!("{binary} {name}") } else { name.to_owned() })
    };
    let rows: Vec<Row> =
        keys.into_iter().zip(entries).map(|(key, entries)| Row { label: label(key), entries }).collect();
    let columns = cells.iter().map(|cell| text::fit_middle(&text::one_line(&cell.kernel.name), 16)).collect();
    let llvm = cells.first()?.llvm;
    (!rows.is_empty()).then(|| Grid { title: format!("{arch}, LLVM {llvm}"), cut_labels: false, columns, rows })
}

impl Entry {
    /// An entry of one column.
    fn mark(verdict: Verdict) -> Self {
        Self { verdict, text: mark(verdict).to_string(), time: String::new() }
    }
}

/// The verdict that a test's mark shows: one that its VM took along is lost, one that an attempt before failed is flaky.
pub(crate) fn mark_verdict(cell: &CellOutcome, test: &TestRecord) -> Verdict {
    let same = |other: &&TestRecord| other.binary == test.binary && other.name == test.name;
    let failed = |other: &TestRecord| matches!(other.result, TestResult::Failed | TestResult::TimedOut);
    match (test.verdict(), cell.attempts.split_last()) {
        (Verdict::NotRun, Some((last, _))) => last.loss.as_ref().map_or(Verdict::NotRun, |loss| loss.verdict),
        (Verdict::Pass, Some((_, earlier)))
            if earlier.iter().flat_map(|attempt| &attempt.tests).filter(same).any(failed) =>
        {
            Verdict::Flaky
        }
        (verdict, _) => verdict,
    }
}

/// One column for a verdict. [`LEGEND`] explains it.
pub(crate) fn mark(verdict: Verdict) -> char {
    match verdict {
        Verdict::Pass => '✓',
        Verdict::Fail => '✗',
        Verdict::Flaky => '~',
        Verdict::Lost | Verdict::Timeout => '!',
        Verdict::Xfail => 'e',
        Verdict::Xpass => '?',
        Verdict::NotRun => '–',
    }
}

/// What the marks mean, in the order in which a legend lists them.
pub(crate) const LEGEND: [(char, &str); 7] = [
    ('✓', "pass"),
    ('~', "flaky"),
    ('e', "expected failure"),
    ('✗', "FAIL"),
    ('?', "unexpected pass"),
    ('!', "lost or timeout"),
    ('–', "not run"),
];

/// The legend of the marks that the grids use; empty when they use none.
pub(crate) fn legend(grids: &[Grid]) -> String {
    let entries = || grids.iter().flat_map(|grid| &grid.rows).flat_map(|row| row.entries.iter().flatten());
    let used = |char: char| entries().any(|entry| entry.text.chars().eq([char]));
    let items = LEGEND.iter().filter(|(char, _)| used(*char)).map(|(char, meaning)| format!("{char} {meaning}"));
    items.collect::<Vec<_>>().join("   ")
}

//! What a reader must know besides the table: [`Finding`], one per cause however many cells it hit, and the [`Tally`].

use std::collections::HashMap;

use crate::report::cells::{self, Place};
use crate::report::text;
use crate::run::outcome::{Attempt, CellOutcome, PhaseName, RunOutcome, TestRecord, TestResult, Verdict};

/// One cause of verdicts other than a pass.
#[derive(Debug)]
pub(crate) struct Finding<'a> {
    pub(crate) verdict: Verdict,
    /// The test; `None` when it is about whole cells.
    pub(crate) test: Option<&'a TestRecord>,
    /// The phase that ended the cells.
    pub(crate) phase: Option<PhaseName>,
    /// What happened, in one line, as the first of the cells has it.
    pub(crate) line: String,
    /// Whether it has other numbers in other cells.
    pub(crate) varies: bool,
    /// What happened, in full, as the first of the cells has it.
    pub(crate) message: String,
    /// The cells that it hit; never empty.
    pub(crate) cells: Vec<&'a CellOutcome>,
    /// The log of the first of them, relative to the run's directory.
    pub(crate) log: Option<String>,
}

impl Finding<'_> {
    /// What it is about: a test, a phase, or nothing in particular.
    pub(crate) fn subject(&self) -> String {
        match (self.test, self.phase) {
            (Some(test), _) => text::one_line(&test.name),
            (None, Some(phase)) => format!("in {phase}"),
            (None, None) => String::new(),
        }
    }

    /// The places of the cells that it hit.
    pub(crate) fn places(&self) -> Vec<Place<'_>> {
        self.cells.iter().map(|cell| cells::place(cell)).collect()
    }

    /// The way out, where the error behind a loss knows one.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = self.message.lines().map(str::trim).find(|line| line.starts_with("hint: "));
        hint.filter(|_| self.test.is_none()).map(text::one_line)
    }
}

/// The order in which findings are shown: what needs a person comes first.
const ORDER: [Verdict; 7] =
    [Verdict::Fail, Verdict::Xpass, Verdict::Timeout, Verdict::Lost, Verdict::Flaky, Verdict::Xfail, Verdict::NotRun];

/// Every finding of the run, the gravest first, else in the order of the plan.
pub(crate) fn all(run: &RunOutcome) -> Vec<Finding<'_>> {
    let mut findings: Vec<Finding<'_>> = vec![];
    let mut places = HashMap::new();
    for found in run.cells.iter().flat_map(of_cell) {
        let test = found.test.map(|test| (&test.binary, &test.name));
        let llvm = found.cells.first().map(|cell| cell.llvm);
        let alike = without_numbers(&found.line, llvm);
        let place = *places.entry((found.verdict, test, found.phase, alike)).or_insert(findings.len());
        match findings.get_mut(place) {
            Some(known) => {
                known.varies |= known.line != found.line;
                known.cells.extend(found.cells);
            }
            None => findings.push(found),
        }
    }
    findings.sort_by_key(|finding| ORDER.iter().position(|verdict| *verdict == finding.verdict));
    findings
}

/// The line without what differs from cell to cell though the cause is the same: addresses, versions and times, numbers of
/// four digits and more, and the LLVM release `llvm`. Other numbers stay: an exit code tells one cause from another.
fn without_numbers(line: &str, llvm: Option<u32>) -> String {
    let llvm = llvm.map(|llvm| llvm.to_string());
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find(|char: char| char.is_ascii_digit()) {
        out += &rest[..start];
        rest = &rest[start..];
        let is_hex = rest.strip_prefix("0x").is_some_and(|hex| hex.starts_with(|char: char| char.is_ascii_hexdigit()));
        let in_number =
            |char: char| if is_hex { char.is_ascii_alphanumeric() } else { char.is_ascii_digit() || char == '.' };
        let end = rest.find(|char| !in_number(char)).unwrap_or(rest.len());
        // A full stop ends the sentence, not the number.
        let number = rest[..end].trim_end_matches('.');
        let differs = is_hex || number.contains('.') || number.len() >= 4 || llvm.as_deref() == Some(number);
        out += if differs { "#" } else { number };
        rest = &rest[number.len()..];
    }
    out + rest
}

/// The findings in one cell: its tests, its loss, or the reason for its verdict.
fn of_cell(cell: &CellOutcome) -> Vec<Finding<'_>> {
    let told = |test: &&TestRecord| !matches!(test.verdict(), Verdict::Pass | Verdict::NotRun);
    let mut findings: Vec<_> = cell.tests().iter().filter(told).map(|test| of_test(cell, test)).collect();
    let blank = |verdict, line: &str, message: &str| Finding {
        verdict,
        test: None,
        phase: None,
        line: text::one_line(line),
        varies: false,
        message: text::clean(message),
        cells: vec![cell],
        log: None,
    };
    let loss = cell.attempts.last().and_then(|attempt| attempt.loss.as_ref());
    match (loss, cell.verdict()) {
        (Some(loss), _) => findings.push(Finding {
            phase: Some(loss.phase),
            log: loss.log.as_deref().map(text::one_line),
            ..blank(loss.verdict, loss.first_line(), &loss.reason)
        }),
        (None, verdict @ (Verdict::Flaky | Verdict::NotRun)) => {
            let reason = cell.reason().unwrap_or_default();
            findings.push(blank(verdict, &reason, &reason));
        }
        (None, _) => {}
    }
    let surprises = cell.attempts.last().into_iter().flat_map(Attempt::surprises);
    findings.extend(surprises.map(|surprise| blank(Verdict::Fail, &surprise, &surprise)));
    findings
}

fn of_test<'a>(cell: &'a CellOutcome, test: &'a TestRecord) -> Finding<'a> {
    let line = text::one_line(&test.why());
    let message = test.message.as_deref().map_or_else(|| line.clone(), text::clean);
    let (verdict, log) = (test.verdict(), test.log.as_deref().map(text::one_line));
    Finding { verdict, test: Some(test), phase: None, line, varies: false, message, cells: vec![cell], log }
}

/// How many cells have which verdict, and how many tests ran.
#[derive(Debug)]
pub(crate) struct Tally {
    counts: Vec<(Verdict, usize)>,
    pub(crate) cells: usize,
    tests: usize,
    /// Those that `project.once` leaves to another cell of the same VM.
    elsewhere: usize,
}

impl Tally {
    pub(crate) fn of(run: &RunOutcome) -> Self {
        let mut counts: Vec<(Verdict, usize)> = [Verdict::Pass].into_iter().chain(ORDER).map(|v| (v, 0)).collect();
        for verdict in run.cells.iter().map(CellOutcome::verdict) {
            counts.iter_mut().filter(|(known, _)| *known == verdict).for_each(|(_, count)| *count += 1);
        }
        let ran = |test: &&TestRecord| test.result != TestResult::NotRun;
        let tests = run.cells.iter().flat_map(CellOutcome::tests).filter(ran).count();
        let elsewhere = run.cells.iter().filter_map(|cell| cell.attempts.last()).map(|last| last.elsewhere).sum();
        Self { counts, cells: run.cells.len(), tests, elsewhere }
    }

    /// `30 tests`, or `30 tests, 6 not repeated`: what ran, and what did not because one LLVM of each VM is enough.
    pub(crate) fn tests(&self) -> String {
        let ran = text::count(self.tests, "test");
        if self.elsewhere == 0 { ran } else { format!("{ran}, {} not repeated", self.elsewhere) }
    }

    /// `8 pass`, `1 fail`, `0 lost` and what else there is.
    pub(crate) fn words(&self) -> Vec<(Verdict, String)> {
        let always = |verdict| matches!(verdict, Verdict::Pass | Verdict::Fail | Verdict::Lost);
        let shown = self.counts.iter().filter(|(verdict, count)| *count > 0 || always(*verdict));
        shown.map(|(verdict, count)| (*verdict, format!("{count} {}", verdict.name().replace('_', " ")))).collect()
    }
}

/// How long the run took, or that it did not end.
pub(crate) fn wall_time(run: &RunOutcome) -> String {
    match run.finished {
        Some(finished) => text::seconds(finished.duration_since(run.started).as_secs_f64()),
        None => "unfinished".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_alike_that_differ_in_addresses_versions_and_long_numbers_only() {
        let alike = |one, other| without_numbers(one, Some(21)) == without_numbers(other, Some(22));
        assert!(alike("bad address 0xffff8000deadbeef.", "bad address 0x1f."));
        assert!(alike("on 6.1.0-56-cloud", "on 6.12.117-56-cloud"));
        assert!(alike("ends after 1.25 s", "ends after 13.5 s"));
        assert!(alike("process 12345 is gone", "process 4711 is gone"));
        assert!(alike("not with LLVM 21: error", "not with LLVM 22: error"));
        assert!(!alike("exit code 1", "exit code 2"));
        assert!(!alike("not with LLVM 19", "not with LLVM 22"));
        assert!(!alike("left: 3", "right: 3"));
        assert_eq!(without_numbers("a 0x, 12. 日本 3.", None), "a 0x, 12. 日本 3.");
    }
}

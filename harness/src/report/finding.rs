//! What a reader must know besides the table: [`Finding`], one per cause however many cells it hit, and the [`Tally`].

use std::collections::HashMap;

use crate::report::text;
use crate::run::outcome::{CellOutcome, PhaseName, RunOutcome, TestRecord, TestResult, Verdict};

/// One cause of verdicts other than a pass.
#[derive(Debug)]
pub(crate) struct Finding<'a> {
    pub(crate) verdict: Verdict,
    /// The test; `None` when it is about whole cells.
    pub(crate) test: Option<&'a TestRecord>,
    /// The phase that ended the cells.
    pub(crate) phase: Option<PhaseName>,
    /// What happened, in one line.
    pub(crate) line: String,
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

    /// The way out, where the error behind a loss knows one.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = self.message.lines().map(str::trim).find(|line| line.starts_with("hint: "));
        hint.filter(|_| self.test.is_none()).map(text::one_line)
    }

    /// The names of the cells, those of one kernel as `x86_64/6.12/llvm{21,22}`; or how many there are when that is all of
    /// the run's.
    pub(crate) fn cell_list(&self, run: &RunOutcome, most: usize) -> Vec<String> {
        let hit = self.cells.len();
        if hit > 1 && hit == run.cells.len() {
            return vec![format!("all {hit} cells")];
        }
        let kernels = self.cells.chunk_by(|one, other| one.arch == other.arch && one.kernel.name == other.kernel.name);
        let mut names: Vec<String> = kernels.clone().take(most).map(name_kernel).collect();
        let shown: usize = kernels.take(most).map(<[_]>::len).sum();
        if hit > shown {
            names.push(format!("and {} more", hit - shown));
        }
        names
    }
}

/// The name that the cells of one kernel share.
fn name_kernel(cells: &[&CellOutcome]) -> String {
    match cells {
        [cell] => text::one_line(&cell.id),
        [first, ..] => {
            let llvms: Vec<String> = cells.iter().map(|cell| cell.llvm.to_string()).collect();
            format!("{}/{}/llvm{{{}}}", first.arch, text::one_line(&first.kernel.name), llvms.join(","))
        }
        [] => String::new(),
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
        let place = *places.entry((found.verdict, test, found.phase, found.line.clone())).or_insert(findings.len());
        match findings.get_mut(place) {
            Some(known) => known.cells.extend(found.cells),
            None => findings.push(found),
        }
    }
    findings.sort_by_key(|finding| ORDER.iter().position(|verdict| *verdict == finding.verdict));
    findings
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
    findings
}

fn of_test<'a>(cell: &'a CellOutcome, test: &'a TestRecord) -> Finding<'a> {
    let line = text::one_line(&test.why());
    let message = test.message.as_deref().map_or_else(|| line.clone(), text::clean);
    let (verdict, log) = (test.verdict(), test.log.as_deref().map(text::one_line));
    Finding { verdict, test: Some(test), phase: None, line, message, cells: vec![cell], log }
}

/// How many cells have which verdict, and how many tests ran.
#[derive(Debug)]
pub(crate) struct Tally {
    counts: Vec<(Verdict, usize)>,
    pub(crate) cells: usize,
    pub(crate) tests: usize,
}

impl Tally {
    pub(crate) fn of(run: &RunOutcome) -> Self {
        let mut counts: Vec<(Verdict, usize)> = [Verdict::Pass].into_iter().chain(ORDER).map(|v| (v, 0)).collect();
        for verdict in run.cells.iter().map(CellOutcome::verdict) {
            counts.iter_mut().filter(|(known, _)| *known == verdict).for_each(|(_, count)| *count += 1);
        }
        let ran = |test: &&TestRecord| test.result != TestResult::NotRun;
        let tests = run.cells.iter().flat_map(CellOutcome::tests).filter(ran).count();
        Self { counts, cells: run.cells.len(), tests }
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

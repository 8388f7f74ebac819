//! `junit.xml`: a run for the test views of CI services. One suite per cell; [`write()`] makes it.

use std::io::{self, Write};
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};

use crate::report::text;
use crate::run::outcome::{Capability, CellOutcome, RunOutcome, TestRecord, Verdict};

/// Writes the run as JUnit XML. A failed test is a failure; a lost VM and a missed deadline are errors; what failed as
/// expected or did not run is skipped, with the reason.
///
/// # Errors
///
/// Fails when the writer does.
pub fn write(run: &RunOutcome, writer: impl Write) -> io::Result<()> {
    let mut report = Report::new("ukci");
    if let Some(finished) = run.finished {
        report.set_time(duration(finished.duration_since(run.started).as_secs_f64()));
    }
    report.add_test_suites(run.cells.iter().map(suite));
    report.serialize(writer).map_err(io::Error::other)
}

fn suite(cell: &CellOutcome) -> TestSuite {
    let mut suite = TestSuite::new(text::one_line(&cell.id));
    suite.set_time(duration(cell.seconds()));
    suite.add_property(("kernel", text::one_line(&cell.kernel.release).as_str()));
    suite.add_property(("verdict", cell.verdict().name()));
    suite.add_test_cases(cell.tests().iter().map(|test| case(cell, test)));
    // A cell without tests must not look like one that was never asked for, nor a lost VM like skipped tests.
    match cell.attempts.last().and_then(|attempt| attempt.loss.as_ref()) {
        Some(loss) => {
            let mut status = TestCaseStatus::non_success(kind(loss.verdict));
            describe(&mut status, loss.verdict, loss.first_line(), &loss.reason);
            suite.add_test_case(whole_cell(cell, &format!("vm: {}", loss.phase), status));
        }
        None if cell.tests().is_empty() => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(text::one_line(&cell.reason().unwrap_or_default()));
            suite.add_test_case(whole_cell(cell, "cell", status));
        }
        None => {}
    }
    for (capability, surprise) in surprises(cell) {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        describe(&mut status, Verdict::Fail, &surprise, "");
        suite.add_test_case(whole_cell(cell, &format!("capability: {}", text::one_line(&capability.name)), status));
    }
    suite
}

/// The capabilities of the cell's kernel that are not as expected.
fn surprises(cell: &CellOutcome) -> impl Iterator<Item = (&Capability, String)> {
    let capabilities = cell.attempts.last().into_iter().flat_map(|attempt| &attempt.capabilities);
    capabilities.filter_map(|capability| Some((capability, capability.surprise()?)))
}

/// A test case that stands for the cell rather than for a test.
fn whole_cell(cell: &CellOutcome, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(text::one_line(&cell.id)).set_time(duration(cell.seconds()));
    case
}

fn case(cell: &CellOutcome, test: &TestRecord) -> TestCase {
    let mut status = match test.verdict() {
        Verdict::Pass | Verdict::Flaky => TestCaseStatus::success(),
        Verdict::Xfail | Verdict::NotRun => TestCaseStatus::skipped(),
        verdict @ (Verdict::Fail | Verdict::Xpass | Verdict::Timeout | Verdict::Lost) => {
            TestCaseStatus::non_success(kind(verdict))
        }
    };
    let mut line = test.why();
    if line.is_empty() {
        let loss = cell.attempts.last().and_then(|attempt| attempt.loss.as_ref());
        line = loss.map_or("interrupted", |_| "its VM was lost").to_owned();
    }
    describe(&mut status, test.verdict(), &line, test.message.as_deref().unwrap_or_default());
    status.add_reruns(earlier_failures(cell, test).map(rerun));
    let mut case = TestCase::new(text::one_line(&test.name), status);
    case.set_classname(text::one_line(&test.binary)).set_time(duration(test.seconds));
    case
}

/// What the test did in the attempts before the last one, where it did not pass.
fn earlier_failures<'a>(cell: &'a CellOutcome, test: &'a TestRecord) -> impl Iterator<Item = &'a TestRecord> {
    let earlier = cell.attempts.split_last().map_or(&[][..], |(_, earlier)| earlier);
    let same = |other: &&TestRecord| other.binary == test.binary && other.name == test.name;
    let failed = |other: &&TestRecord| matches!(other.verdict(), Verdict::Fail | Verdict::Timeout | Verdict::Xpass);
    earlier.iter().flat_map(|attempt| &attempt.tests).filter(same).filter(failed)
}

fn rerun(test: &TestRecord) -> TestRerun {
    let mut rerun = TestRerun::new(kind(test.verdict()));
    rerun.set_time(duration(test.seconds)).set_type(test.verdict().name()).set_message(text::one_line(&test.why()));
    if let Some(message) = &test.message {
        rerun.set_description(text::clean(message));
    }
    rerun
}

/// Says what happened, in a line and in full where that is more.
fn describe(status: &mut TestCaseStatus, verdict: Verdict, line: &str, message: &str) {
    let line = text::fit(&text::one_line(line), 300);
    let message = text::clean(message);
    let more = message.trim() != line && !message.is_empty();
    status.set_type(verdict.name()).set_message(line);
    if more {
        status.set_description(message);
    }
}

fn kind(verdict: Verdict) -> NonSuccessKind {
    if matches!(verdict, Verdict::Lost | Verdict::Timeout) { NonSuccessKind::Error } else { NonSuccessKind::Failure }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

//! What happened: [`RunOutcome`] holds one [`CellOutcome`] per cell. A verdict is computed from the record, never stored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::matrix::Arch;

mod usage;
mod verdict;

pub use usage::{JobUse, VmUse};
pub use verdict::{PhaseName, Verdict};

/// A phase that ended, well or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Which one.
    pub name: PhaseName,
    /// Its wall time in seconds.
    pub seconds: f64,
}

/// How one execution of one test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestResult {
    /// Exactly one test ran, it passed, and the kernel did not complain meanwhile.
    Passed,
    /// The test failed, died by a signal, did not run, or the kernel complained while it ran.
    Failed,
    /// The test was still running at its deadline and was killed.
    TimedOut,
    /// The VM was lost before the test ended, or before it began.
    NotRun,
}

/// One execution of one test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestRecord {
    /// The test executable's name, as cargo calls the target, for example `tracer::exec`.
    pub binary: String,
    /// The test's path, as libtest lists it.
    pub name: String,
    /// How it ended.
    pub result: TestResult,
    /// Its wall time in seconds.
    pub seconds: f64,
    /// What to tell a person who asks why: the panic's line, the signal, the kernel's complaint. `None` when it passed.
    pub message: Option<String>,
    /// The reason of the expectation that says that this test fails here.
    pub expected_failure: Option<String>,
    /// The log of its output, relative to the run's directory.
    pub log: Option<String>,
}

impl TestRecord {
    /// What this execution amounts to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match (self.result, &self.expected_failure) {
            (TestResult::Passed, None) => Verdict::Pass,
            (TestResult::Passed, Some(_)) => Verdict::Xpass,
            (TestResult::Failed | TestResult::TimedOut, Some(_)) => Verdict::Xfail,
            (TestResult::Failed, None) => Verdict::Fail,
            (TestResult::TimedOut, None) => Verdict::Timeout,
            (TestResult::NotRun, _) => Verdict::NotRun,
        }
    }

    /// The test's name and, in one line, what to know about its verdict.
    #[must_use]
    pub fn explain(&self) -> String {
        match self.why() {
            why if why.is_empty() => self.name.clone(),
            why => format!("{}: {why}", self.name),
        }
    }

    /// What to know about the verdict: one line, empty when there is nothing to say.
    #[must_use]
    pub fn why(&self) -> String {
        let message = first_line(self.message.as_deref().unwrap_or_default());
        match (self.verdict(), &self.expected_failure) {
            (Verdict::Xfail, Some(expectation)) => format!("expected: {}", first_line(expectation)),
            (Verdict::Xpass, Some(expectation)) => format!("passed, but should fail: {}", first_line(expectation)),
            (Verdict::Timeout, _) if message.is_empty() => "still running at its deadline".into(),
            (Verdict::Fail, _) if message.is_empty() => "failed and left no message".into(),
            _ => message.to_owned(),
        }
    }
}

/// The first line that says something.
fn first_line(text: &str) -> &str {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}

/// Why an attempt ended before all of its tests did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// [`Verdict::Lost`], [`Verdict::Timeout`], or [`Verdict::Fail`] for a bundle that does not compile.
    pub verdict: Verdict,
    /// The phase in which it happened.
    pub phase: PhaseName,
    /// What happened, for a person: one line, then details.
    pub reason: String,
    /// The log that tells more, relative to the run's directory.
    pub log: Option<String>,
}

impl Loss {
    /// The line of the reason that sums it up.
    #[must_use]
    pub fn first_line(&self) -> &str {
        first_line(&self.reason)
    }
}

/// One try at a cell. A retry appends another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The phases that were entered, in order.
    pub phases: Vec<Phase>,
    /// The tests in the order in which they ran; those that the loss of the VM prevented come last. While the attempt is
    /// going on, those that are still to come stand here as [`TestResult::NotRun`]: a killed run must not look complete.
    pub tests: Vec<TestRecord>,
    /// `None` when the attempt came to its end.
    pub loss: Option<Loss>,
}

/// The kernel of a cell, as the table and scripts name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KernelId {
    /// The matrix's name of the row, for example `6.12`.
    pub name: String,
    /// What `uname -r` prints, for example `6.12.117+deb13-cloud-amd64`.
    pub release: String,
    /// The archive's package that holds the image.
    pub package: Option<String>,
    /// The version of that package.
    pub version: Option<String>,
}

/// Everything that is known about one cell after a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellOutcome {
    /// `arch/kernel/llvmN`, for example `x86_64/6.12/llvm22`.
    pub id: String,
    /// The guest's architecture.
    pub arch: Arch,
    /// The kernel.
    pub kernel: KernelId,
    /// The LLVM release that compiled the BPF side.
    pub llvm: u32,
    /// Why the cell did not run at all, for one that was never attempted.
    pub not_run: Option<String>,
    /// Every try, the first one first.
    pub attempts: Vec<Attempt>,
}

impl CellOutcome {
    /// What the cell amounts to: the worst of its last attempt, or [`Verdict::Flaky`] when there were earlier attempts
    /// and the last one is clean.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let Some(last) = self.attempts.last() else { return Verdict::NotRun };
        let loss = last.loss.as_ref().map(|loss| loss.verdict);
        match last.tests.iter().map(TestRecord::verdict).chain(loss).max() {
            None => Verdict::NotRun,
            Some(Verdict::Pass) if self.attempts.len() > 1 => Verdict::Flaky,
            Some(worst) => worst,
        }
    }

    /// Why the verdict is not a plain pass: one line.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let Some(last) = self.attempts.last() else {
            return Some(self.not_run.clone().unwrap_or_else(|| "interrupted before it began".into()));
        };
        match self.verdict() {
            Verdict::Pass => None,
            Verdict::Flaky => Some(self.earlier_trouble().unwrap_or_else(|| "ran more than once".into())),
            Verdict::NotRun if last.loss.is_none() => Some(Self::why_not_run(last)),
            verdict => match &last.loss {
                Some(loss) if loss.verdict == verdict => Some(format!("in {}: {}", loss.phase, loss.first_line())),
                _ => last.tests.iter().find(|test| test.verdict() == verdict).map(TestRecord::explain),
            },
        }
    }

    /// What went wrong in an attempt before the last one.
    fn earlier_trouble(&self) -> Option<String> {
        let (_, earlier) = self.attempts.split_last()?;
        earlier.iter().enumerate().find_map(|(index, attempt)| {
            let number = index + 1;
            let failed = || attempt.tests.iter().find(|test| !test.verdict().is_expected());
            match &attempt.loss {
                Some(loss) => Some(format!("attempt {number} ended in {}: {}", loss.phase, loss.first_line())),
                None => failed().map(|test| format!("attempt {number}: {}", test.explain())),
            }
        })
    }

    fn why_not_run(attempt: &Attempt) -> String {
        let waiting = attempt.tests.iter().filter(|test| test.result == TestResult::NotRun).count();
        match attempt.phases.last() {
            _ if waiting > 0 => format!("interrupted: {waiting} of {} tests did not run", attempt.tests.len()),
            Some(phase) if phase.name >= PhaseName::List => "the bundle has no tests to run".into(),
            Some(phase) => format!("interrupted in {}", phase.name),
            None => "interrupted before its first phase".into(),
        }
    }

    /// Whether the cell was to run and did not come to its end, although nothing in it went wrong.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        let listed = |attempt: &Attempt| attempt.phases.last().is_some_and(|phase| phase.name >= PhaseName::List);
        match self.attempts.last() {
            None => self.not_run.is_none(),
            Some(last) if last.loss.is_some() => false,
            Some(last) if last.tests.is_empty() => !listed(last),
            Some(last) => last.tests.iter().any(|test| test.result == TestResult::NotRun),
        }
    }

    /// The wall time of all phases of all attempts, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.attempts.iter().flat_map(|attempt| &attempt.phases).map(|phase| phase.seconds).sum()
    }

    /// The tests of the last attempt.
    #[must_use]
    pub fn tests(&self) -> &[TestRecord] {
        self.attempts.last().map_or(&[], |attempt| &attempt.tests)
    }
}

/// How the guests were run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostId {
    /// The processors that this machine has.
    pub cores: usize,
    /// `tcg` or `kvm`.
    pub accel: String,
    /// QEMU's version, for example `10.0.13`.
    pub qemu: String,
}

/// Everything that is known about a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunOutcome {
    /// The version of this record's layout: 1.
    pub schema: u32,
    /// The run's name: its start in UTC, which is also its directory's name.
    pub id: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; `None` for a run that is going on or was killed.
    pub finished: Option<Timestamp>,
    /// The machine that ran it.
    pub host: HostId,
    /// The cells, in the plan's order.
    pub cells: Vec<CellOutcome>,
    /// What the jobs took of the machine, in the order in which they were ready to boot.
    #[serde(default)]
    pub jobs: Vec<JobUse>,
}

impl RunOutcome {
    /// The exit code that the run deserves: 0, 3, 4 or 130, as the README lists them. A test that timed out has failed;
    /// a cell whose VM did is lost.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let verdicts = || self.cells.iter().map(CellOutcome::verdict);
        let test_timed_out =
            self.cells.iter().flat_map(CellOutcome::tests).any(|test| test.verdict() == Verdict::Timeout);
        if test_timed_out || verdicts().any(|verdict| matches!(verdict, Verdict::Fail | Verdict::Xpass)) {
            4
        } else if !verdicts().all(Verdict::is_expected) {
            3
        } else if self.cells.iter().any(CellOutcome::is_interrupted) {
            130
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests;

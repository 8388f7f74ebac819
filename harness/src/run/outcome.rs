//! What happened: [`RunOutcome`] holds one [`CellOutcome`] per cell. A verdict is computed from the record, never stored.

use serde::{Deserialize, Serialize};

use crate::archive::Sha256;
use crate::matrix::Arch;

mod capability;
mod coverage;
mod usage;
mod verdict;
mod whole;

pub use capability::Capability;
pub use coverage::{CoverageFailure, CoverageRecord};
pub use usage::{JobUse, VmUse};
pub use verdict::{PhaseName, Verdict};
pub use whole::{HostId, PlanId, RunOutcome};

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
    /// The files that it left in `UKCI_ARTIFACTS`, sorted; relative to the directory `cells/<id>` of its cell.
    #[serde(default)]
    pub artifacts: Vec<String>,
}

impl TestRecord {
    /// Of a test that has not run yet.
    #[must_use]
    pub fn waiting(binary: &str, name: &str) -> Self {
        Self {
            binary: binary.to_owned(),
            name: name.to_owned(),
            result: TestResult::NotRun,
            seconds: 0.0,
            message: None,
            expected_failure: None,
            log: None,
            artifacts: Vec::new(),
        }
    }

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
    /// How many tests are not among them because `project.once` leaves them to the newest LLVM of the VM.
    #[serde(default)]
    pub elsewhere: usize,
    /// What its tests reported of the kernel, and what was expected of it, by name. Empty until all of them have ended.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// What came of its coverage pass, for an attempt that has one.
    #[serde(default)]
    pub coverage: Option<CoverageRecord>,
    /// `None` when the attempt came to its end.
    pub loss: Option<Loss>,
}

impl Attempt {
    /// Whether it was cut short by the end of ukci: it has no loss, and something was still to be done.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        let listed = || self.phases.last().is_some_and(|phase| phase.name >= PhaseName::List);
        match self.tests.as_slice() {
            _ if self.loss.is_some() => false,
            [] => !listed(),
            tests => tests.iter().any(|test| test.result == TestResult::NotRun),
        }
    }

    /// What was found of the kernel's capabilities that was not expected, each in one line.
    pub fn surprises(&self) -> impl Iterator<Item = String> {
        self.capabilities.iter().filter_map(Capability::surprise)
    }

    /// Whether it says something about the cell: it came to its end, or a test in it went wrong before it was cut short.
    fn is_evidence(&self) -> bool {
        !self.is_interrupted() || self.tests.iter().any(|test| !test.verdict().is_expected())
    }
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

/// What a cell was made from; each is `None` until it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inputs {
    /// What the kernel consists of.
    pub kernel: Option<Sha256>,
    /// The guest image: user land, and which modules are loaded. The same for every kernel of an architecture.
    pub image: Option<Sha256>,
    /// The names and contents of the test executables.
    pub bundle: Option<Sha256>,
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
    /// Its place in the whole plan, from 0, also where the run is only a part of the plan.
    #[serde(default)]
    pub position: usize,
    /// What it was made from.
    #[serde(default)]
    pub inputs: Inputs,
    /// Why the cell did not run at all, for one that was never attempted.
    pub not_run: Option<String>,
    /// Every try, the first one first.
    pub attempts: Vec<Attempt>,
}

impl CellOutcome {
    /// What the cell amounts to: the worst of its last attempt, or [`Verdict::Flaky`] when that one is clean and an earlier
    /// one was not. An attempt that was merely cut short is no evidence of anything.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let Some(last) = self.attempts.last() else { return Verdict::NotRun };
        let loss = last.loss.as_ref().map(|loss| loss.verdict);
        let surprise = last.surprises().next().map(|_| Verdict::Fail);
        match last.tests.iter().map(TestRecord::verdict).chain(loss).chain(surprise).max() {
            None => Verdict::NotRun,
            Some(Verdict::Pass) if self.earlier_attempts().any(Attempt::is_evidence) => Verdict::Flaky,
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
                _ => {
                    let test = last.tests.iter().find(|test| test.verdict() == verdict).map(TestRecord::explain);
                    test.or_else(|| last.surprises().next())
                }
            },
        }
    }

    /// The attempts before the last one.
    fn earlier_attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.split_last().map_or(&[][..], |(_, earlier)| earlier).iter()
    }

    /// What went wrong in an attempt before the last one.
    fn earlier_trouble(&self) -> Option<String> {
        self.earlier_attempts().enumerate().find_map(|(index, attempt)| {
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
            Some(phase) if phase.name >= PhaseName::List && attempt.elsewhere > 0 => {
                "all of its tests run once per VM, with the newest LLVM".into()
            }
            Some(phase) if phase.name >= PhaseName::List => "the bundle has no tests to run".into(),
            Some(phase) => format!("interrupted in {}", phase.name),
            None => "interrupted before its first phase".into(),
        }
    }

    /// Whether the cell was to run and did not come to its end, although nothing in it went wrong.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.attempts.last().map_or(self.not_run.is_none(), Attempt::is_interrupted)
    }

    /// Whether the verdict says something about the program, so that a resumed run keeps it: the cell came to its end, and
    /// it is not the VM that was lost or missed a deadline.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self.verdict() {
            _ if self.is_interrupted() => false,
            Verdict::Lost => false,
            Verdict::Timeout => self.tests().iter().any(|test| test.verdict() == Verdict::Timeout),
            Verdict::Pass | Verdict::Flaky | Verdict::Xfail | Verdict::NotRun | Verdict::Xpass | Verdict::Fail => true,
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

#[cfg(test)]
mod tests;

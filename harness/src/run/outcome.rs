//! What happened: [`RunOutcome`] holds one [`CellOutcome`] per cell. A verdict is computed from the record, never stored.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::matrix::Arch;

/// What a test or a cell amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything passed at the first attempt.
    Pass,
    /// Everything passed, but not at the first attempt.
    Flaky,
    /// Failed as an expectation of the matrix says.
    Xfail,
    /// Did not run; the reason says why.
    NotRun,
    /// Its VM was lost in the named phase.
    Lost,
    /// A deadline passed in the named phase.
    Timeout,
    /// Passed although an expectation says that it fails.
    Xpass,
    /// Failed.
    Fail,
}

impl Verdict {
    /// The name in `run.json`, which is also the word that people read.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Flaky => "flaky",
            Self::Fail => "fail",
            Self::Xfail => "xfail",
            Self::Xpass => "xpass",
            Self::Lost => "lost",
            Self::Timeout => "timeout",
            Self::NotRun => "not_run",
        }
    }

    /// Whether this is what the matrix expects.
    #[must_use]
    pub fn is_expected(self) -> bool {
        matches!(self, Self::Pass | Self::Flaky | Self::Xfail | Self::NotRun)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A stage in the life of a job. `run.json` and the directories of logs use these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseName {
    /// Fetching the kernel and making the initramfs.
    Provision,
    /// Compiling the bundle.
    Build,
    /// From QEMU's exec to the ready line on the console.
    Boot,
    /// From the ready line to an authenticated ssh session.
    Connect,
    /// Listing the ignored tests of the executables.
    List,
    /// Running the tests.
    Test,
    /// From the power-off request to the end of QEMU.
    PowerOff,
}

impl fmt::Display for PhaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Provision => "provision",
            Self::Build => "build",
            Self::Boot => "boot",
            Self::Connect => "connect",
            Self::List => "list",
            Self::Test => "test",
            Self::PowerOff => "power_off",
        })
    }
}

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
}

/// One try at a cell. A retry appends another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The phases that were entered, in order.
    pub phases: Vec<Phase>,
    /// The tests in the order in which they ran; those that the loss of the VM prevented come last.
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
    /// What the cell amounts to: the worst of its last attempt, or [`Verdict::Flaky`] when an earlier attempt was lost
    /// and the last one is clean.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let Some(last) = self.attempts.last() else { return Verdict::NotRun };
        if let Some(loss) = &last.loss {
            return last.tests.iter().map(TestRecord::verdict).chain([loss.verdict]).max().unwrap_or(loss.verdict);
        }
        let worst = last.tests.iter().map(TestRecord::verdict).max().unwrap_or(Verdict::NotRun);
        match worst {
            Verdict::Pass if self.attempts.len() > 1 => Verdict::Flaky,
            worst => worst,
        }
    }

    /// Why the verdict is not a plain pass: one line.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let Some(last) = self.attempts.last() else {
            return Some(self.not_run.clone().unwrap_or_else(|| "interrupted before it began".into()));
        };
        let first_line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
        match self.verdict() {
            Verdict::Pass => None,
            Verdict::Flaky => self
                .attempts
                .iter()
                .find_map(|attempt| attempt.loss.as_ref())
                .map(|loss| format!("attempt 1 ended in {}: {}", loss.phase, first_line(&loss.reason))),
            verdict => match &last.loss {
                Some(loss) if loss.verdict == verdict => {
                    Some(format!("in {}: {}", loss.phase, first_line(&loss.reason)))
                }
                _ => last
                    .tests
                    .iter()
                    .find(|test| test.verdict() == verdict)
                    .map(|test| {
                        let message = test.message.as_deref().or(test.expected_failure.as_deref()).unwrap_or_default();
                        format!("{}: {}", test.name, first_line(message))
                    })
                    .or_else(|| Some("the bundle has no tests to run".into())),
            },
        }
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
}

impl RunOutcome {
    /// The exit code that the run deserves: 0, 3 or 4, as the README lists them.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let verdicts = || self.cells.iter().map(CellOutcome::verdict);
        let test_timed_out =
            self.cells.iter().flat_map(CellOutcome::tests).any(|test| test.verdict() == Verdict::Timeout);
        if test_timed_out || verdicts().any(|verdict| matches!(verdict, Verdict::Fail | Verdict::Xpass)) {
            4
        } else if verdicts().all(Verdict::is_expected) {
            0
        } else {
            3
        }
    }
}

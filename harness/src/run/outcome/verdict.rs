//! The words of a record: [`Verdict`] says how something ended, [`PhaseName`] where in a job.

use std::fmt;

use serde::{Deserialize, Serialize};

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
    /// Waiting until a VM more can be carried. Shown, not recorded: it tells nothing about the cell.
    Queue,
    /// From QEMU's exec to the ready line on the console.
    Boot,
    /// From the ready line to an authenticated ssh session.
    Connect,
    /// Listing the ignored tests of the executables.
    List,
    /// Running the tests.
    Test,
    /// Running them once more to see what they reach. It is not judged.
    Coverage,
    /// From the power-off request to the end of QEMU.
    PowerOff,
}

impl fmt::Display for PhaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Provision => "provision",
            Self::Build => "build",
            Self::Queue => "queue",
            Self::Boot => "boot",
            Self::Connect => "connect",
            Self::List => "list",
            Self::Test => "test",
            Self::Coverage => "coverage",
            Self::PowerOff => "power_off",
        })
    }
}

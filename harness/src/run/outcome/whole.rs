//! The outcome of a run as a whole: [`RunOutcome`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CellOutcome, JobUse, Verdict};
use crate::matrix::Shard;

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

/// The whole plan that a run carries out, or carries out a part of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanId {
    /// How many cells it has.
    pub cells: usize,
    /// The SHA-256, in hexadecimal, of the cells' ids in the plan's order, each with a line feed behind it.
    pub fingerprint: String,
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
    /// When it was taken up again, oldest first.
    #[serde(default)]
    pub resumed: Vec<Timestamp>,
    /// The machine that ran it; of a merged run, the first one.
    pub host: HostId,
    /// The machines of a merged run, each that differs from those before it; empty for a run of one machine.
    #[serde(default)]
    pub hosts: Vec<HostId>,
    /// The plan; `None` in a record of an older ukci.
    #[serde(default)]
    pub plan: Option<PlanId>,
    /// Which part of the plan this is; `None` for all of it.
    #[serde(default)]
    pub shard: Option<Shard>,
    /// The globs that chose the tests; empty when all ran.
    #[serde(default)]
    pub test_globs: Vec<String>,
    /// Whether tests ran once more with coverage.
    #[serde(default)]
    pub coverage: bool,
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

//! What a run tells whoever watches it: [`Event`]. The run prints nothing itself.

use std::path::PathBuf;

use crate::run::outcome::{CellOutcome, PhaseName, RunOutcome, TestRecord};

/// The VM that an event is about: `arch/kernel`, for example `x86_64/6.12`.
pub type JobId = String;

/// Something that happened in a run.
#[derive(Clone, Debug)]
pub enum Event {
    /// The plan is made and the run's directory exists.
    Started {
        /// The run's name.
        id: String,
        /// Where its results and logs go.
        directory: PathBuf,
        /// VMs that will boot.
        jobs: usize,
        /// Cells that will run.
        cells: usize,
    },
    /// A step of provisioning begins: a download, a compilation.
    StepStarted {
        /// What is made, for a person; also the key of the step, so no two that run at once share one.
        name: String,
        /// How many bytes there are to fetch, when that is known.
        total_bytes: Option<u64>,
    },
    /// A step of provisioning got further. Send it a few times a second at most.
    StepAdvanced {
        /// Which step.
        name: String,
        /// Bytes that are there by now, since the beginning of the step.
        bytes: u64,
    },
    /// A step of provisioning is over, well or not.
    StepFinished {
        /// Which step.
        name: String,
    },
    /// A job entered a phase.
    Phase {
        /// Which job.
        job: JobId,
        /// Which phase.
        phase: PhaseName,
    },
    /// A test begins.
    TestStarted {
        /// Which job.
        job: JobId,
        /// The test's path.
        test: String,
        /// Tests of this bundle that are done.
        done: usize,
        /// Tests of this bundle.
        total: usize,
    },
    /// A test ended.
    TestFinished {
        /// Which job.
        job: JobId,
        /// Its cell.
        cell: String,
        /// How it ended.
        record: TestRecord,
    },
    /// A job failed in a way that a second attempt may cure, and begins anew.
    Retry {
        /// Which job.
        job: JobId,
        /// Why the first attempt ended.
        reason: String,
    },
    /// A cell has its final verdict.
    CellFinished(Box<CellOutcome>),
    /// A job is over and its VM is gone.
    JobFinished {
        /// Which job.
        job: JobId,
    },
    /// Something that the reader should know and that stops nothing.
    Warning(String),
    /// The run is over; its results are written.
    Finished(Box<RunOutcome>),
}

//! Turns inputs into outcomes: boots the VMs, executes the tests, records what happened, tells who watches.
//!
//! The main entry is [`execute_plan`]; what it leaves is an [`outcome::RunOutcome`].

mod bench;
mod cell;
mod context;
pub mod directory;
pub mod event;
mod execute;
mod guest;
mod job;
pub mod libtest;
mod merge;
pub mod outcome;
mod record;
mod resume;

use std::rc::Rc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use self::bench::{BootTimes, boot_times};
pub use self::execute::TestOptions;
pub use self::merge::{AdoptError, MergeError, ShardRecord, adopt_logs, merge};
pub use self::record::{Observer, Record};
pub use self::resume::{ResumeError, check_inputs, remaining};

use self::directory::RunDirectory;
use self::event::Event;
use self::outcome::{CellOutcome, Inputs, KernelId, PlanId};
use crate::archive::Sha256;
use crate::matrix::Plan;
use crate::provision::{ProvisionError, Provisioner};

/// The cells of `plan`, in which nothing has happened yet.
#[must_use]
pub fn untouched_cells(plan: &Plan) -> Vec<CellOutcome> {
    let cell = |(position, cell): (usize, &crate::matrix::Cell)| CellOutcome {
        id: cell.id.clone(),
        arch: cell.arch,
        kernel: KernelId { name: cell.kernel.clone(), release: String::new(), package: None, version: None },
        llvm: cell.llvm,
        position,
        inputs: Inputs::default(),
        not_run: cell.not_run.clone(),
        attempts: Vec::new(),
    };
    plan.cells().iter().enumerate().map(cell).collect()
}

/// What tells the plan with the cells `ids`, in this order, from others.
pub fn plan_id<'a>(ids: impl IntoIterator<Item = &'a str>) -> PlanId {
    let ids: Vec<&str> = ids.into_iter().collect();
    let lines: String = ids.iter().flat_map(|id| [id, "\n"]).collect();
    PlanId { cells: ids.len(), fingerprint: Sha256::of(lines.as_bytes()).to_string() }
}

/// Runs every job of `plan`, at most `at_once` VMs at a time. Whatever happens is in `record`; dropping the future ends
/// every VM.
///
/// # Errors
/// When no VM could begin, and no kernel is to blame: the network is down, the disk is full. Where only some could not,
/// the others ran, and the record says what was lost.
///
/// Must be polled inside a [`tokio::task::LocalSet`] on the main thread, from which processes are spawned.
pub async fn execute_plan(
    plan: &Plan,
    provisioner: Provisioner,
    tests: TestOptions,
    directory: RunDirectory,
    record: Record,
    at_once: usize,
) -> Result<(), ProvisionError> {
    let (jobs, cells) = (plan.jobs().len(), plan.jobs().iter().map(|job| job.llvm.len()).sum());
    let (id, path) = (directory.id().to_owned(), directory.path().to_owned());
    record.event(&Event::Started { id, directory: path, jobs, cells });
    record.save();
    let slots = Semaphore::new(at_once);
    let context = Rc::new(context::Context { provisioner, tests, directory, record, slots });
    // Dropped with this future, and then every job with it.
    let mut running = JoinSet::new();
    for job in plan.jobs() {
        running.spawn_local(job::run(Rc::clone(&context), job.clone()));
    }
    let mut hindered = Vec::new();
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok(None) => {}
            Ok(Some(hindrance)) => hindered.push(hindrance),
            Err(panic) => context.record.event(&Event::Warning(format!("a bug of ukci ended a job: {panic}"))),
        }
    }
    // What stops every job alike is told once, by whoever called; what stops some is told as the loss of their cells.
    if hindered.len() < plan.jobs().len() {
        for cell in hindered.iter().flat_map(|hindrance| &hindrance.cells) {
            context.record.cell_finished(cell);
        }
        return Ok(());
    }
    match hindered.into_iter().next() {
        Some(hindrance) => Err(hindrance.cause),
        None => Ok(()),
    }
}

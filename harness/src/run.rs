//! Turns inputs into outcomes: boots the VMs, executes the tests, records what happened, tells who watches.
//!
//! The main entry is [`execute_plan`]; what it leaves is an [`outcome::RunOutcome`].

pub mod artifacts;
mod bench;
mod capabilities;
mod cell;
mod context;
mod coverage;
pub mod directory;
pub mod event;
mod execute;
mod guest;
mod history;
mod job;
mod measure;
pub mod libtest;
mod loads;
mod merge;
pub mod outcome;
mod record;
mod resume;
mod schedule;
mod slots;
mod unpack;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

pub use self::bench::{BootTimes, boot_times};
pub use self::capabilities::{Judged, judge};
pub use self::execute::TestOptions;
pub use self::history::History;
pub use self::measure::{Measures, PHASES, Waiting, median};
pub use self::merge::{AdoptError, MergeError, ShardRecord, adopt_logs, merge};
pub use self::record::{Observer, Record};
pub use self::resume::{ResumeError, check_inputs, remaining};
pub use self::schedule::Schedule;
pub use self::slots::Slots;

use self::context::Context;
use self::directory::RunDirectory;
use self::event::Event;
use self::outcome::{CellOutcome, Inputs, KernelId, PlanId};
use crate::matrix::{self, Plan};
use crate::provision::{ProvisionError, Provisioner};

/// The cells of `plan`, in which nothing has happened yet.
#[must_use]
pub fn untouched_cells(plan: &Plan) -> Vec<CellOutcome> {
    let cell = |cell: &matrix::Cell| CellOutcome {
        id: cell.id.clone(),
        arch: cell.arch,
        kernel: KernelId { name: cell.kernel.clone(), release: String::new(), package: None, version: None },
        llvm: cell.llvm,
        position: cell.position,
        inputs: Inputs::default(),
        not_run: cell.not_run.clone(),
        attempts: Vec::new(),
    };
    plan.cells().iter().map(cell).collect()
}

/// What tells the plan with the cells `ids`, in this order, from others.
pub fn plan_id<'a>(ids: impl Iterator<Item = &'a str> + Clone) -> PlanId {
    PlanId { cells: ids.clone().count(), fingerprint: matrix::fingerprint(ids) }
}

/// Jobs whose kernels are fetched and whose images are made at once. More would share the line and the processors, and all
/// be ready late.
const PROVIDING: usize = 4;

/// Bundles that are made at once: one is compiled, and meanwhile the toolchain of the next is fetched.
const BUILDING: usize = 2;

/// Runs every job of `plan` in the order of `schedule`. Whatever happens is in `record`; dropping the future ends
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
    schedule: Schedule,
) -> Result<(), ProvisionError> {
    let (jobs, cells) = (plan.jobs().len(), plan.jobs().iter().map(|job| job.llvm.len()).sum());
    let (id, path) = (directory.id().to_owned(), directory.path().to_owned());
    record.event(&Event::Started { id, directory: path, jobs, cells });
    record.save();
    let jobs = schedule.in_order(plan.jobs());
    let bundles = schedule.bundles(&jobs, tests.coverage.as_ref());
    let context = Rc::new(Context {
        provisioner,
        tests,
        directory,
        record,
        schedule,
        began: Instant::now(),
        providing: Semaphore::new(PROVIDING),
        provided: Notify::new(),
        bundles,
        building: watch::Sender::new(0),
    });
    // Dropped with this future, and then every job with it.
    let mut running = JoinSet::new();
    for job in jobs {
        running.spawn_local(job::run(Rc::clone(&context), job));
    }
    let mut building = JoinSet::new();
    building.spawn_local(build(Rc::clone(&context)));
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

/// Builds the bundles in their order, once the first job has its kernel. Jobs ask for theirs themselves, and are told there what went wrong.
async fn build(context: Rc<Context>) {
    context.provided.notified().await;
    let at_once = Arc::new(Semaphore::new(BUILDING));
    let mut building = JoinSet::new();
    for &key in &context.bundles {
        // OK because the semaphore is never closed.
        let Ok(turn) = Arc::clone(&at_once).acquire_owned().await else { return };
        let task = Rc::clone(&context);
        building.spawn_local(async move {
            drop(task.provisioner.bundle_of(key).await);
            drop(turn);
        });
        context.building.send_modify(|begun| *begun += 1);
    }
    while building.join_next().await.is_some() {}
}

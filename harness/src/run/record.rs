//! Keeps the outcome of a run as it grows, and tells an [`Observer`] of every change.

use std::cell::RefCell;
use std::rc::Rc;

use jiff::Timestamp;

use super::event::Event;
use super::outcome::{
    Attempt, Capability, CellOutcome, CoverageRecord, JobUse, KernelId, Loss, Phase, PhaseName, RunOutcome, TestRecord,
    VmUse,
};
use crate::archive::Sha256;

/// Whoever watches a run.
pub trait Observer {
    /// Something happened.
    fn event(&mut self, event: &Event);
    /// The outcome changed; a run that is killed now leaves what was saved here.
    fn changed(&mut self, outcome: &RunOutcome);
}

/// The outcome of a run, growing. Cheap to clone; all clones are the same record.
#[derive(Clone)]
pub struct Record {
    shared: Rc<RefCell<Shared>>,
}

struct Shared {
    outcome: RunOutcome,
    observer: Box<dyn Observer>,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").finish_non_exhaustive()
    }
}

impl Record {
    /// A record that begins with `outcome`: that of a run in which nothing has happened yet, or of one that is resumed.
    #[must_use]
    pub fn new(outcome: RunOutcome, observer: Box<dyn Observer>) -> Self {
        Self { shared: Rc::new(RefCell::new(Shared { outcome, observer })) }
    }

    /// Tells the observer.
    pub fn event(&self, event: &Event) {
        self.shared.borrow_mut().observer.event(event);
    }

    /// Saves, so that a run that is killed now leaves a record.
    pub(super) fn save(&self) {
        let mut shared = self.shared.borrow_mut();
        let Shared { outcome, observer } = &mut *shared;
        observer.changed(outcome);
    }

    /// Changes the cell `id` and saves.
    fn change(&self, id: &str, change: impl FnOnce(&mut CellOutcome)) {
        let mut shared = self.shared.borrow_mut();
        let Shared { outcome, observer } = &mut *shared;
        if let Some(cell) = outcome.cells.iter_mut().find(|cell| cell.id == id) {
            change(cell);
        }
        observer.changed(outcome);
    }

    /// Says how guests are run.
    pub(super) fn host(&self, accel: &str, qemu: &str) {
        let host = &mut self.shared.borrow_mut().outcome.host;
        accel.clone_into(&mut host.accel);
        qemu.clone_into(&mut host.qemu);
    }

    /// Says what the kernel of a cell turned out to be, and the hashes of kernel and guest image.
    pub(super) fn kernel(&self, id: &str, kernel: KernelId, kernel_hash: Sha256, image: Sha256) {
        self.change(id, |cell| {
            cell.kernel = kernel;
            cell.inputs.kernel = Some(kernel_hash);
            cell.inputs.image = Some(image);
        });
    }

    /// Says what the bundle of a cell consists of.
    pub(super) fn bundle(&self, id: &str, hash: Sha256) {
        self.change(id, |cell| cell.inputs.bundle = Some(hash));
    }

    /// Says why a cell cannot run here.
    pub(super) fn not_run(&self, id: &str, reason: String) {
        self.change(id, |cell| cell.not_run = Some(reason));
    }

    /// Says what a job that is ready to boot took of the machine so far.
    pub(super) fn job_use(&self, job: JobUse) {
        self.shared.borrow_mut().outcome.jobs.push(job);
    }

    /// Says that a VM of the job `id` is gone.
    pub(super) fn vm_use(&self, id: &str, vm: VmUse) {
        let jobs = &mut self.shared.borrow_mut().outcome.jobs;
        if let Some(job) = jobs.iter_mut().find(|job| job.id == id) {
            job.vms.push(vm);
        }
    }

    /// Begins an attempt at the cell with the phases that it shares with others.
    pub(super) fn attempt(&self, id: &str, phases: Vec<Phase>) {
        self.change(id, |cell| {
            cell.not_run = None;
            cell.attempts.push(Attempt { phases, ..Attempt::default() });
        });
    }

    /// Ends a phase of the cell's last attempt.
    pub(super) fn phase(&self, id: &str, name: PhaseName, seconds: f64) {
        self.change_attempt(id, |attempt| attempt.phases.push(Phase { name, seconds }));
    }

    /// Says which tests the cell's last attempt will run, and how many are left to another cell of its VM.
    pub(super) fn listed(&self, id: &str, tests: Vec<TestRecord>, elsewhere: usize) {
        self.change_attempt(id, |attempt| {
            attempt.tests = tests;
            attempt.elsewhere = elsewhere;
        });
    }

    /// Says what the tests of the cell's last attempt reported of the kernel.
    pub(super) fn capabilities(&self, id: &str, capabilities: Vec<Capability>) {
        self.change_attempt(id, |attempt| attempt.capabilities = capabilities);
    }

    /// Says what came of the coverage pass of the cell's last attempt.
    pub(super) fn coverage(&self, id: &str, coverage: CoverageRecord) {
        self.change_attempt(id, |attempt| attempt.coverage = Some(coverage));
    }

    /// Adds to what the coverage pass of the cell's last attempt is missing.
    pub(super) fn amend_coverage(&self, id: &str, change: impl FnOnce(&mut CoverageRecord)) {
        self.change_attempt(id, |attempt| {
            if let Some(coverage) = &mut attempt.coverage {
                change(coverage);
            }
        });
    }

    /// The tests of the cell's last attempt, as far as is known.
    pub(super) fn tests(&self, id: &str) -> Vec<TestRecord> {
        let shared = self.shared.borrow();
        let cell = shared.outcome.cells.iter().find(|cell| cell.id == id);
        cell.map(|cell| cell.tests().to_vec()).unwrap_or_default()
    }

    /// Ends the test at `place` in the cell's last attempt.
    pub(super) fn test(&self, job: &str, id: &str, place: usize, record: TestRecord) {
        self.event(&Event::TestFinished { job: job.to_owned(), cell: id.to_owned(), record: record.clone() });
        self.change_attempt(id, |attempt| {
            if let Some(test) = attempt.tests.get_mut(place) {
                *test = record;
            }
        });
    }

    /// Changes the last test of the cell's last attempt.
    pub(super) fn amend_last_test(&self, id: &str, change: impl FnOnce(&mut TestRecord)) {
        self.change_attempt(id, |attempt| {
            if let Some(test) = attempt.tests.last_mut() {
                change(test);
            }
        });
    }

    /// Ends the cell's last attempt before its time.
    pub(super) fn loss(&self, id: &str, loss: Loss) {
        self.change_attempt(id, |attempt| attempt.loss = Some(loss));
    }

    /// Says that the cell is done.
    pub(super) fn cell_finished(&self, id: &str) {
        let cell = self.shared.borrow().outcome.cells.iter().find(|cell| cell.id == id).cloned();
        if let Some(cell) = cell {
            self.event(&Event::CellFinished(Box::new(cell)));
        }
    }

    /// Ends the run.
    #[must_use]
    pub fn finish(&self, now: Timestamp) -> RunOutcome {
        let mut shared = self.shared.borrow_mut();
        let Shared { outcome, observer } = &mut *shared;
        outcome.finished = Some(now);
        observer.changed(outcome);
        observer.event(&Event::Finished(Box::new(outcome.clone())));
        outcome.clone()
    }

    fn change_attempt(&self, id: &str, change: impl FnOnce(&mut Attempt)) {
        self.change(id, |cell| {
            if let Some(attempt) = cell.attempts.last_mut() {
                change(attempt);
            }
        });
    }
}

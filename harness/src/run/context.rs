//! What the parts of a run share: [`Context`].

use std::time::Instant;

use tokio::sync::{Notify, Semaphore, watch};

use super::directory::RunDirectory;
use super::execute::TestOptions;
use super::record::Record;
use super::schedule::Schedule;
use crate::provision::Provisioner;
use crate::provision::bundle::BundleKey;

/// What every job of a run shares.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) provisioner: Provisioner,
    pub(super) tests: TestOptions,
    pub(super) directory: RunDirectory,
    pub(super) record: Record,
    pub(super) schedule: Schedule,
    /// When the jobs began.
    pub(super) began: Instant,
    /// One permit for each job whose inputs may be provided at once.
    pub(super) providing: Semaphore,
    /// That a job has its kernel: with none, bundles would be built in vain.
    pub(super) provided: Notify,
    /// The bundles, in the order in which they are built.
    pub(super) bundles: Vec<BundleKey>,
    /// Of how many of them it is the turn.
    pub(super) building: watch::Sender<usize>,
}

impl Context {
    /// Seconds since the jobs began.
    pub(super) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}

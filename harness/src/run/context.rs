//! What the parts of a run share: [`Context`].

use tokio::sync::Semaphore;

use super::directory::RunDirectory;
use super::execute::TestOptions;
use super::record::Record;
use crate::provision::Provisioner;

/// What every job of a run shares.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) provisioner: Provisioner,
    pub(super) tests: TestOptions,
    pub(super) directory: RunDirectory,
    pub(super) record: Record,
    /// One permit for each VM that may run at once.
    pub(super) slots: Semaphore,
}

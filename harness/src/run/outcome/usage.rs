//! What a run took of its machine: [`JobUse`], for measuring. No verdict depends on it.

use serde::{Deserialize, Serialize};

/// How a job spent its time. Moments are in seconds since the jobs of the run began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobUse {
    /// `arch/kernel`.
    pub id: String,
    /// How long its kernel and its guest's image took.
    pub provision_seconds: f64,
    /// How long it waited for its bundles after that.
    pub build_seconds: f64,
    /// When it had everything but room for its VM.
    pub ready: f64,
    /// Of the processors that VMs may keep busy, those that it took.
    pub processors: usize,
    /// Its VMs, one after another: the second is a retry.
    pub vms: Vec<VmUse>,
}

/// The life of one QEMU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VmUse {
    /// When it was started.
    pub started: f64,
    /// When it was gone.
    pub ended: f64,
    /// What processors spent on it; `None` for one that was killed.
    pub cpu_seconds: Option<f64>,
}

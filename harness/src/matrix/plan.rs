//! The specification, expanded: [`Plan`] has every cell of the matrix, those that run and those that do not.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::spec::Ruling;
use super::{Arch, ExpectedTimes, KernelSpec, MatrixSpec, Shard};

mod error;
mod filter;

pub use self::error::PlanError;
pub use self::filter::Filter;
pub(crate) use self::filter::matcher;

/// One cell: a kernel of an architecture with the bundle that one LLVM compiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// `arch/kernel/llvmN`.
    pub id: String,
    /// Its place in the whole plan, from 0.
    pub position: usize,
    /// The architecture.
    pub arch: Arch,
    /// The kernel's name.
    pub kernel: String,
    /// The LLVM release.
    pub llvm: u32,
    /// Why it does not run; `None` for a cell that runs.
    pub not_run: Option<String>,
    /// Why the matrix lets it run although it would be left out; `None` for a cell that needs no such reason.
    pub included: Option<String>,
}

/// One VM: a kernel of an architecture, and the cells that run in it.
#[derive(Clone, Debug)]
pub struct Job {
    /// `arch/kernel`.
    pub id: String,
    /// The architecture.
    pub arch: Arch,
    /// The matrix's row.
    pub kernel: KernelSpec,
    /// The LLVM releases whose bundles run in it, newest first.
    pub llvm: Vec<u32>,
    /// All that the run has for it, newest first: those of a run that is taken up again, too, whose cells are done.
    pub planned: Vec<u32>,
}

/// The cells of a matrix, or of the one shard of them that this machine runs.
#[derive(Clone, Debug)]
pub struct Plan {
    cells: Vec<Cell>,
    jobs: Vec<Job>,
    shard: Option<Shard>,
    whole: Whole,
}

/// What a shard knows of the plan that it was cut from.
#[derive(Clone, Debug)]
struct Whole {
    fingerprint: String,
    cells: usize,
}

impl Job {
    /// Whether it is in the bundle of `llvm` that the tests run which `project.once` names: the newest one's.
    #[must_use]
    pub fn has_once(&self, llvm: u32) -> bool {
        self.planned.first() == Some(&llvm)
    }
}

impl Plan {
    /// Expands `spec` and keeps what `filter` asks for. A cell that the matrix leaves out stays in the plan and says why.
    ///
    /// # Errors
    /// When a filter matches nothing.
    pub fn expand(spec: &MatrixSpec, filter: &Filter) -> Result<Self, PlanError> {
        let axes = filter.apply(spec)?;
        let mut cells = Vec::new();
        let mut jobs = Vec::new();
        for &arch in &axes.arches {
            for kernel in spec.kernels.iter().filter(|kernel| axes.kernels.contains(kernel.name.as_str())) {
                let mut releases = Vec::new();
                for &llvm in &axes.llvm {
                    let (not_run, included) = match spec.ruling(kernel, arch, llvm) {
                        Ruling::Runs => (None, None),
                        Ruling::Included(reason) => (None, Some(reason)),
                        Ruling::LeftOut(reason) => (Some(reason), None),
                    };
                    if not_run.is_none() {
                        releases.push(llvm);
                    }
                    let id = format!("{arch}/{}/llvm{llvm}", kernel.name);
                    let position = cells.len();
                    cells.push(Cell { id, position, arch, kernel: kernel.name.clone(), llvm, not_run, included });
                }
                if !releases.is_empty() {
                    let id = format!("{arch}/{}", kernel.name);
                    jobs.push(Job { id, arch, kernel: kernel.clone(), planned: releases.clone(), llvm: releases });
                }
            }
        }
        if cells.is_empty() {
            return Err(PlanError::Nothing { set: filter.set.clone() });
        }
        let whole = Whole { fingerprint: fingerprint(cells.iter().map(|cell| cell.id.as_str())), cells: cells.len() };
        Ok(Self { cells, jobs, shard: None, whole })
    }

    /// Every cell: by architecture, then kernel in the matrix's order, then LLVM, newest first.
    #[must_use]
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The VMs that run them.
    #[must_use]
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// Keeps only the cells for whose id `keep` holds, and the VMs that run them.
    #[must_use]
    pub fn only(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.cells.retain(|cell| keep(&cell.id));
        for job in &mut self.jobs {
            let id = &job.id;
            job.llvm.retain(|llvm| keep(&format!("{id}/llvm{llvm}")));
        }
        self.jobs.retain(|job| !job.llvm.is_empty());
        self
    }

    /// The same plan, as if it had been asked for only those cells that it has.
    #[must_use]
    pub fn on_its_own(mut self) -> Self {
        for job in &mut self.jobs {
            job.planned.clone_from(&job.llvm);
        }
        self
    }

    /// The same kernels with bundles of the LLVM releases `llvm` instead of the matrix's: each kernel that runs at all runs with
    /// every one.
    #[must_use]
    pub fn with_llvm(self, llvm: &[u32]) -> Self {
        let mut cells: Vec<Cell> = Vec::new();
        for old in self.cells.chunk_by(|one, other| (one.arch, &one.kernel) == (other.arch, &other.kernel)) {
            // OK because no chunk is empty.
            let Some(first) = old.iter().find(|cell| cell.not_run.is_none()).or(old.first()) else { continue };
            for &llvm in llvm {
                let id = format!("{}/{}/llvm{llvm}", first.arch, first.kernel);
                cells.push(Cell { id, position: cells.len(), llvm, included: None, ..first.clone() });
            }
        }
        let jobs =
            self.jobs.into_iter().map(|job| Job { llvm: llvm.to_vec(), planned: llvm.to_vec(), ..job }).collect();
        let whole = Whole { fingerprint: fingerprint(cells.iter().map(|cell| cell.id.as_str())), cells: cells.len() };
        Self { cells, jobs, shard: self.shard, whole }
    }

    /// How long its VMs are expected to live, one after another, in seconds.
    #[must_use]
    pub fn expected_seconds(&self, times: &ExpectedTimes) -> f64 {
        self.jobs.iter().map(|job| times.of_job(job)).sum()
    }

    /// Which shard of the plan this is; `None` for the whole plan.
    #[must_use]
    pub fn shard(&self) -> Option<Shard> {
        self.shard
    }

    /// What tells the plan from others, the same for all of its shards: the SHA-256 in hexadecimal of the names of all
    /// cells in their order, those that do not run included.
    #[must_use]
    pub fn whole_fingerprint(&self) -> &str {
        &self.whole.fingerprint
    }

    /// The number of cells in all shards together, those that do not run included.
    #[must_use]
    pub fn whole_cells(&self) -> usize {
        self.whole.cells
    }

    /// A shard of this plan that has no cells yet.
    pub(super) fn empty_shard(&self, shard: Shard) -> Self {
        Self { cells: Vec::new(), jobs: Vec::new(), shard: Some(shard), whole: self.whole.clone() }
    }

    pub(super) fn add_job(&mut self, job: Job) {
        self.jobs.push(job);
    }

    pub(super) fn add_cell(&mut self, cell: Cell) {
        self.cells.push(cell);
    }
}

/// What tells the plan with the cells `ids`, in this order, from others: the SHA-256 in hexadecimal of the ids, each with a
/// line feed behind it.
#[must_use]
pub fn fingerprint<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = Sha256::new();
    for id in ids {
        hasher.update(id);
        hasher.update("\n");
    }
    format!("{:x}", hasher.finalize())
}

#[cfg(test)]
mod tests;

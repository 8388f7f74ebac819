//! The specification, expanded: [`Plan`] has every cell of the matrix, those that run and those that do not.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Arch, KernelSpec, MatrixSpec, Shard};

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
    /// The architecture.
    pub arch: Arch,
    /// The kernel's name.
    pub kernel: String,
    /// The LLVM release.
    pub llvm: u32,
    /// Why it does not run; `None` for a cell that runs.
    pub not_run: Option<String>,
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

impl Plan {
    /// Expands `spec` and keeps what `filter` asks for. A cell that cannot run on this machine, whose architecture is
    /// `host`, stays in the plan and says why.
    ///
    /// # Errors
    /// When a filter matches nothing.
    pub fn expand(spec: &MatrixSpec, filter: &Filter, host: Option<Arch>) -> Result<Self, PlanError> {
        let chosen = filter.check(spec)?;
        let mut cells = Vec::new();
        let mut jobs = Vec::new();
        for &arch in spec.arches.keys().filter(|arch| filter.arches.is_empty() || filter.arches.contains(arch)) {
            for kernel in spec.kernels.iter().filter(|kernel| chosen.contains(kernel.name.as_str())) {
                if kernel.arches.as_ref().is_some_and(|arches| !arches.contains(&arch)) {
                    continue;
                }
                let mut releases = Vec::new();
                for llvm in spec.llvm_versions() {
                    if !filter.llvm.is_empty() && !filter.llvm.contains(&llvm) {
                        continue;
                    }
                    let not_run = spec
                        .exclude
                        .iter()
                        .find(|row| {
                            row.arch.is_none_or(|excluded| excluded == arch)
                                && row.kernel.as_ref().is_none_or(|excluded| *excluded == kernel.name)
                                && row.llvm.is_none_or(|excluded| excluded == llvm)
                        })
                        .map(|row| row.reason.clone())
                        .or_else(|| {
                            (host != Some(arch)).then(|| format!("no cross toolchain for {arch} on this machine"))
                        });
                    if not_run.is_none() {
                        releases.push(llvm);
                    }
                    let id = format!("{arch}/{}/llvm{llvm}", kernel.name);
                    cells.push(Cell { id, arch, kernel: kernel.name.clone(), llvm, not_run });
                }
                if !releases.is_empty() {
                    let id = format!("{arch}/{}", kernel.name);
                    jobs.push(Job { id, arch, kernel: kernel.clone(), llvm: releases });
                }
            }
        }
        if cells.is_empty() {
            return Err(PlanError::Nothing);
        }
        let whole = Whole { fingerprint: fingerprint(&cells), cells: cells.len() };
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

fn fingerprint(cells: &[Cell]) -> String {
    let mut hasher = Sha256::new();
    for cell in cells {
        hasher.update(&cell.id);
        hasher.update("\n");
    }
    format!("{:x}", hasher.finalize())
}

#[cfg(test)]
mod tests;

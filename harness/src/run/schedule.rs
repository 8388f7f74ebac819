//! In which order a run goes about its jobs: [`Schedule`].

use std::cmp::Reverse;

use super::history::History;
use super::slots::{Need, Slots};
use crate::matrix::{Arch, CoverageSpec, Job};
use crate::provision::Variant;
use crate::provision::bundle::BundleKey;

/// What a run knows of its machine and of its jobs' times.
#[derive(Clone, Debug)]
pub struct Schedule {
    slots: Slots,
    history: History,
}

impl Schedule {
    /// VMs in `slots`, those first that by `history` take longest.
    #[must_use]
    pub fn new(slots: Slots, history: History) -> Self {
        Self { slots, history }
    }

    /// The processors that VMs can keep busy.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    /// The room for VMs.
    pub(super) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// What the VM of `job` takes, when it keeps `processors` of this machine busy and has `memory_mib` for its guest.
    pub(super) fn need(&self, job: &Job, processors: u32, memory_mib: u32) -> Need {
        // A quarter on top for QEMU itself.
        let memory_kib = u64::from(memory_mib) * 1024 * 5 / 4;
        let processors = usize::try_from(processors).unwrap_or(usize::MAX);
        Need { processors, memory_kib, seconds: self.history.expected_seconds(job) }
    }

    /// The architectures of `jobs`, the one with the most work first: while its VMs run, the bundles of the next are built.
    fn arches(&self, jobs: &[Job]) -> Vec<Arch> {
        let work =
            |arch| jobs.iter().filter(|job| job.arch == arch).map(|job| self.history.expected_seconds(job)).sum();
        let mut arches: Vec<(Arch, f64)> = Arch::ALL.into_iter().map(|arch| (arch, work(arch))).collect();
        arches.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        arches.into_iter().filter(|(_, work)| *work > 0.0).map(|(arch, _)| arch).collect()
    }

    /// `jobs` in the order in which their inputs are provided: by architecture, as their bundles are built, and those that
    /// take longest first.
    pub(super) fn in_order(&self, jobs: &[Job]) -> Vec<Job> {
        let mut jobs = jobs.to_vec();
        let arches = self.arches(&jobs);
        let rank = |job: &Job| arches.iter().position(|arch| *arch == job.arch);
        // Stable: of those that take as long, the plan's order.
        jobs.sort_by(|a, b| self.history.expected_seconds(b).total_cmp(&self.history.expected_seconds(a)));
        jobs.sort_by_key(rank);
        jobs
    }

    /// The bundles that `jobs` need, in the order in which they are built: all of an architecture before the next, since
    /// its jobs wait for all of theirs.
    pub(super) fn bundles(&self, jobs: &[Job], coverage: Option<&CoverageSpec>) -> Vec<BundleKey> {
        let mut keys = Vec::new();
        for arch in self.arches(jobs) {
            let of_job = |job: &Job| {
                let plain = job.llvm.iter().map(|llvm| (*llvm, Variant::Plain));
                let covered = covered(job, coverage).into_iter().map(|llvm| (llvm, Variant::Coverage));
                plain.chain(covered).collect::<Vec<_>>()
            };
            let mut found: Vec<_> = jobs.iter().filter(|job| job.arch == arch).flat_map(of_job).collect();
            found.sort_unstable_by_key(|(llvm, variant)| (*variant, Reverse(*llvm)));
            found.dedup();
            keys.extend(found.into_iter().map(|(llvm, variant)| (arch, llvm, variant)));
        }
        keys
    }
}

/// The LLVM releases of `job` whose tests run once more with coverage.
pub(super) fn covered(job: &Job, coverage: Option<&CoverageSpec>) -> Vec<u32> {
    let has = |llvm: &u32| coverage.is_some_and(|coverage| coverage.has(*llvm, &job.planned));
    job.llvm.iter().copied().filter(has).collect()
}

#[cfg(test)]
mod tests;

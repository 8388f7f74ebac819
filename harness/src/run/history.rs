//! How long jobs took before: [`History`], read from the records of earlier runs.

use std::collections::BTreeMap;
use std::path::Path;

use super::measure::median;
use super::outcome::{CellOutcome, Phase, PhaseName, RunOutcome};
use crate::matrix::{Arch, ExpectedTimes, Job};

/// Runs that are looked at, newest first: a job that is in none of them is estimated.
const RUNS: usize = 10;

/// What is known of jobs from earlier runs. Empty when there were none.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// By `arch/kernel`, of the newest run in which a cell of the job came to its end.
    jobs: BTreeMap<String, Known>,
}

#[derive(Clone, Debug)]
struct Known {
    arch: Arch,
    /// What all bundles share: boot, connection, end.
    vm: f64,
    /// What each bundle took, by its LLVM.
    bundles: BTreeMap<u32, f64>,
}

impl History {
    /// Reads the newest records below the directory `runs`. One that is absent, damaged or of another version tells
    /// nothing, which is no error: times are only needed to go through a matrix in a good order.
    #[must_use]
    pub fn read(runs: &Path) -> Self {
        let mut history = Self::default();
        let Ok(entries) = std::fs::read_dir(runs) else { return history };
        // Their names begin with their times. `latest` is a link to one of them.
        let is_run = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
        let mut directories: Vec<_> = entries.flatten().filter(is_run).map(|entry| entry.path()).collect();
        directories.sort_unstable_by(|a, b| b.cmp(a));
        let records = directories.iter().filter_map(|directory| std::fs::read(directory.join("run.json")).ok());
        for run in records.filter_map(|json| serde_json::from_slice::<RunOutcome>(&json).ok()).take(RUNS) {
            history.add(&run);
        }
        history
    }

    /// Adds what is not yet known.
    fn add(&mut self, run: &RunOutcome) {
        let mut found: BTreeMap<String, Known> = BTreeMap::new();
        for cell in &run.cells {
            let Some((vm, bundle)) = times(cell) else { continue };
            let job = format!("{}/{}", cell.arch, cell.kernel.name);
            let known = found.entry(job).or_insert_with(|| Known { arch: cell.arch, vm, bundles: BTreeMap::new() });
            known.vm = known.vm.max(vm);
            known.bundles.insert(cell.llvm, bundle);
        }
        for (job, known) in found {
            self.jobs.entry(job).or_insert(known);
        }
    }

    /// How long a VM will run the bundles of `job`, in seconds: as long as the last time, else as long as others of its
    /// architecture, else as long as is usual.
    #[must_use]
    pub fn expected_seconds(&self, job: &Job) -> f64 {
        let (vm, bundle) = self.typical(job.arch);
        match self.jobs.get(&job.id) {
            Some(known) => {
                let usual = median(known.bundles.values().copied()).unwrap_or(bundle);
                known.vm + job.llvm.iter().map(|llvm| known.bundles.get(llvm).copied().unwrap_or(usual)).sum::<f64>()
            }
            None => job.llvm.iter().fold(vm, |sum, _| sum + bundle),
        }
    }

    /// What the boot, and then each bundle, takes on `arch`.
    fn typical(&self, arch: Arch) -> (f64, f64) {
        let known = || self.jobs.values().filter(|known| known.arch == arch);
        let vm = median(known().map(|known| known.vm));
        let bundle = median(known().flat_map(|known| known.bundles.values().copied()));
        vm.zip(bundle).unwrap_or(ExpectedTimes::usual(arch))
    }
}

/// The seconds of the last attempt at a cell, for what all bundles of its VM share and for its own; `None` when it did not
/// come to its end.
fn times(cell: &CellOutcome) -> Option<(f64, f64)> {
    let last = cell.attempts.last().filter(|last| last.loss.is_none() && !last.tests.is_empty())?;
    if cell.is_interrupted() {
        return None;
    }
    let own = |name| matches!(name, PhaseName::List | PhaseName::Test);
    let sum = |own_wanted| {
        let counts = |phase: &&Phase| own(phase.name) == own_wanted && phase.name != PhaseName::Coverage;
        let phases = last.phases.iter().filter(counts);
        phases.map(|phase| phase.seconds).filter(|seconds| seconds.is_finite()).sum::<f64>()
    };
    Some((sum(false), sum(true)))
}

#[cfg(test)]
mod tests;

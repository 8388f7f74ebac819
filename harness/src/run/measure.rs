//! Where the time of a run went: [`Measures`], computed from its record.

use std::collections::BTreeMap;

use serde::Serialize;

use super::outcome::{JobUse, PhaseName, RunOutcome, VmUse};
use crate::matrix::Arch;

/// What a run took. Times are in seconds, shares between 0 and 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measures {
    /// Cells that were to run.
    pub cells: usize,
    /// VMs that were started.
    pub vms: usize,
    /// From the run's start to its end.
    pub wall_seconds: f64,
    /// That, divided by the cells.
    pub seconds_per_cell: f64,
    /// The processors of this machine.
    pub cores: usize,
    /// What they spent on QEMU.
    pub qemu_cpu_seconds: f64,
    /// Of the time of all processors, the share that was QEMU's.
    pub qemu_cpu_share: f64,
    /// The share of the wall time in which a VM was there.
    pub vm_share: f64,
    /// The processors that VMs could keep busy, or the VMs that could run.
    pub slots: usize,
    /// The time of slots without a VM.
    pub waiting: Waiting,
    /// The medians of the phases, by architecture; of those that happened.
    pub phases: BTreeMap<Arch, BTreeMap<&'static str, f64>>,
}

/// The time of slots without a VM, in seconds, by cause. One slot that is empty for a second loses a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Waiting {
    /// No job was ready: kernels were fetched, bundles compiled.
    pub inputs: f64,
    /// A job was ready and its VM was not there yet: its initramfs was made, the VM before it was cleared away, or memory
    /// was short.
    pub between: f64,
    /// No job was left to begin.
    pub nothing_left: f64,
}

impl Waiting {
    /// All of it.
    #[must_use]
    pub fn total(self) -> f64 {
        self.inputs + self.between + self.nothing_left
    }
}

/// The phases in the order in which they happen, by the names of `run.json`.
pub const PHASES: [&str; 8] = ["provision", "build", "boot", "connect", "list", "test", "coverage", "power_off"];

impl Measures {
    /// Measures `run`, in which VMs could keep `slots` processors busy.
    #[must_use]
    pub fn of(run: &RunOutcome, slots: usize) -> Self {
        let wall = run.finished.map_or(0.0, |finished| finished.duration_since(run.started).as_secs_f64());
        let cells = run.cells.iter().filter(|cell| !cell.attempts.is_empty()).count();
        let vms = || run.jobs.iter().flat_map(|job| &job.vms);
        let cpu: f64 = vms().filter_map(|vm| vm.cpu_seconds).sum();
        let per = |amount: f64, whole: f64| if whole > 0.0 { amount / whole } else { 0.0 };
        #[expect(clippy::cast_precision_loss, reason = "a count of cells or processors")]
        let (cell_count, cores, slot_count) = (cells as f64, run.host.cores as f64, slots as f64);
        let spans = spans(&run.jobs, wall);
        let with_vm = spans.iter().filter(|span| span.busy > 0).map(|span| span.seconds).sum::<f64>();
        Self {
            cells,
            vms: vms().count(),
            wall_seconds: wall,
            seconds_per_cell: per(wall, cell_count),
            cores: run.host.cores,
            qemu_cpu_seconds: cpu,
            qemu_cpu_share: per(cpu, wall * cores),
            vm_share: per(with_vm, wall),
            slots,
            waiting: spans.iter().fold(Waiting::default(), |sum, span| span.waiting(slot_count, sum)),
            phases: Arch::ALL
                .into_iter()
                .map(|arch| (arch, phases(run, arch)))
                .filter(|(_, of)| !of.is_empty())
                .collect(),
        }
    }
}

/// A stretch of time in which nothing begins and nothing ends.
struct Span {
    seconds: f64,
    /// Slots with a VM.
    busy: usize,
    /// Slots for which a job was ready.
    ready: usize,
    /// Whether jobs were still without their inputs.
    unready: bool,
}

fn spans(jobs: &[JobUse], wall: f64) -> Vec<Span> {
    let of_job = |job: &JobUse| {
        let vms = job.vms.iter().flat_map(|vm| [vm.started, vm.ended]);
        vms.chain([job.ready]).collect::<Vec<_>>()
    };
    let inside = |moment: &f64| *moment > 0.0 && *moment < wall;
    let mut moments: Vec<f64> = jobs.iter().flat_map(of_job).filter(inside).chain([0.0, wall]).collect();
    moments.sort_by(f64::total_cmp);
    let span = |pair: &[f64]| {
        let &[from, to] = pair else { unreachable!("windows of two") };
        let at = f64::midpoint(from, to);
        let runs = |vm: &VmUse| vm.started <= at && at < vm.ended;
        let last_end = |job: &JobUse| job.vms.last().map_or(f64::INFINITY, |vm| vm.ended);
        let sum = |wanted: &dyn Fn(&JobUse) -> bool| {
            jobs.iter().filter(|job| wanted(job)).map(|job| job.processors).sum::<usize>()
        };
        Span {
            seconds: to - from,
            busy: sum(&|job| job.vms.iter().any(runs)),
            ready: sum(&|job| job.ready <= at && at < last_end(job) && !job.vms.iter().any(runs)),
            unready: jobs.iter().any(|job| job.ready > at),
        }
    };
    moments.windows(2).map(span).collect()
}

impl Span {
    /// What is lost in it, on top of `sum`.
    fn waiting(&self, slots: f64, mut sum: Waiting) -> Waiting {
        #[expect(clippy::cast_precision_loss, reason = "a count of processors")]
        let (busy, ready) = (self.busy as f64, self.ready as f64);
        let idle = (slots - busy).max(0.0);
        let between = idle.min(ready);
        sum.between += between * self.seconds;
        let rest = (idle - between) * self.seconds;
        if self.unready {
            sum.inputs += rest
        } else {
            sum.nothing_left += rest
        }
        sum
    }
}

/// The medians of the phases of `arch`.
fn phases(run: &RunOutcome, arch: Arch) -> BTreeMap<&'static str, f64> {
    let prefix = format!("{arch}/");
    let jobs = || run.jobs.iter().filter(|job| job.id.starts_with(&prefix));
    let cells = || run.cells.iter().filter(|cell| cell.arch == arch);
    let phase = |name: PhaseName| {
        let phases = cells().flat_map(|cell| &cell.attempts).flat_map(|attempt| &attempt.phases);
        median(phases.filter(|phase| phase.name == name).map(|phase| phase.seconds))
    };
    let medians = [
        median(jobs().map(|job| job.provision_seconds)),
        median(jobs().map(|job| job.build_seconds)),
        phase(PhaseName::Boot),
        phase(PhaseName::Connect),
        phase(PhaseName::List),
        phase(PhaseName::Test),
        phase(PhaseName::Coverage),
        phase(PhaseName::PowerOff),
    ];
    PHASES.into_iter().zip(medians).filter_map(|(name, median)| Some((name, median?))).collect()
}

/// The value in the middle.
#[must_use]
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    values.get(low).zip(values.get(high)).map(|(low, high)| f64::midpoint(*low, *high))
}

#[cfg(test)]
mod tests;

//! The life of one job: boot a kernel, run its bundles one after another, power off.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cell;
use super::context::Context;
use super::coverage::{self, Due};
use super::event::Event;
use super::execute;
use super::guest::{Guest, vm_loss};
use super::outcome::{CoverageRecord, JobUse, KernelId, Loss, Phase, PhaseName, Verdict, VmUse};
use super::schedule;
use super::slots::Need;
use crate::matrix::Job;
use crate::provision::{Bundle, NoBundle, ProvisionError, Variant, VmInputs};
use crate::vm::Vm;
use crate::vm::machine::{self, Accel};

/// Why a job could not begin, when that is no fault of its kernel.
#[derive(Debug)]
pub(super) struct Hindrance {
    pub(super) cause: ProvisionError,
    /// The cells that it cost; nobody was told yet that they are done.
    pub(super) cells: Vec<String>,
}

/// Runs `job` to its end; whatever happens is in the record.
pub(super) async fn run(context: Rc<Context>, job: Job) -> Option<Hindrance> {
    let runner = Runner { context: &context, job: &job };
    let hindrance = runner.run().await;
    context.record.event(&Event::JobFinished { job: job.id.clone() });
    hindrance
}

/// By LLVM, the bundle of each coverage pass, or why there is none.
type Passes = BTreeMap<u32, Result<Rc<Bundle>, String>>;

/// The bundles `pending`, and those of their coverage passes.
fn with_passes(pending: &VecDeque<Rc<Bundle>>, passes: &Passes) -> Vec<Rc<Bundle>> {
    let covered = pending.iter().filter_map(|bundle| passes.get(&bundle.llvm)?.as_ref().ok());
    pending.iter().chain(covered).cloned().collect()
}

struct Runner<'a> {
    context: &'a Context,
    job: &'a Job,
}

impl Runner<'_> {
    async fn run(&self) -> Option<Hindrance> {
        let record = &self.context.record;
        // OK because the semaphore is never closed.
        let Ok(turn) = self.context.providing.acquire().await else { return None };
        let started = Instant::now();
        self.enter(PhaseName::Provision);
        let prepared = self.context.provisioner.prepare(self.job).await;
        drop(turn);
        let provision_seconds = started.elapsed().as_secs_f64();
        let inputs = match prepared {
            Ok(inputs) => inputs,
            // It says nothing about the kernel or the project, and trying again would change nothing.
            Err(error @ ProvisionError::NoCross { .. }) => {
                for cell in self.job.llvm.iter().map(|llvm| self.cell(*llvm)) {
                    record.not_run(&cell, error.to_string());
                    record.cell_finished(&cell);
                }
                return None;
            }
            Err(error) => {
                let loss =
                    Loss { verdict: Verdict::Lost, phase: PhaseName::Provision, reason: error.to_string(), log: None };
                let cells: Vec<String> = self.job.llvm.iter().map(|llvm| self.cell(*llvm)).collect();
                for cell in &cells {
                    record.attempt(cell, vec![phase(PhaseName::Provision, started)]);
                    record.loss(cell, loss.clone());
                }
                if error.hits_every_kernel() {
                    // The others will most likely wait for the same in vain: then rather together.
                    self.context.providing.add_permits(super::PROVIDING);
                    return Some(Hindrance { cause: error, cells });
                }
                for cell in &cells {
                    record.cell_finished(cell);
                }
                return None;
            }
        };
        self.context.provided.notify_one();
        let (mut pending, mut hindered) = (VecDeque::new(), Vec::new());
        self.enter(PhaseName::Build);
        for &llvm in &self.job.llvm {
            let cell = self.cell(llvm);
            record.kernel(&cell, kernel_id(self.job, &inputs), inputs.kernel.fingerprint, inputs.image);
            match self.bundle(llvm, Variant::Plain).await {
                Ok(bundle) => {
                    record.bundle(&cell, bundle.fingerprint);
                    pending.push_back(bundle);
                }
                Err(error) => {
                    record.attempt(&cell, vec![phase(PhaseName::Build, started)]);
                    record.loss(&cell, no_bundle(&error));
                    match error {
                        NoBundle::Hindered(error) => hindered.push((cell, error)),
                        NoBundle::Compile(_) | NoBundle::Toolchain(_) => record.cell_finished(&cell),
                    }
                }
            }
        }
        if hindered.len() == self.job.llvm.len()
            && let Some((_, error)) = hindered.first()
        {
            let cause = ProvisionError::Toolchain(Arc::clone(error));
            return Some(Hindrance { cause, cells: hindered.into_iter().map(|(cell, _)| cell).collect() });
        }
        for (cell, _) in &hindered {
            record.cell_finished(cell);
        }
        if pending.is_empty() {
            return None;
        }
        let passes = self.passes(pending.make_contiguous()).await;
        self.enter(PhaseName::Queue);
        let need = self.need(&inputs, &with_passes(&pending, &passes)).await;
        let build_seconds = started.elapsed().as_secs_f64() - provision_seconds;
        record.job_use(JobUse {
            id: self.job.id.clone(),
            provision_seconds,
            build_seconds,
            ready: self.context.seconds(),
            processors: self.context.schedule.slots().weight(need.processors),
            vms: Vec::new(),
        });
        let _slot = self.context.schedule.slots().acquire(need).await;
        self.boot_until_done(&inputs, pending, &passes).await;
        None
    }

    /// The bundle of `llvm`, once it is its turn.
    async fn bundle(&self, llvm: u32, variant: Variant) -> Result<Rc<Bundle>, NoBundle> {
        let key = (self.job.arch, llvm, variant);
        let place = self.context.bundles.iter().position(|known| *known == key).unwrap_or_default();
        // OK because the sender is in the context, which we hold.
        drop(self.context.building.subscribe().wait_for(|begun| *begun > place).await);
        self.context.provisioner.bundle_of(key).await
    }

    /// The coverage passes of the cells whose bundles are `pending`.
    async fn passes(&self, pending: &[Rc<Bundle>]) -> Passes {
        let mut passes = Passes::new();
        for llvm in schedule::covered(self.job, self.context.tests.coverage.as_ref()) {
            if pending.iter().any(|bundle| bundle.llvm == llvm) {
                let bundle = self.bundle(llvm, Variant::Coverage).await.map_err(|error| error.to_string());
                passes.insert(llvm, bundle.and_then(|bundle| self.keep_objects(bundle)));
            }
        }
        passes
    }

    /// Keeps what reading the coverage of `bundle` will need.
    fn keep_objects(&self, bundle: Rc<Bundle>) -> Result<Rc<Bundle>, String> {
        let into = self.context.directory.coverage_objects(self.job.arch, bundle.llvm);
        match coverage::keep_objects(&bundle, &into) {
            Ok(()) => Ok(bundle),
            Err(error) => Err(format!("cannot keep its objects in `{}`: {error}", into.display())),
        }
    }

    /// What the job's VM takes of this machine.
    async fn need(&self, inputs: &VmInputs, bundles: &[Rc<Bundle>]) -> Need {
        let provisioner = &self.context.provisioner;
        // An error shows itself again when the machine is made, and is told then.
        let accel = provisioner.accel(inputs).await.unwrap_or(Accel::Tcg);
        let processors = machine::processors(inputs.arch, accel, provisioner.guest(inputs.arch).vcpus);
        self.context.schedule.need(self.job, processors, provisioner.memory_mib(inputs, bundles).await)
    }

    /// Boots as often as it takes: a boot that fails is tried a second time, since software emulation is known to
    /// panic once in a while; and a VM that was lost in the tests of one bundle does not cost the others theirs.
    async fn boot_until_done(&self, inputs: &VmInputs, mut pending: VecDeque<Rc<Bundle>>, passes: &Passes) {
        let record = &self.context.record;
        let mut may_retry = true;
        while !pending.is_empty() {
            let mut phases = Vec::new();
            let booted = self.boot(inputs, &with_passes(&pending, passes), &mut phases).await;
            for bundle in &pending {
                record.attempt(&self.cell(bundle.llvm), phases.clone());
            }
            let mut guest = match booted {
                Ok(guest) => guest,
                Err(loss) => {
                    for bundle in &pending {
                        record.loss(&self.cell(bundle.llvm), loss.clone());
                    }
                    if may_retry {
                        may_retry = false;
                        record.event(&Event::Retry { job: self.job.id.clone(), reason: loss.reason });
                        continue;
                    }
                    for bundle in &pending {
                        record.cell_finished(&self.cell(bundle.llvm));
                    }
                    return;
                }
            };
            let complaint = guest.complaint_of_boot();
            let (mut done, mut due, mut ended) = (Vec::new(), Vec::new(), false);
            while let Some(bundle) = pending.pop_front().filter(|_| !ended) {
                let cell = self.cell(bundle.llvm);
                let loss = match cell::run(self.context, self.job, &cell, &mut guest, &bundle).await {
                    Ok(tests) => {
                        due.push((bundle.llvm, Due { cell: cell.clone(), tests }));
                        complaint.clone()
                    }
                    Err(loss) => {
                        ended = true;
                        Some(loss)
                    }
                };
                if let Some(loss) = loss {
                    record.loss(&cell, loss);
                }
                done.push(cell);
            }
            let last_pass = self.run_passes(&mut guest, &due, passes, ended).await;
            self.power_off(guest, done.last(), last_pass).await;
            for cell in &done {
                record.cell_finished(cell);
            }
        }
    }

    /// Runs the coverage passes that are due, after everything that is judged: a VM that is lost in one costs nothing else. Gives
    /// the cell of the last one that ran.
    async fn run_passes<'due>(
        &self,
        guest: &mut Guest,
        due: &'due [(u32, Due)],
        passes: &Passes,
        mut lost: bool,
    ) -> Option<&'due str> {
        let mut last = None;
        for (llvm, due) in due {
            let missing = match passes.get(llvm) {
                None => continue,
                Some(_) if lost => "its VM was lost before".to_owned(),
                Some(Err(reason)) => reason.clone(),
                Some(Ok(bundle)) => {
                    lost = !coverage::pass(self.context, self.job, guest, due, bundle).await;
                    last = Some(due.cell.as_str());
                    continue;
                }
            };
            let coverage = CoverageRecord { missing: Some(missing), ..CoverageRecord::default() };
            self.context.record.coverage(&due.cell, coverage);
        }
        last
    }

    async fn boot(&self, inputs: &VmInputs, bundles: &[Rc<Bundle>], phases: &mut Vec<Phase>) -> Result<Guest, Loss> {
        self.enter(PhaseName::Boot);
        let lost = |reason: String| Loss { verdict: Verdict::Lost, phase: PhaseName::Boot, reason, log: None };
        let (attempt, logs) = self.context.directory.attempt(&self.job.id).map_err(|error| lost(error.to_string()))?;
        let console_log = self.context.directory.relative(&logs.join("console.log"));
        let provisioner = &self.context.provisioner;
        let machine = provisioner.machine(inputs, bundles).await;
        let machine = machine.map_err(|error| lost(error.to_string()))?;
        self.context.record.host(machine.accel.name(), &inputs.qemu.version);
        let deadlines = provisioner.deadlines(inputs.arch, machine.accel);
        // The boot is QEMU's time; making the initramfs is ours.
        let (started, vm_started) = (Instant::now(), self.context.seconds());
        let booted = Vm::boot(&inputs.qemu, &machine, &logs, provisioner.private(), deadlines).await;
        phases.push(phase(PhaseName::Boot, started));
        let mut vm = booted.map_err(|error| {
            self.vm_gone(vm_started, None);
            vm_loss(PhaseName::Boot, &error, &console_log)
        })?;
        let started = Instant::now();
        self.enter(PhaseName::Connect);
        let connected = vm.connect(provisioner.keys()).await;
        phases.push(phase(PhaseName::Connect, started));
        let session = connected.map_err(|error| {
            self.vm_gone(vm_started, None);
            vm_loss(PhaseName::Connect, &error, &console_log)
        })?;
        Ok(Guest { vm, session, attempt, console_log, started: vm_started, tested: 0 })
    }

    fn vm_gone(&self, started: f64, cpu: Option<Duration>) {
        let cpu_seconds = cpu.map(|cpu| cpu.as_secs_f64());
        self.context.record.vm_use(&self.job.id, VmUse { started, ended: self.context.seconds(), cpu_seconds });
    }

    /// Powers off. What the kernel still complains of by then counts against the test that ran last, unless that was in a
    /// coverage pass.
    async fn power_off(&self, guest: Guest, cell: Option<&String>, last_pass: Option<&str>) {
        let Guest { mut vm, session, started: vm_started, .. } = guest;
        let started = Instant::now();
        self.enter(PhaseName::PowerOff);
        let seen = vm.console().mark();
        if let Err(error) = vm.power_off(Some(session)).await {
            self.context.record.event(&Event::Warning(format!("{}: {error}", self.job.id)));
        }
        self.vm_gone(vm_started, vm.cpu_time());
        let Some(cell) = cell else { return };
        let record = &self.context.record;
        record.phase(cell, PhaseName::PowerOff, started.elapsed().as_secs_f64());
        if let Some(complaint) = vm.console().complaints_since(seen).into_iter().next() {
            let text = format!("the kernel complained after it: {}", complaint.title);
            match last_pass {
                None => record.amend_last_test(cell, |test| execute::blame(test, &text)),
                Some(cell) => record.amend_coverage(cell, |coverage| {
                    coverage.missing.get_or_insert(text);
                }),
            }
        }
    }

    fn enter(&self, phase: PhaseName) {
        self.context.record.event(&Event::Phase { job: self.job.id.clone(), phase });
    }

    fn cell(&self, llvm: u32) -> String {
        format!("{}/llvm{llvm}", self.job.id)
    }
}

fn phase(name: PhaseName, started: Instant) -> Phase {
    Phase { name, seconds: started.elapsed().as_secs_f64() }
}

fn no_bundle(error: &NoBundle) -> Loss {
    let verdict = match error {
        NoBundle::Compile(_) => Verdict::Fail,
        NoBundle::Toolchain(_) | NoBundle::Hindered(_) => Verdict::Lost,
    };
    Loss { verdict, phase: PhaseName::Build, reason: error.to_string(), log: None }
}

fn kernel_id(job: &Job, inputs: &VmInputs) -> KernelId {
    let package = inputs.kernel.package.as_ref();
    KernelId {
        name: job.kernel.name.clone(),
        release: inputs.kernel.release.clone(),
        package: package.map(|package| package.name.clone()),
        version: package.map(|package| package.version.clone()),
    }
}

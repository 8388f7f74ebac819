//! The life of one job: boot a kernel, run its bundles one after another, power off.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::Semaphore;

use super::directory::RunDirectory;
use super::event::Event;
use super::execute::{self, TestOptions};
use super::outcome::{KernelId, Loss, Phase, PhaseName, TestRecord, TestResult, Verdict};
use super::record::Record;
use crate::matrix::Job;
use crate::provision::{Bundle, NoBundle, Provisioner, VmInputs};
use crate::vm::ssh::{Session, SshError};
use crate::vm::{Stage, Vm, VmError};

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

/// Runs `job` to its end; whatever happens is in the record.
pub(super) async fn run(context: Rc<Context>, job: Job) {
    let runner = Runner { context: &context, job: &job };
    runner.run().await;
    context.record.event(&Event::JobFinished { job: job.id.clone() });
}

struct Runner<'a> {
    context: &'a Context,
    job: &'a Job,
}

impl Runner<'_> {
    async fn run(&self) {
        let record = &self.context.record;
        let started = Instant::now();
        self.enter(PhaseName::Provision);
        let inputs = match self.context.provisioner.prepare(self.job).await {
            Ok(inputs) => inputs,
            Err(error) => {
                let loss = Loss { verdict: Verdict::Lost, phase: PhaseName::Provision, reason: error.to_string() };
                for cell in self.job.llvm.iter().map(|llvm| self.cell(*llvm)) {
                    record.attempt(&cell, vec![phase(PhaseName::Provision, started)]);
                    record.loss(&cell, loss.clone());
                    record.cell_finished(&cell);
                }
                return;
            }
        };
        let mut pending = VecDeque::new();
        self.enter(PhaseName::Build);
        for &llvm in &self.job.llvm {
            let cell = self.cell(llvm);
            record.kernel(&cell, kernel_id(self.job, &inputs));
            match self.context.provisioner.bundle(self.job.arch, llvm).await {
                Ok(bundle) => pending.push_back(bundle),
                Err(error) => {
                    record.attempt(&cell, vec![phase(PhaseName::Build, started)]);
                    record.loss(&cell, no_bundle(&error));
                    record.cell_finished(&cell);
                }
            }
        }
        if pending.is_empty() {
            return;
        }
        // OK because the semaphore is never closed.
        let Ok(_slot) = self.context.slots.acquire().await else { return };
        self.boot_until_done(&inputs, pending).await;
    }

    /// Boots as often as it takes: a boot that fails is tried a second time, since software emulation is known to
    /// panic once in a while; and a VM that was lost in the tests of one bundle does not cost the others theirs.
    async fn boot_until_done(&self, inputs: &VmInputs, mut pending: VecDeque<Rc<Bundle>>) {
        let record = &self.context.record;
        let mut may_retry = true;
        let mut number = 0;
        while !pending.is_empty() {
            number += 1;
            let mut phases = Vec::new();
            let booted = self.boot(inputs, pending.make_contiguous(), number, &mut phases).await;
            for bundle in &pending {
                record.attempt(&self.cell(bundle.llvm), phases.clone());
            }
            let (mut vm, session) = match booted {
                Ok(booted) => booted,
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
            let mut done = Vec::new();
            while let Some(bundle) = pending.pop_front() {
                let cell = self.cell(bundle.llvm);
                let lost = self.run_bundle(&mut vm, &session, &bundle).await;
                done.push(cell.clone());
                if let Err(loss) = lost {
                    record.loss(&cell, loss);
                    break;
                }
            }
            self.power_off(vm, session, done.last()).await;
            for cell in &done {
                record.cell_finished(cell);
            }
        }
    }

    async fn boot(
        &self,
        inputs: &VmInputs,
        bundles: &[Rc<Bundle>],
        number: usize,
        phases: &mut Vec<Phase>,
    ) -> Result<(Vm, Session), Loss> {
        self.enter(PhaseName::Boot);
        let lost = |phase, reason: String| Loss { verdict: Verdict::Lost, phase, reason };
        let logs = self.context.directory.attempt(&self.job.id, number);
        let logs = logs.map_err(|error| lost(PhaseName::Boot, error.to_string()))?;
        let provisioner = &self.context.provisioner;
        let machine = provisioner.machine(inputs, bundles).await;
        let machine = machine.map_err(|error| lost(PhaseName::Boot, error.to_string()))?;
        self.context.record.host(machine.accel.name(), &inputs.qemu.version);
        let deadlines = provisioner.deadlines(inputs.arch, machine.accel);
        // The boot is QEMU's time; making the initramfs is ours.
        let started = Instant::now();
        let booted = Vm::boot(&inputs.qemu, &machine, &logs, deadlines).await;
        phases.push(phase(PhaseName::Boot, started));
        let mut vm = booted.map_err(|error| vm_loss(PhaseName::Boot, &error))?;
        let started = Instant::now();
        self.enter(PhaseName::Connect);
        let connected = vm.connect(provisioner.keys()).await;
        phases.push(phase(PhaseName::Connect, started));
        let session = connected.map_err(|error| vm_loss(PhaseName::Connect, &error))?;
        Ok((vm, session))
    }

    /// Lists and runs the tests of one bundle. An error means that the VM is lost.
    async fn run_bundle(&self, vm: &mut Vm, session: &Session, bundle: &Bundle) -> Result<(), Loss> {
        let record = &self.context.record;
        let cell = self.cell(bundle.llvm);
        let started = Instant::now();
        self.enter(PhaseName::List);
        let listed = execute::list(session, bundle, &self.context.tests).await;
        record.phase(&cell, PhaseName::List, started.elapsed().as_secs_f64());
        let tests = match listed {
            Ok(Ok(tests)) => tests,
            Ok(Err(reason)) => return Err(Loss { verdict: Verdict::Fail, phase: PhaseName::List, reason }),
            Err(error) => return Err(self.lost(vm, PhaseName::List, error).await),
        };
        let started = Instant::now();
        self.enter(PhaseName::Test);
        let result = self.run_tests(vm, session, bundle, &cell, &tests).await;
        record.phase(&cell, PhaseName::Test, started.elapsed().as_secs_f64());
        result
    }

    async fn run_tests(
        &self,
        vm: &mut Vm,
        session: &Session,
        bundle: &Bundle,
        cell: &str,
        tests: &[execute::Listed],
    ) -> Result<(), Loss> {
        let record = &self.context.record;
        let directory = self.context.directory.cell(cell);
        let directory = directory.map_err(|error| Loss {
            verdict: Verdict::Lost,
            phase: PhaseName::Test,
            reason: error.to_string(),
        })?;
        for (done, test) in tests.iter().enumerate() {
            let (job, name) = (self.job.id.clone(), test.name.clone());
            record.event(&Event::TestStarted { job, test: name, done, total: tests.len() });
            match execute::run(vm, session, bundle, cell, test, &self.context.tests, &directory).await {
                Ok(mut ran) => {
                    ran.log = ran.log.map(|file| self.context.directory.relative(&directory.join(file)));
                    record.test(&self.job.id, cell, ran);
                }
                Err((ran, error)) => {
                    record.test(&self.job.id, cell, ran);
                    for test in &tests[done + 1..] {
                        record.test(&self.job.id, cell, prevented(test));
                    }
                    return Err(self.lost(vm, PhaseName::Test, error).await);
                }
            }
        }
        Ok(())
    }

    /// Why the session ended: the guest's own last words where it has some, else what ssh says.
    async fn lost(&self, vm: &mut Vm, phase: PhaseName, error: SshError) -> Loss {
        let cause = vm.lost_or(Stage::Use, |evidence| VmError::Connect { source: error, evidence }).await;
        vm_loss(phase, &cause)
    }

    /// Powers off. What the kernel still complains of by then counts against the test that ran last.
    async fn power_off(&self, mut vm: Vm, session: Session, cell: Option<&String>) {
        let started = Instant::now();
        self.enter(PhaseName::PowerOff);
        let seen = vm.console().mark();
        if let Err(error) = vm.power_off(Some(session)).await {
            self.context.record.event(&Event::Warning(format!("{}: {error}", self.job.id)));
        }
        let Some(cell) = cell else { return };
        let record = &self.context.record;
        record.phase(cell, PhaseName::PowerOff, started.elapsed().as_secs_f64());
        if let Some(complaint) = vm.console().complaints_since(seen).into_iter().next() {
            record.amend_last_test(cell, |test| {
                if test.result == TestResult::Passed {
                    test.result = TestResult::Failed;
                    test.message = Some(format!("the kernel complained after it: {}", complaint.title));
                }
            });
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

fn vm_loss(phase: PhaseName, error: &VmError) -> Loss {
    let verdict = if error.is_timeout() { Verdict::Timeout } else { Verdict::Lost };
    Loss { verdict, phase, reason: error.to_string() }
}

/// The record of a test that the loss of the VM prevented.
fn prevented(test: &execute::Listed) -> TestRecord {
    TestRecord {
        binary: test.executable.name.clone(),
        name: test.name.clone(),
        result: TestResult::NotRun,
        seconds: 0.0,
        message: Some("the VM was lost before it began".into()),
        expected_failure: None,
        log: None,
    }
}

fn no_bundle(error: &NoBundle) -> Loss {
    let verdict = match error {
        NoBundle::Compile(_) => Verdict::Fail,
        NoBundle::Toolchain(_) => Verdict::Lost,
    };
    Loss { verdict, phase: PhaseName::Build, reason: error.to_string() }
}

fn kernel_id(job: &Job, inputs: &VmInputs) -> KernelId {
    let package = inputs.kernel.pinned.image_package();
    KernelId {
        name: job.kernel.name.clone(),
        release: inputs.kernel.release.clone(),
        package: package.map(|package| package.name.clone()),
        version: package.map(|package| package.version.clone()),
    }
}

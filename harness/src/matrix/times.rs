//! How long jobs take: [`ExpectedTimes`], the same on every machine, so that all of them cut a plan alike.

use std::collections::HashMap;

use super::{Arch, Job};

/// What jobs and their cells took in an earlier run, and an estimate for those that were not in it.
#[derive(Clone, Debug, Default)]
pub struct ExpectedTimes {
    boots: HashMap<String, f64>,
    tests: HashMap<String, f64>,
}

impl ExpectedTimes {
    /// What the boot of a VM of `arch`, and then the tests of each bundle, usually take, in seconds.
    #[must_use]
    pub fn usual(arch: Arch) -> (f64, f64) {
        let Estimate { boot, tests } = Estimate::of(arch);
        (boot, tests)
    }

    /// Remembers that the boot of `job`, up to its first test, took `seconds`.
    pub fn add_boot(&mut self, job: &str, seconds: f64) {
        self.boots.insert(job.to_owned(), seconds);
    }

    /// Remembers that the tests of `cell` took `seconds`.
    pub fn add_tests(&mut self, cell: &str, seconds: f64) {
        self.tests.insert(cell.to_owned(), seconds);
    }

    /// How long the VM of `job` is expected to live, in seconds.
    #[must_use]
    pub fn of_job(&self, job: &Job) -> f64 {
        let estimate = Estimate::of(job.arch);
        let boot = self.boots.get(&job.id).copied().unwrap_or(estimate.boot);
        let tests = job.llvm.iter().map(|llvm| {
            let measured = self.tests.get(&format!("{}/llvm{llvm}", job.id));
            measured.copied().unwrap_or(estimate.tests)
        });
        boot + tests.sum::<f64>()
    }
}

/// Seconds under software emulation on a processor of 2025; what counts is their ratio.
struct Estimate {
    boot: f64,
    /// Of the tests of one bundle.
    tests: f64,
}

impl Estimate {
    fn of(arch: Arch) -> Self {
        match arch {
            // Two to three seconds to the ready line and ssh; a dozen tests that load BPF programs.
            Arch::X86_64 => Self { boot: 3.0, tests: 4.0 },
            // As x86_64, with the cheap hash for pointer authentication.
            Arch::Aarch64 => Self { boot: 3.0, tests: 4.0 },
            // Its one kernel flavor is larger than the others' `cloud`, and its instructions are slower to translate.
            Arch::Riscv64 => Self { boot: 6.0, tests: 8.0 },
        }
    }
}

//! A BPF program that is run with values, and what it made of them: [`Probe`]. See `bpf_coverage` for what this shows.

use std::mem::MaybeUninit;
use std::path::PathBuf;

use bpf_coverage::collect::{self, Coverage};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{OpenObject, ProgramInput, Result};

pub mod skeleton;

use skeleton::probe::{ProbeSkel, ProbeSkelBuilder};

/// The loaded program. Dropping it unloads it, and writes its coverage.
pub struct Probe {
    skel: ProbeSkel<'static>,
    // Behind the skeleton, so that it is dropped after it.
    coverage: Coverage,
}

impl Probe {
    /// Loads the program.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn load(doubled: bool) -> Result<Self> {
        let (skel, coverage) = collect::load(&skeleton::probe::COVERAGE, || open_and_load(doubled))?;
        Ok(Self { skel, coverage })
    }

    /// As [`Probe::load`], with the value of `BPF_COVERAGE_DIR` given: for tests.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn load_into(directory: Option<PathBuf>, doubled: bool) -> Result<Self> {
        let (skel, coverage) = collect::load_into(directory, &skeleton::probe::COVERAGE, || open_and_load(doubled))?;
        Ok(Self { skel, coverage })
    }

    /// Runs the program.
    ///
    /// # Errors
    /// When the kernel does not.
    pub fn run(&self, value: u64) -> Result<u32> {
        let mut context = value.to_ne_bytes();
        let input = ProgramInput { context_in: Some(&mut context), ..Default::default() };
        Ok(self.skel.progs.probe.test_run(input)?.return_value)
    }

    /// What the runs came to.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.skel.maps.bss_data.as_ref().map_or(0, |bss| bss.total)
    }

    /// What is counted.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }
}

fn open_and_load(doubled: bool) -> Result<ProbeSkel<'static>> {
    let mut open = ProbeSkelBuilder::default().open(place())?;
    if let Some(rodata) = &mut open.maps.rodata_data {
        rodata.doubled = doubled.into();
    }
    open.load()
}

/// Where a skeleton keeps its object. It borrows that for as long as it lives; one pointer each is leaked.
#[must_use]
pub fn place() -> &'static mut MaybeUninit<OpenObject> {
    Box::leak(Box::new(MaybeUninit::uninit()))
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").field("total", &self.total()).finish_non_exhaustive()
    }
}

//! `ukci bench`: [`boot`] measures what the harness adds to the boot of a bare kernel; the others have modules of their own.

mod matrix;
mod merge;
mod plan;

use serde::Serialize;

use super::args::{BenchCommand, MatrixArgs};
use super::failure::Failure;
use super::screen::Screen;
use super::shell::the_job;
use super::workshop::Workshop;
use crate::provision::{AccelWish, Provisioner};
use crate::run::{self, boot_times};

/// What was measured, for scripts.
#[derive(Debug, Serialize)]
struct BootBench {
    kernel: String,
    accel: &'static str,
    rounds: usize,
    bare_seconds: f64,
    first_test_seconds: f64,
    ratio: f64,
}

pub(super) async fn bench(command: BenchCommand) -> Result<u8, Failure> {
    match command {
        BenchCommand::Boot { matrix, kernel, rounds, json } => boot(&matrix, &kernel, rounds, json).await,
        BenchCommand::Matrix { run, json } => matrix::bench(*run, json).await,
        BenchCommand::Veristat { veristat } => matrix::bench_veristat(*veristat).await,
        BenchCommand::Merge { results, json } => merge::bench(results as usize, json),
        BenchCommand::Plan { cells, json } => plan::bench(cells as usize, json),
    }
}

async fn boot(matrix: &MatrixArgs, kernel: &str, rounds: u32, json: bool) -> Result<u8, Failure> {
    let workshop = Workshop::open(matrix.matrix.as_deref(), Screen::new(false))?;
    let job = the_job(&workshop, kernel, None)?;
    let scratch = workshop.archive.store().scratch()?;
    let Workshop { project, archive, .. } = workshop;
    let tests = project.spec.project.tests;
    let provisioner = Provisioner::new(archive, project, AccelWish::Best, matrix.locked, scratch.path())?;
    let inputs = provisioner.prepare(&job).await?;
    let accel = provisioner.accel(&inputs).await?;
    let (mut bare, mut first_test) = (Vec::new(), Vec::new());
    // In turn, so that whatever else the machine does meanwhile weighs on both alike.
    for _ in 0..rounds {
        let times = boot_times(&provisioner, &job, &inputs, tests, scratch.path()).await.map_err(Failure::Broken)?;
        bare.push(times.bare.as_secs_f64());
        first_test.push(times.first_test.as_secs_f64());
    }
    let (bare_seconds, first_test_seconds) = (median(&bare), median(&first_test));
    let ratio = first_test_seconds / bare_seconds;
    let result = BootBench {
        kernel: inputs.kernel.release,
        accel: accel.name(),
        rounds: bare.len(),
        bare_seconds,
        first_test_seconds,
        ratio,
    };
    if json {
        let text = serde_json::to_string_pretty(&result).map_err(|error| Failure::Broken(error.to_string()))?;
        super::print(&format!("{text}\n"))?;
    } else {
        super::print(&format!(
            "{} under {}, median of {} boots each, from QEMU's exec:\n  bare kernel to its ready line  {bare_seconds:.2} s\n  \
             harness to its first test      {first_test_seconds:.2} s\n  ratio                          {ratio:.2}\n",
            result.kernel, result.accel, result.rounds
        ))?;
    }
    Ok(0)
}

fn median(values: &[f64]) -> f64 {
    run::median(values.iter().copied()).unwrap_or(f64::NAN)
}

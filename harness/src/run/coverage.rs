//! The coverage pass: the tests of a cell run once more, from a bundle that counts what they reach. [`pass`].
//!
//! ```text
//! cells/<arch>/<kernel>/<llvm>/coverage/<stem>/{bpf,userspace}/…   what each test left, and <stem>.log
//! coverage/objects/<arch>/<llvm>/{bpf,userspace}/…                 what is needed to read that
//! ```
//!
//! The plain bundle is what is judged. Whatever goes wrong here is a note in the record and costs coverage alone.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Instant;

use super::context::Context;
use super::event::Event;
use super::execute::{self, Listed};
use super::guest::Guest;
use super::outcome::{CoverageFailure, CoverageRecord, PhaseName, TestRecord, TestResult};
use crate::matrix::Job;
use crate::provision::Bundle;

/// A cell whose tests have ended, and the bundle that runs them again.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) cell: String,
    pub(super) tests: Vec<Listed>,
}

/// Runs the tests of `due` from `bundle`. False when the guest is lost, and with it what is left to run.
pub(super) async fn pass(context: &Context, job: &Job, guest: &mut Guest, due: &Due, bundle: &Bundle) -> bool {
    let record = &context.record;
    let cell = &due.cell;
    record.event(&Event::Phase { job: job.id.clone(), phase: PhaseName::Coverage });
    let started = Instant::now();
    let mut coverage = CoverageRecord::default();
    let logs = match context.directory.coverage(cell, guest.attempt) {
        Ok(logs) => logs,
        Err(error) => {
            coverage.missing = Some(error.to_string());
            record.coverage(cell, coverage);
            return true;
        }
    };
    // Until it ends: a run that is killed now must not look complete.
    record.coverage(cell, CoverageRecord { missing: Some("interrupted".into()), ..CoverageRecord::default() });
    for (place, test) in due.tests.iter().enumerate() {
        let (total, name) = (due.tests.len(), test.name.clone());
        record.event(&Event::TestStarted { job: job.id.clone(), test: name, done: place, total });
        let waiting = TestRecord::waiting(&test.executable.name, &test.name);
        let ran = execute::run(guest, bundle, test, waiting, &context.tests, &logs).await;
        let in_cell = |file: &String| context.directory.relative_to_cell(cell, &logs.join(file));
        coverage.artifacts.extend(ran.record.artifacts.iter().map(in_cell));
        if let Some(warning) = ran.warning {
            record.event(&Event::Warning(format!("{cell}: coverage of {}: {warning}", test.name)));
        }
        if let Some(error) = ran.error {
            coverage.missing = Some(guest.lost(PhaseName::Coverage, error).await.reason);
            break;
        }
        coverage.tests += 1;
        if ran.record.result != TestResult::Passed {
            let log = ran.record.log.as_ref().map(|file| context.directory.relative(&logs.join(file)));
            let (binary, name) = (ran.record.binary, ran.record.name);
            let message = ran.record.message.unwrap_or_default();
            coverage.failed.push(CoverageFailure { binary, name, message, log });
        }
    }
    coverage.artifacts.sort();
    let survived = coverage.missing.is_none();
    record.coverage(cell, coverage);
    record.phase(cell, PhaseName::Coverage, started.elapsed().as_secs_f64());
    survived
}

/// Keeps what is needed to read the coverage of `bundle` in the directory `into`, as links where that is possible. What is
/// there already stays: other jobs of the run have the same bundle.
///
/// # Errors
/// When a file can neither be linked nor copied.
pub(super) fn keep_objects(bundle: &Bundle, into: &Path) -> io::Result<()> {
    let executables = bundle.executables.iter().map(|it| (Path::new("userspace").join(&it.file), &it.path));
    let objects = bundle.objects.iter().filter_map(|path| Some((Path::new("bpf").join(path.file_name()?), path)));
    let mut made = BTreeSet::new();
    for (name, from) in executables.chain(objects) {
        let to = into.join(name);
        let directory = to.parent().unwrap_or(into);
        if made.insert(directory.to_owned()) {
            std::fs::create_dir_all(directory)?;
        }
        match std::fs::hard_link(from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // Another disk, or one without links.
            Err(_) => _ = std::fs::copy(from, &to)?,
        }
    }
    Ok(())
}

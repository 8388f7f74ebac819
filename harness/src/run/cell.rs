//! Runs the tests of one cell in a guest that is up: [`run`].

use std::time::Instant;

use super::capabilities::{self, Judged};
use super::context::Context;
use super::event::Event;
use super::execute::{self, Listed, Listing};
use super::guest::Guest;
use super::loads;
use super::outcome::{Loss, PhaseName, TestRecord, Verdict};
use crate::matrix::Job;
use crate::provision::Bundle;

/// Lists and runs the tests of `bundle`, and gives them; what happens is in the record of `cell`. An error ends the use of the guest.
pub(super) async fn run(
    context: &Context,
    job: &Job,
    cell: &str,
    guest: &mut Guest,
    bundle: &Bundle,
) -> Result<Vec<Listed>, Loss> {
    let objects: Vec<_> = context.provisioner.objects().iter().filter(|object| object.llvm == bundle.llvm).collect();
    if !objects.is_empty() {
        return loads::run(context, &job.id, cell, guest, bundle, &objects).await.map(|()| Vec::new());
    }
    let record = &context.record;
    let enter = |phase| record.event(&Event::Phase { job: job.id.clone(), phase });
    let started = Instant::now();
    enter(PhaseName::List);
    let listed = execute::list(&guest.session, bundle, &context.tests, job.has_once(bundle.llvm)).await;
    record.phase(cell, PhaseName::List, started.elapsed().as_secs_f64());
    let failed = |reason| Loss { verdict: Verdict::Fail, phase: PhaseName::List, reason, log: None };
    let Listing { tests, elsewhere, .. } = match listed {
        Ok(Ok(listing)) if listing.tests.is_empty() && listing.elsewhere == 0 && context.tests.only.is_empty() => {
            return Err(failed("the executables have no test that `project.tests` asks for".into()));
        }
        Ok(Ok(listing)) => listing,
        Ok(Err(reason)) => return Err(failed(reason)),
        Err(error) => return Err(guest.lost(PhaseName::List, error).await),
    };
    record.listed(cell, tests.iter().map(|test| waiting(context, cell, test)).collect(), elsewhere);
    let started = Instant::now();
    enter(PhaseName::Test);
    let result = run_tests(context, &job.id, cell, guest, bundle, &tests).await;
    record.phase(cell, PhaseName::Test, started.elapsed().as_secs_f64());
    if result.is_ok() {
        compare_capabilities(context, job, cell, elsewhere == 0 && context.tests.only.is_empty());
    }
    result.map(|()| tests)
}

/// Compares what the tests of `cell` reported of its kernel with what is expected. Unless it is `complete`, what was not
/// reported may still be there.
fn compare_capabilities(context: &Context, job: &Job, cell: &str, complete: bool) {
    let directory = context.directory.path().join("cells").join(cell);
    let (found, troubles) = capabilities::found_in(&directory, &context.record.tests(cell));
    for trouble in troubles {
        context.record.event(&Event::Warning(format!("{cell}: {trouble}")));
    }
    let judged = Judged { arch: job.arch, kernel: &job.kernel.name, cell, complete };
    let expected = context.tests.capabilities.as_ref();
    context.record.capabilities(cell, capabilities::judge(&found, expected, judged));
}

async fn run_tests(
    context: &Context,
    job: &str,
    cell: &str,
    guest: &mut Guest,
    bundle: &Bundle,
    tests: &[Listed],
) -> Result<(), Loss> {
    let lost = |reason| Loss { verdict: Verdict::Lost, phase: PhaseName::Test, reason, log: None };
    let logs = context.directory.cell(cell, guest.attempt).map_err(|error| lost(error.to_string()))?;
    for (place, test) in tests.iter().enumerate() {
        let (total, name) = (tests.len(), test.name.clone());
        context.record.event(&Event::TestStarted { job: job.to_owned(), test: name, done: place, total });
        let waiting = waiting(context, cell, test);
        let ran = execute::run(guest, bundle, test, waiting, &context.tests, &logs).await;
        let record = ran.record;
        let log = record.log.as_ref().map(|file| context.directory.relative(&logs.join(file)));
        let in_cell = |file: &String| context.directory.relative_to_cell(cell, &logs.join(file));
        let artifacts = record.artifacts.iter().map(in_cell).collect();
        context.record.test(job, cell, place, TestRecord { log, artifacts, ..record });
        if let Some(warning) = ran.warning {
            context.record.event(&Event::Warning(format!("{cell}: {}: {warning}", test.name)));
        }
        if let Some(error) = ran.error {
            return Err(guest.lost(PhaseName::Test, error).await);
        }
    }
    Ok(())
}

/// The record of a test that has not run yet.
fn waiting(context: &Context, cell: &str, test: &Listed) -> TestRecord {
    let expected_failure = context.tests.expectations.reason(cell, &test.name).map(ToOwned::to_owned);
    TestRecord { expected_failure, ..TestRecord::waiting(&test.executable.name, &test.name) }
}

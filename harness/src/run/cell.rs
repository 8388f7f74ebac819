//! Runs the tests of one cell in a guest that is up: [`run`].

use std::time::Instant;

use super::context::Context;
use super::event::Event;
use super::execute;
use super::guest::Guest;
use super::loads;
use super::outcome::{Loss, PhaseName, TestRecord, TestResult, Verdict};
use crate::provision::Bundle;

/// Lists and runs the tests of `bundle`; what happens is in the record of `cell`. An error ends the use of the guest.
pub(super) async fn run(
    context: &Context,
    job: &str,
    cell: &str,
    guest: &mut Guest,
    bundle: &Bundle,
) -> Result<(), Loss> {
    let objects: Vec<_> = context.provisioner.objects().iter().filter(|object| object.llvm == bundle.llvm).collect();
    if !objects.is_empty() {
        return loads::run(context, job, cell, guest, bundle, &objects).await;
    }
    let record = &context.record;
    let enter = |phase| record.event(&Event::Phase { job: job.to_owned(), phase });
    let started = Instant::now();
    enter(PhaseName::List);
    let listed = execute::list(&guest.session, bundle, &context.tests).await;
    record.phase(cell, PhaseName::List, started.elapsed().as_secs_f64());
    let failed = |reason| Loss { verdict: Verdict::Fail, phase: PhaseName::List, reason, log: None };
    let tests = match listed {
        Ok(Ok(tests)) if tests.is_empty() && context.tests.only.is_empty() => {
            return Err(failed("the executables have no test that `project.tests` asks for".into()));
        }
        Ok(Ok(tests)) => tests,
        Ok(Err(reason)) => return Err(failed(reason)),
        Err(error) => return Err(guest.lost(PhaseName::List, error).await),
    };
    record.listed(cell, tests.iter().map(|test| waiting(context, cell, test)).collect());
    let started = Instant::now();
    enter(PhaseName::Test);
    let result = run_tests(context, job, cell, guest, bundle, &tests).await;
    record.phase(cell, PhaseName::Test, started.elapsed().as_secs_f64());
    result
}

async fn run_tests(
    context: &Context,
    job: &str,
    cell: &str,
    guest: &mut Guest,
    bundle: &Bundle,
    tests: &[execute::Listed],
) -> Result<(), Loss> {
    let lost = |reason| Loss { verdict: Verdict::Lost, phase: PhaseName::Test, reason, log: None };
    let logs = context.directory.cell(cell, guest.attempt).map_err(|error| lost(error.to_string()))?;
    for (place, test) in tests.iter().enumerate() {
        let (total, name) = (tests.len(), test.name.clone());
        context.record.event(&Event::TestStarted { job: job.to_owned(), test: name, done: place, total });
        let waiting = waiting(context, cell, test);
        let (ran, error) = execute::run(guest, bundle, test, waiting, &context.tests, &logs).await;
        let log = ran.log.as_ref().map(|file| context.directory.relative(&logs.join(file)));
        context.record.test(job, cell, place, TestRecord { log, ..ran });
        if let Some(error) = error {
            return Err(guest.lost(PhaseName::Test, error).await);
        }
    }
    Ok(())
}

/// The record of a test that has not run yet.
fn waiting(context: &Context, cell: &str, test: &execute::Listed) -> TestRecord {
    TestRecord {
        binary: test.executable.name.clone(),
        name: test.name.clone(),
        result: TestResult::NotRun,
        seconds: 0.0,
        message: None,
        expected_failure: context.tests.expectations.reason(cell, &test.name).map(ToOwned::to_owned),
        log: None,
    }
}

//! Loads objects in a guest that is up, in place of running tests: [`run`]. What the loader says of each goes to where a test would
//! have left it.

use std::path::Path;
use std::time::Instant;

use bpf_complexity::{FILE_NAME, Report};

use super::context::Context;
use super::event::Event;
use super::execute::{self, SAY_TESTED};
use super::guest::Guest;
use super::outcome::{Loss, PhaseName, TestRecord, TestResult, Verdict};
use crate::provision::{Bundle, LoadObject, TestExecutable};
use crate::vm::ssh::{Exit, Output, quote};

/// Loads each of `objects`, which lie in `bundle`; what happens is in the record of `cell`, a test for each object. An error ends the use of
/// the guest.
pub(super) async fn run(
    context: &Context,
    job: &str,
    cell: &str,
    guest: &mut Guest,
    bundle: &Bundle,
    objects: &[&LoadObject],
) -> Result<(), Loss> {
    let record = &context.record;
    let lost = |reason| Loss { verdict: Verdict::Lost, phase: PhaseName::Test, reason, log: None };
    let Some(loader) = bundle.executables.first() else { return Err(lost("the bundle has no loader".into())) };
    record.listed(cell, objects.iter().map(|object| waiting(loader, object)).collect(), 0);
    record.event(&Event::Phase { job: job.to_owned(), phase: PhaseName::Test });
    let started = Instant::now();
    let directory = context.directory.cell(cell, guest.attempt).map_err(|error| lost(error.to_string()))?;
    let mut ended = Ok(());
    for (place, object) in objects.iter().enumerate() {
        let (done, total, test) = (place, objects.len(), object.name.clone());
        record.event(&Event::TestStarted { job: job.to_owned(), test, done, total });
        let home = bundle.guest_directory();
        let command =
            format!("{} {}", quote(&format!("{home}/{}", loader.file)), quote(&format!("{home}/{}", object.file())));
        let began = Instant::now();
        let mark = guest.vm.console().mark();
        let command = format!("{command}; code=$?; {SAY_TESTED}; exit $code");
        match guest.session.run(&command, context.tests.deadline).await {
            Ok(output) => {
                guest.hear_tested().await;
                let (result, message) = judge(&output, &directory.join("artifacts").join(&object.name));
                let seconds = began.elapsed().as_secs_f64();
                let mut ran = TestRecord { result, message, seconds, ..waiting(loader, object) };
                if let Some(complaint) = guest.vm.console().complaints_since(mark).into_iter().next() {
                    execute::blame(&mut ran, &format!("the kernel complained: {}", complaint.title));
                }
                record.test(job, cell, place, ran);
            }
            Err(error) => {
                ended = Err(guest.lost(PhaseName::Test, error).await);
                break;
            }
        }
    }
    record.phase(cell, PhaseName::Test, started.elapsed().as_secs_f64());
    ended
}

/// The record of an object that was not loaded yet.
fn waiting(loader: &TestExecutable, object: &LoadObject) -> TestRecord {
    TestRecord::waiting(&loader.name, &object.name)
}

/// What the loader's output amounts to: a program that is refused fails. What it says is kept in `directory`.
fn judge(output: &Output, directory: &Path) -> (TestResult, Option<String>) {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let failed = |message: String| (TestResult::Failed, Some(message));
    match &output.exit {
        Exit::TimedOut => return (TestResult::TimedOut, None),
        exit if !exit.success() => {
            let said = String::from_utf8_lossy(&output.stderr);
            return failed(format!("the loader ended with {exit}: {}", said.trim()));
        }
        _ => {}
    }
    // Also when it cannot be read: what is there is worth a look.
    let path = directory.join(FILE_NAME);
    if let Err(error) = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&path, stdout.as_bytes())) {
        return failed(format!("cannot write `{}`: {error}", path.display()));
    }
    match Report::parse(&stdout) {
        Err(error) => failed(format!("the loader printed something else: {error}")),
        Ok(report) => match report.rejected().as_slice() {
            [] => (TestResult::Passed, None),
            rejected => {
                failed(format!("{} of {} refused: {}", rejected.len(), report.records.len(), rejected.join("; ")))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn output(exit: Exit, stdout: &str) -> Output {
        let (stdout, stderr) = (stdout.into(), b"why\n".to_vec());
        Output { exit, stdout, stderr, truncated: false, elapsed: Duration::ZERO }
    }

    /// Check that each way in which the loader can fail is told, and that what it printed is kept.
    #[test]
    fn the_loaders_word_is_judged_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let judged = |exit, stdout: &str| {
            let (result, message) = judge(&output(exit, stdout), &directory.path().join("object"));
            (result, message.unwrap_or_default())
        };
        let (result, message) = judged(Exit::Code(1), "");
        assert_eq!((result, message.as_str()), (TestResult::Failed, "the loader ended with exit status 1: why"));
        let (result, message) = judged(Exit::Code(0), "{\"schema\": 1");
        assert!(result == TestResult::Failed && message.contains("the loader printed something else"), "{message}");
        assert_eq!(std::fs::read_to_string(directory.path().join("object/complexity.json")).unwrap(), "{\"schema\": 1");
        assert_eq!(judged(Exit::TimedOut, "").0, TestResult::TimedOut);
        let report = |verdict| {
            format!(
                r#"{{"schema": 1, "kernel": {{"release": "6.1", "arch": "x86_64"}},
                "object": {{"name": "a", "sha256": "0", "mode": "release"}},
                "records": [{{"case": "default", "program": "p", "verdict": "{verdict}", "reason": "no"}}]}}"#
            )
        };
        assert_eq!(judged(Exit::Code(0), &report("skipped")), (TestResult::Passed, String::new()));
        assert_eq!(judged(Exit::Code(0), &report("rejected")), (TestResult::Failed, "1 of 1 refused: p: no".into()));
    }
}

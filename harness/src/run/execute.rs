//! Runs the tests of one bundle in a guest, each in a process of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use globset::GlobMatcher;

use super::guest::Guest;
use super::libtest::{self, Ended};
use super::outcome::{TestRecord, TestResult};
use crate::matrix::{Expectations, Tests};
use crate::provision::{Bundle, TestExecutable};
use crate::vm::ssh::{Exit, Output, Session, SshError, quote};

/// How tests are chosen and judged; the same for every cell.
#[derive(Clone, Debug)]
pub struct TestOptions {
    /// Which tests of an executable there are.
    pub tests: Tests,
    /// Only those whose path matches one of these; all when there is none.
    pub only: Vec<GlobMatcher>,
    /// Environment in the guest.
    pub env: BTreeMap<String, String>,
    /// How long one test may run.
    pub deadline: Duration,
    /// What is known to fail.
    pub expectations: Expectations,
}

/// One test, found in an executable.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) executable: TestExecutable,
    pub(super) name: String,
}

/// Puts a line behind whatever the kernel has said so far. It goes through the kernel's own log, so it cannot overtake
/// a complaint, as the answer over ssh does.
pub(super) const SAY_TESTED: &str = "echo '<3>ukci: tested' >/dev/kmsg";

/// Saying so takes milliseconds.
const SAYING: Duration = Duration::from_secs(20);

/// Asks every executable of the bundle for its tests.
pub(super) async fn list(
    session: &Session,
    bundle: &Bundle,
    options: &TestOptions,
) -> Result<Result<Vec<Listed>, String>, SshError> {
    /// Listing prints names and runs nothing, so a minute is ample, even under emulation.
    const DEADLINE: Duration = Duration::from_secs(60);
    let mut found = Vec::new();
    for executable in &bundle.executables {
        let path = format!("{}/{}", bundle.guest_directory(), executable.file);
        let which = match options.tests {
            Tests::Ignored => "--ignored ",
            Tests::All => "",
        };
        let command = format!("{} --list {which}--format terse", quote(&path));
        let output = session.run(&command, DEADLINE).await?;
        if output.exit != Exit::Code(0) {
            let said = String::from_utf8_lossy(&output.stderr);
            return Ok(Err(format!("`{command}` ended with {}: {}", output.exit, said.trim())));
        }
        let names = libtest::listed(&String::from_utf8_lossy(&output.stdout));
        let chosen = |name: &String| options.only.is_empty() || options.only.iter().any(|glob| glob.is_match(name));
        found.extend(names.into_iter().filter(chosen).map(|name| Listed { executable: executable.clone(), name }));
    }
    Ok(Ok(found))
}

/// Runs one test and fills in its record. Its output goes to a log in `directory`; what the kernel complains of meanwhile
/// counts against it. An error besides means that the session is gone, and most likely the guest with it.
pub(super) async fn run(
    guest: &mut Guest,
    bundle: &Bundle,
    test: &Listed,
    mut record: TestRecord,
    options: &TestOptions,
    directory: &Path,
) -> (TestRecord, Option<SshError>) {
    let mark = guest.vm.console().mark();
    let started = Instant::now();
    let answer = guest.session.run(&command(bundle, test, options), options.deadline).await;
    record.seconds = started.elapsed().as_secs_f64();
    let output = match answer {
        Ok(output) => output,
        Err(error) => {
            record.message = Some("the VM was lost while it ran".into());
            return (record, Some(error));
        }
    };
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (record.result, record.message) = match &output.exit {
        Exit::Code(code) => libtest::judge(&Ended::Code(*code), &stdout, &stderr),
        Exit::Signal(name) => libtest::judge(&Ended::Signal(name.clone()), &stdout, &stderr),
        Exit::TimedOut => (TestResult::TimedOut, Some(format!("still running after {} s", options.deadline.as_secs()))),
    };
    record.log = write_log(directory, test, &output);
    if output.exit == Exit::TimedOut
        && let Err(error) = guest.session.run(SAY_TESTED, SAYING).await
    {
        // It was killed before it could say so itself.
        return (record, Some(error));
    }
    guest.hear_tested().await;
    if let Some(complaint) = guest.vm.console().complaints_since(mark).into_iter().next() {
        blame(&mut record, &format!("the kernel complained: {}", complaint.title));
    }
    (record, None)
}

/// Lets a test fail for what the kernel said.
pub(super) fn blame(record: &mut TestRecord, complaint: &str) {
    let before = record.message.take().map(|message| format!("{message}\n")).unwrap_or_default();
    record.message = Some(before + complaint);
    if record.result == TestResult::Passed {
        record.result = TestResult::Failed;
    }
}

/// The guest's command line for one test.
fn command(bundle: &Bundle, test: &Listed, options: &TestOptions) -> String {
    let env: String = options.env.iter().map(|(key, value)| format!("{}={} ", key, quote(value))).collect();
    let directory = bundle.guest_directory();
    let which = match options.tests {
        Tests::Ignored => "--ignored",
        Tests::All => "--include-ignored",
    };
    format!(
        "cd /tmp && env {env}{}/{} {which} --exact {} --nocapture --test-threads=1; code=$?; {SAY_TESTED}; exit $code",
        quote(&directory),
        quote(&test.executable.file),
        quote(&test.name)
    )
}

/// Writes what the test printed, for a person: its standard output, then its standard error.
fn write_log(directory: &Path, test: &Listed, output: &Output) -> Option<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String =
        format!("{}-{}", test.executable.file, test.name.replace("::", ".")).chars().map(plain).collect();
    // Names of files end at 255 bytes; the executable and the beginning of the test's path tell enough.
    let file = format!("{}.log", name.chars().take(200).collect::<String>());
    let text = [&output.stdout[..], b"\n--- stderr ---\n", &output.stderr].concat();
    // A full disk must not change a verdict; `run.json`, which is written next, reports it.
    std::fs::write(directory.join(&file), text).ok().map(|()| file)
}

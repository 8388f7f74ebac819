//! Runs the tests of one bundle in a guest, each in a process of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use globset::GlobMatcher;

use super::artifacts::{self, Spot};
use super::guest::Guest;
use super::libtest::{self, Ended};
use super::outcome::{TestRecord, TestResult};
use crate::matrix::{Capabilities, CoverageSpec, Expectations, Tests};
use crate::provision::{Bundle, TestExecutable, Variant};
use crate::vm::ssh::{Exit, Output, Session, SshError, quote};

/// How tests are chosen and judged; the same for every cell.
#[derive(Clone, Debug)]
pub struct TestOptions {
    /// Which tests of an executable there are.
    pub tests: Tests,
    /// Only those whose path matches one of these; all when there is none.
    pub only: Vec<GlobMatcher>,
    /// Those whose path matches one of these run with one LLVM of each VM.
    pub once: Vec<GlobMatcher>,
    /// Environment in the guest.
    pub env: BTreeMap<String, String>,
    /// How long one test may run.
    pub deadline: Duration,
    /// What is known to fail.
    pub expectations: Expectations,
    /// What kernels are expected to be capable of, if anything is.
    pub capabilities: Option<Capabilities>,
    /// Which bundles get a coverage pass, if there is one.
    pub coverage: Option<CoverageSpec>,
}

/// One test, found in an executable.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) executable: TestExecutable,
    pub(super) name: String,
    /// What its files are called, on this machine and in the guest: no other test of the bundle has the same.
    pub(super) stem: String,
}

/// The tests of a bundle.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    /// Those that run, in their order.
    pub(super) tests: Vec<Listed>,
    /// How many are left to the bundle of another LLVM.
    pub(super) elsewhere: usize,
    /// The stems that are taken.
    stems: BTreeSet<String>,
}

impl Listing {
    /// Adds those of the tests `names` of `executable` that are asked for.
    fn add(&mut self, executable: &TestExecutable, names: Vec<String>, options: &TestOptions, has_once: bool) {
        let is_among = |globs: &[GlobMatcher], name: &str| globs.iter().any(|glob| glob.is_match(name));
        for name in names.into_iter().filter(|name| options.only.is_empty() || is_among(&options.only, name)) {
            if !has_once && is_among(&options.once, &name) {
                self.elsewhere += 1;
                continue;
            }
            let stem = stem(executable, &name, &mut self.stems);
            self.tests.push(Listed { executable: executable.clone(), name, stem });
        }
    }
}

/// What came of one test.
#[derive(Debug)]
pub(super) struct Ran {
    /// How it ended; log and artifacts are relative to the directories that they were to go to.
    pub(super) record: TestRecord,
    /// What to know about its artifacts.
    pub(super) warning: Option<String>,
    /// Why the session is gone, and most likely the guest with it.
    pub(super) error: Option<SshError>,
}

/// Puts a line behind whatever the kernel has said so far. It goes through the kernel's own log, so it cannot overtake
/// a complaint, as the answer over ssh does.
pub(super) const SAY_TESTED: &str = "echo '<3>ukci: tested' >/dev/kmsg";

/// Saying so takes milliseconds.
const SAYING: Duration = Duration::from_secs(20);

/// Asks every executable of the bundle for its tests. Those that run once per VM are among them if it `has_once`.
pub(super) async fn list(
    session: &Session,
    bundle: &Bundle,
    options: &TestOptions,
    has_once: bool,
) -> Result<Result<Listing, String>, SshError> {
    /// Listing prints names and runs nothing, so a minute is ample, even under emulation.
    const DEADLINE: Duration = Duration::from_secs(60);
    let mut listing = Listing::default();
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
        listing.add(executable, names, options, has_once);
    }
    Ok(Ok(listing))
}

/// The name of the files of a test, which is put among those that are `taken`.
fn stem(executable: &TestExecutable, test: &str, taken: &mut BTreeSet<String>) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let whole = format!("{}-{}", executable.file, test.replace("::", "."));
    // Names of files end at 255 bytes; the executable and the beginning of the test's path tell enough.
    let base: String = whole.chars().map(plain).take(200).collect();
    let numbered = (2..).map(|number| format!("{base}-{number}"));
    let mut free = std::iter::once(base.clone()).chain(numbered).filter(|stem| !taken.contains(stem));
    // OK because the numbers do not end.
    let stem = free.next().unwrap_or_default();
    taken.insert(stem.clone());
    stem
}

/// Runs one test and fills in its record. Its output goes to a log in the directory `logs`, its artifacts below that; what the
/// kernel complains of meanwhile counts against it.
pub(super) async fn run(
    guest: &mut Guest,
    bundle: &Bundle,
    test: &Listed,
    mut record: TestRecord,
    options: &TestOptions,
    logs: &Path,
) -> Ran {
    let mark = guest.vm.console().mark();
    let spot = Spot::new(&format!("{}/{}", bundle.name(), test.stem));
    let started = Instant::now();
    let answer = guest.session.run(&command(bundle, test, options, &spot), options.deadline).await;
    record.seconds = started.elapsed().as_secs_f64();
    let mut output = match answer {
        Ok(output) => output,
        Err(error) => {
            record.message = Some("the VM was lost while it ran".into());
            return Ran { record, warning: None, error: Some(error) };
        }
    };
    let mut left_something = artifacts::take_mark(&mut output);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (record.result, record.message) = match &output.exit {
        Exit::Code(code) => libtest::judge(&Ended::Code(*code), &stdout, &stderr),
        Exit::Signal(name) => libtest::judge(&Ended::Signal(name.clone()), &stdout, &stderr),
        Exit::TimedOut => (TestResult::TimedOut, Some(format!("still running after {} s", options.deadline.as_secs()))),
    };
    record.log = write_log(logs, test, &output);
    if output.exit == Exit::TimedOut {
        // It was killed before it could say so itself.
        match guest.session.run(&format!("{SAY_TESTED}; {}", spot.look()), SAYING).await {
            Ok(mut said) => left_something |= artifacts::take_mark(&mut said),
            Err(error) => return Ran { record, warning: None, error: Some(error) },
        }
    }
    let mut warning = None;
    if left_something {
        let place = match bundle.variant {
            Variant::Plain => format!("artifacts/{}", test.stem),
            Variant::Coverage => test.stem.clone(),
        };
        let fetched = artifacts::fetch(&guest.session, &spot, &logs.join(&place)).await;
        record.artifacts = fetched.files.iter().map(|file| format!("{place}/{file}")).collect();
        warning = fetched.warning;
    }
    guest.hear_tested().await;
    if let Some(complaint) = guest.vm.console().complaints_since(mark).into_iter().next() {
        blame(&mut record, &format!("the kernel complained: {}", complaint.title));
    }
    Ran { record, warning, error: None }
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
fn command(bundle: &Bundle, test: &Listed, options: &TestOptions, spot: &Spot) -> String {
    let own = [(artifacts::VARIABLE, spot.path().to_owned())];
    let coverage = match bundle.variant {
        Variant::Plain => None,
        // One profile for each executable, to which every process of it adds.
        Variant::Coverage => Some([
            ("BPF_COVERAGE_DIR", format!("{}/bpf", spot.path())),
            ("LLVM_PROFILE_FILE", format!("{}/userspace/%m.profraw", spot.path())),
        ]),
    };
    let of_project = options.env.iter().map(|(key, value)| (key.as_str(), value.clone()));
    let env = of_project.chain(own).chain(coverage.into_iter().flatten());
    let env: String = env.map(|(key, value)| format!("{key}={} ", quote(&value))).collect();
    let directory = bundle.guest_directory();
    let which = match options.tests {
        Tests::Ignored => "--ignored",
        Tests::All => "--include-ignored",
    };
    format!(
        "{}; cd /tmp && env {env}{}/{} {which} --exact {} --nocapture --test-threads=1; code=$?; {SAY_TESTED}; {}; \
         exit $code",
        spot.make(),
        quote(&directory),
        quote(&test.executable.file),
        quote(&test.name),
        spot.look()
    )
}

/// Writes what the test printed, for a person: its standard output, then its standard error.
fn write_log(directory: &Path, test: &Listed, output: &Output) -> Option<String> {
    let file = format!("{}.log", test.stem);
    let text = [&output.stdout[..], b"\n--- stderr ---\n", &output.stderr].concat();
    // A full disk must not change a verdict; `run.json`, which is written next, reports it.
    std::fs::write(directory.join(&file), text).ok().map(|()| file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that what runs once per VM is counted, not dropped, where it does not run, and that `--test` comes first.
    #[test]
    fn what_runs_once_is_counted_in_the_other_bundles() {
        let executable = TestExecutable { name: "demo::exec".into(), file: "demo-exec".into(), path: "x".into() };
        let globs = |globs: &[&str]| globs.iter().map(|glob| crate::matrix::matcher(glob).unwrap()).collect();
        let listed = |only: &[&str], has_once| {
            let options = TestOptions {
                tests: Tests::Ignored,
                only: globs(only),
                once: globs(&["ptrace::*", "args"]),
                env: BTreeMap::new(),
                deadline: SAYING,
                expectations: Expectations::default(),
                capabilities: None,
                coverage: None,
            };
            let mut listing = Listing::default();
            let names = ["args", "ebpf::args", "ptrace::args"].map(ToOwned::to_owned);
            listing.add(&executable, names.to_vec(), &options, has_once);
            (listing.tests.into_iter().map(|test| test.name).collect::<Vec<_>>().join(" "), listing.elsewhere)
        };
        assert_eq!(listed(&[], true), ("args ebpf::args ptrace::args".into(), 0));
        assert_eq!(listed(&[], false), ("ebpf::args".into(), 2));
        assert_eq!(listed(&["*::args"], false), ("ebpf::args".into(), 1));
    }

    /// Check that no two tests share a log: others than letters, digits and a few marks become one and the same.
    #[test]
    fn every_test_has_files_of_its_own() {
        let executable = TestExecutable { name: "demo::exec".into(), file: "demo-exec".into(), path: "x".into() };
        let mut taken = BTreeSet::new();
        let mut stem = |test: &str| stem(&executable, test, &mut taken);
        assert_eq!(stem("a::b c"), "demo-exec-a.b-c");
        assert_eq!(stem("a::b/c"), "demo-exec-a.b-c-2");
        assert_eq!(stem("a::b'c"), "demo-exec-a.b-c-3");
        let (long, other) = (stem(&"x".repeat(300)), stem(&"x".repeat(301)));
        assert_ne!(long, other);
        assert_eq!((long.len(), other.len()), (200, 202));
    }
}

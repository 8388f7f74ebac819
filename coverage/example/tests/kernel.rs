//! What the crate does in a running kernel.

use std::fs;
use std::path::{Path, PathBuf};

use bpf_coverage::collect::{self, Outcome, Record};
use bpf_coverage_example::skeleton::{refuses_both, refuses_counters};
use bpf_coverage_example::{Probe, place};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use serial_test::serial;
use tempfile::TempDir;

/// The one record in `directory`, and its profile if it has one.
fn only_record(directory: &Path) -> (Record, Option<String>) {
    let files: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    let records: Vec<&PathBuf> = files.iter().filter(|path| path.extension().is_some_and(|it| it == "json")).collect();
    let [record] = records.as_slice() else { panic!("expected one record: {files:?}") };
    let profile = fs::read_to_string(record.with_extension("proftext")).ok();
    assert_eq!(files.len(), 1 + usize::from(profile.is_some()), "nothing else is left: {files:?}");
    (serde_json::from_slice(&fs::read(record).unwrap()).unwrap(), profile)
}

/// The counters of the function `name` in a profile.
fn counters(profile: &str, name: &str) -> Vec<u64> {
    let mut lines = profile.lines().skip_while(|line| *line != name).skip(2);
    let count = lines.next().unwrap().parse().unwrap();
    lines.take(count).map(|line| line.parse().unwrap()).collect()
}

/// Check that what ran is counted exactly, and written when the last owner is dropped.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn counts_what_ran() {
    let directory = TempDir::new().unwrap();
    let probe = Probe::load_into(Some(directory.path().into()), false).unwrap();
    assert_eq!(probe.coverage().outcome(), Some(Outcome::Counters));
    for value in [0, 5, 5, 500] {
        probe.run(value).unwrap();
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    drop(probe);
    let (record, profile) = only_record(directory.path());
    assert_eq!((record.object.as_str(), record.mode, record.reason), ("probe", Outcome::Counters, None));
    let runs = |name| record.programs.iter().find(|program| program.name == name).unwrap().run_count;
    assert_eq!((runs("probe"), runs("never")), (Some(4), Some(0)));
    let profile = profile.unwrap();
    // Entered, and of those the value 0, and of the others doubled.
    assert_eq!(counters(&profile, "probe"), [4, 1, 0]);
    assert_eq!(counters(&profile, "never"), [0]);
}

/// Check that the plain object does the same as the instrumented one, and that nothing is written without a directory.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn plain_without_a_directory() {
    let directory = TempDir::new().unwrap();
    let instrumented = Probe::load_into(Some(directory.path().into()), true).unwrap();
    let plain = Probe::load_into(None, true).unwrap();
    assert_eq!(plain.coverage().outcome(), None);
    for value in [0, 5, 60, 5000] {
        assert_eq!(plain.run(value).unwrap(), instrumented.run(value).unwrap());
    }
    assert_eq!(plain.total(), instrumented.total());
    drop(plain);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// Check that a test that fails leaves its coverage.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn written_by_a_panic() {
    let directory = TempDir::new().unwrap();
    let panicked = std::panic::catch_unwind(|| {
        let probe = Probe::load_into(Some(directory.path().into()), false).unwrap();
        probe.run(5).unwrap();
        panic!("as a failing test does");
    });
    assert!(panicked.is_err());
    assert_eq!(counters(&only_record(directory.path()).1.unwrap(), "probe"), [1, 0, 0]);
}

/// Check that each load has files of its own.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn two_loads() {
    let directory = TempDir::new().unwrap();
    for _ in 0..2 {
        Probe::load_into(Some(directory.path().into()), false).unwrap().run(1).unwrap();
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4);
}

/// Check that single bytes are counted when the verifier refuses counters, and that its words are kept.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn falls_back_to_single_bytes() {
    let directory = TempDir::new().unwrap();
    let (skel, coverage) = collect::load_into(Some(directory.path().into()), &refuses_counters::COVERAGE, || {
        refuses_counters::RefusesCountersSkelBuilder::default().open(place())?.load()
    })
    .unwrap();
    drop((skel, coverage));
    let (record, profile) = only_record(directory.path());
    assert_eq!(record.mode, Outcome::SingleByte);
    let reason = record.reason.unwrap();
    assert!(reason.starts_with("counters: prog 'program': BPF program load failed: "), "{reason}");
    assert!(reason.contains("invalid bpf_context access"), "{reason}");
    assert!(profile.unwrap().starts_with(":fe\n:single_byte_coverage\n"));
}

/// Check that the program itself loads when both kinds of instrumentation are refused, with its runs counted.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn falls_back_to_run_counts() {
    let directory = TempDir::new().unwrap();
    let (skel, coverage) = collect::load_into(Some(directory.path().into()), &refuses_both::COVERAGE, || {
        refuses_both::RefusesBothSkelBuilder::default().open(place())?.load()
    })
    .unwrap();
    let input = libbpf_rs::ProgramInput { context_in: Some(&mut [1, 0, 0, 0, 0, 0, 0, 0]), ..Default::default() };
    assert_eq!(skel.progs.program.test_run(input).unwrap().return_value, 1);
    drop((skel, coverage));
    let (record, profile) = only_record(directory.path());
    assert_eq!((record.mode, record.object_hash, profile), (Outcome::RunCounts, None, None));
    assert_eq!(record.programs[0].run_count, Some(1));
    let reason = record.reason.unwrap();
    let modes: Vec<&str> = reason.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(modes, ["counters", "single_byte"], "{reason}");
}

/// Check that the error of the plain object is the one that is returned, and that a record says that nothing is known.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn the_plain_objects_error() {
    let directory = TempDir::new().unwrap();
    let mut attempts = 0;
    let failed = collect::load_into(Some(directory.path().into()), &refuses_both::COVERAGE, || {
        attempts += 1;
        Err::<refuses_both::RefusesBothSkel<'static>, String>(format!("attempt {attempts}"))
    });
    assert_eq!(failed.err(), Some("attempt 3".to_owned()));
    let (record, profile) = only_record(directory.path());
    assert_eq!((record.mode, profile), (Outcome::None, None));
    assert_eq!(record.reason.as_deref(), Some("counters: attempt 1\nsingle_byte: attempt 2\nplain: attempt 3"));
}

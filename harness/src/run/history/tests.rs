//! Records of earlier runs, whole and broken.

use super::*;
use crate::matrix::{KernelOrigin, KernelSpec, Series, SeriesSpec};
use crate::report;
use crate::report::fixture;
use crate::run::outcome::{TestResult, Verdict};

fn job(arch: Arch, kernel: &str, llvm: &[u32]) -> Job {
    let series: Series = serde_yaml::from_str("rc").unwrap();
    let kernel = KernelSpec {
        name: kernel.into(),
        origin: KernelOrigin::Series(SeriesSpec { series, flavor: None }),
        arches: None,
    };
    Job { id: format!("{arch}/{}", kernel.name), arch, kernel, llvm: llvm.to_vec(), planned: llvm.to_vec() }
}

/// A cell whose boot and connection took `boot` seconds, and whose tests took `test`.
fn cell(arch: Arch, kernel: &str, llvm: u32, boot: f64, test: f64) -> CellOutcome {
    let mut cell = fixture::cell(arch, kernel, llvm, vec![fixture::attempt(vec![fixture::passed("a")])]);
    for phase in &mut cell.attempts[0].phases {
        phase.seconds = match phase.name {
            PhaseName::Boot => boot,
            PhaseName::Test => test,
            _ => 0.0,
        };
    }
    cell
}

fn write(runs: &Path, id: &str, cells: Vec<CellOutcome>) {
    let directory = runs.join(id);
    std::fs::create_dir(&directory).unwrap();
    report::write_record(&directory, &fixture::run(cells)).unwrap();
}

#[track_caller]
fn assert_about(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "found {found}, expected {expected}");
}

#[test]
fn a_job_takes_as_long_as_the_last_time() {
    let runs = tempfile::tempdir().unwrap();
    let x86 = |kernel, llvm, boot, test| cell(Arch::X86_64, kernel, llvm, boot, test);
    write(runs.path(), "2026-01-01", vec![x86("6.12", 22, 90.0, 90.0), x86("6.1", 22, 7.0, 7.0)]);
    write(runs.path(), "2026-01-02", vec![x86("6.12", 22, 2.0, 4.0), x86("6.12", 21, 2.0, 6.0)]);
    let history = History::read(runs.path());
    assert_about(history.expected_seconds(&job(Arch::X86_64, "6.12", &[22])), 6.0);
    assert_about(history.expected_seconds(&job(Arch::X86_64, "6.12", &[22, 21])), 12.0);
    // An LLVM that is not known takes as long as those that are.
    assert_about(history.expected_seconds(&job(Arch::X86_64, "6.12", &[23])), 7.0);
    assert_about(history.expected_seconds(&job(Arch::X86_64, "6.1", &[22])), 14.0);
    // A kernel that is not known, as long as others of its architecture: boots of 2 and 7 s, tests of 4, 6 and 7 s.
    assert_about(history.expected_seconds(&job(Arch::X86_64, "7.2", &[22, 21])), 4.5 + 2.0 * 6.0);
}

/// Check that a cell that did not come to its end tells nothing: neither one that was lost nor one that was interrupted.
#[test]
fn what_did_not_end_is_not_believed() {
    let runs = tempfile::tempdir().unwrap();
    write(runs.path(), "1", vec![cell(Arch::X86_64, "6.12", 22, 2.0, 4.0)]);
    let lost = fixture::lost(Verdict::Lost, PhaseName::Boot, "gone", vec![]);
    let waiting = fixture::attempt(vec![fixture::passed("a"), fixture::test("b", TestResult::NotRun, None)]);
    write(runs.path(), "2", vec![fixture::cell(Arch::X86_64, "6.12", 22, vec![lost])]);
    write(runs.path(), "3", vec![fixture::cell(Arch::X86_64, "6.12", 22, vec![waiting])]);
    write(runs.path(), "4", vec![fixture::cell(Arch::X86_64, "6.12", 22, vec![])]);
    assert_about(History::read(runs.path()).expected_seconds(&job(Arch::X86_64, "6.12", &[22])), 6.0);
}

#[test]
fn records_that_are_absent_or_damaged_are_passed_over() {
    let runs = tempfile::tempdir().unwrap();
    let known = job(Arch::Riscv64, "6.12", &[22]);
    let estimate = History::default().expected_seconds(&known);
    assert_about(History::read(&runs.path().join("none")).expected_seconds(&known), estimate);
    write(runs.path(), "2026-01-01", vec![cell(Arch::Riscv64, "6.12", 22, 20.0, 30.0)]);
    let whole = std::fs::read(runs.path().join("2026-01-01/run.json")).unwrap();
    let damaged = [&whole[..whole.len() / 2], b"", b"\xff\xfe", b"{\"schema\": 2}", b"[]"];
    for (index, bytes) in damaged.into_iter().enumerate() {
        let directory = runs.path().join(format!("2026-02-0{index}"));
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("run.json"), bytes).unwrap();
    }
    std::fs::create_dir(runs.path().join("2026-03-01")).unwrap();
    std::fs::write(runs.path().join("2026-03-02"), "no directory").unwrap();
    std::os::unix::fs::symlink("2026-03-01", runs.path().join("latest")).unwrap();
    assert_about(History::read(runs.path()).expected_seconds(&known), 50.0);
}

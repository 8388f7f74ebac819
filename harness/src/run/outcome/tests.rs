//! What each combination of records amounts to.

use super::TestResult::{Failed, NotRun, Passed, TimedOut};
use super::*;

fn test(result: TestResult, expected: bool) -> TestRecord {
    TestRecord {
        binary: "demo::exec".into(),
        name: "sees_exec".into(),
        result,
        seconds: 0.5,
        message: (result != TestResult::Passed).then(|| "\n  left != right\ndetails".into()),
        expected_failure: expected.then(|| "needs LSM hooks".into()),
        log: None,
        artifacts: vec![],
    }
}

fn lost(verdict: Verdict, phase: PhaseName) -> Option<Loss> {
    Some(Loss { verdict, phase, reason: "kernel panic\nVFS: no root".into(), log: None })
}

fn cell(attempts: Vec<Attempt>) -> CellOutcome {
    let kernel = KernelId { name: "6.12".into(), release: "6.12.117".into(), package: None, version: None };
    let id = "x86_64/6.12/llvm22".into();
    let (position, inputs) = (0, Inputs::default());
    CellOutcome { id, arch: Arch::X86_64, kernel, llvm: 22, position, inputs, not_run: None, attempts }
}

fn run(cells: Vec<CellOutcome>) -> RunOutcome {
    RunOutcome { cells, ..crate::report::fixture::empty() }
}

fn attempt(tests: Vec<TestRecord>, loss: Option<Loss>) -> Attempt {
    let phases = vec![Phase { name: PhaseName::Boot, seconds: 2.0 }, Phase { name: PhaseName::Test, seconds: 1.0 }];
    Attempt { phases, tests, loss, ..Attempt::default() }
}

/// Check that a cell has this verdict, this reason, and alone leads to this exit code.
#[track_caller]
fn check(attempts: Vec<Attempt>, verdict: Verdict, exit_code: u8, reason: Option<&str>) {
    let cell = cell(attempts);
    assert_eq!((cell.verdict(), cell.reason().as_deref()), (verdict, reason));
    assert_eq!(run(vec![cell]).exit_code(), exit_code);
}

#[test]
fn a_test_is_judged_by_result_and_expectation() {
    let verdicts = [Passed, Failed, TimedOut, NotRun].map(|r| (test(r, false).verdict(), test(r, true).verdict()));
    assert_eq!(
        verdicts,
        [
            (Verdict::Pass, Verdict::Xpass),
            (Verdict::Fail, Verdict::Xfail),
            (Verdict::Timeout, Verdict::Xfail),
            (Verdict::NotRun, Verdict::NotRun),
        ]
    );
}

#[test]
fn a_complete_attempt_is_as_bad_as_its_worst_test() {
    let pass = || test(Passed, false);
    check(vec![attempt(vec![pass(), pass()], None)], Verdict::Pass, 0, None);
    check(vec![attempt(vec![pass(), test(Failed, false)], None)], Verdict::Fail, 4, Some("sees_exec: left != right"));
    check(
        vec![attempt(vec![test(Failed, true), pass()], None)],
        Verdict::Xfail,
        0,
        Some("sees_exec: expected: needs LSM hooks"),
    );
    check(
        vec![attempt(vec![test(Passed, true), test(TimedOut, false)], None)],
        Verdict::Xpass,
        4,
        Some("sees_exec: passed, but should fail: needs LSM hooks"),
    );
    check(vec![attempt(vec![test(TimedOut, false)], None)], Verdict::Timeout, 4, Some("sees_exec: left != right"));
    check(vec![attempt(vec![], None)], Verdict::NotRun, 0, Some("the bundle has no tests to run"));
}

/// Check that a kernel that is capable of something else than expected fails its cell, although all tests pass.
#[test]
fn a_surprise_fails_the_cell() {
    let capability = |expected: &str, judged| Capability {
        name: "execve".into(),
        found: Some("kprobe".into()),
        expected: Some(expected.into()),
        reason: Some("usual".into()),
        judged,
    };
    let reporting =
        |capability| vec![Attempt { capabilities: vec![capability], ..attempt(vec![test(Passed, false)], None) }];
    check(reporting(capability("kprobe", true)), Verdict::Pass, 0, None);
    check(reporting(capability("fentry", false)), Verdict::Pass, 0, None);
    let reason = "capability `execve`: expected `fentry` (usual), found `kprobe`";
    check(reporting(capability("fentry", true)), Verdict::Fail, 4, Some(reason));
}

#[test]
fn a_loss_hides_no_failure_and_a_failure_no_loss_of_the_exit_code() {
    let missing = || test(NotRun, false);
    let boot = lost(Verdict::Lost, PhaseName::Boot);
    check(vec![attempt(vec![], boot)], Verdict::Lost, 3, Some("in boot: kernel panic"));
    let tests = vec![test(Passed, false), missing()];
    check(
        vec![attempt(tests.clone(), lost(Verdict::Lost, PhaseName::Test))],
        Verdict::Lost,
        3,
        Some("in test: kernel panic"),
    );
    check(
        vec![attempt(tests, lost(Verdict::Timeout, PhaseName::Connect))],
        Verdict::Timeout,
        3,
        Some("in connect: kernel panic"),
    );
    check(
        vec![attempt(vec![test(Failed, false), missing()], lost(Verdict::Lost, PhaseName::Test))],
        Verdict::Fail,
        4,
        Some("sees_exec: left != right"),
    );
    check(
        vec![attempt(vec![test(TimedOut, false)], lost(Verdict::Lost, PhaseName::Test))],
        Verdict::Timeout,
        4,
        Some("sees_exec: left != right"),
    );
    check(
        vec![attempt(vec![], lost(Verdict::Fail, PhaseName::Build))],
        Verdict::Fail,
        4,
        Some("in build: kernel panic"),
    );
}

#[test]
fn a_retry_makes_flaky_what_it_cures_and_nothing_else() {
    let boot = || attempt(vec![], lost(Verdict::Lost, PhaseName::Boot));
    let clean = || attempt(vec![test(Passed, false)], None);
    check(vec![boot(), clean()], Verdict::Flaky, 0, Some("attempt 1 ended in boot: kernel panic"));
    let failed = attempt(vec![test(Failed, false)], None);
    check(vec![failed, clean()], Verdict::Flaky, 0, Some("attempt 1: sees_exec: left != right"));
    check(vec![clean(), boot(), clean()], Verdict::Flaky, 0, Some("attempt 2 ended in boot: kernel panic"));
    check(vec![clean(), clean()], Verdict::Flaky, 0, Some("ran more than once"));
    check(vec![boot(), boot()], Verdict::Lost, 3, Some("in boot: kernel panic"));
    let expected = attempt(vec![test(Passed, false), test(Failed, true)], None);
    check(vec![boot(), expected], Verdict::Xfail, 0, Some("sees_exec: expected: needs LSM hooks"));
}

#[test]
fn what_was_interrupted_is_not_green() {
    check(vec![], Verdict::NotRun, 130, Some("interrupted before it began"));
    check(vec![Attempt::default()], Verdict::NotRun, 130, Some("interrupted before its first phase"));
    let booting = Attempt { phases: vec![Phase { name: PhaseName::Boot, seconds: 1.0 }], ..Attempt::default() };
    check(vec![booting], Verdict::NotRun, 130, Some("interrupted in boot"));
    let halfway = attempt(vec![test(Passed, false), test(NotRun, false)], None);
    check(vec![halfway], Verdict::NotRun, 130, Some("interrupted: 1 of 2 tests did not run"));

    let mut excluded = cell(vec![]);
    excluded.not_run = Some("no riscv64 package before 6.12".into());
    assert_eq!(excluded.reason().as_deref(), Some("no riscv64 package before 6.12"));
    assert_eq!(run(vec![excluded]).exit_code(), 0);
}

/// Check that an attempt that was cut short counts neither for nor against the one that follows, unless a test in it had
/// already failed.
#[test]
fn what_was_merely_cut_short_makes_nothing_flaky() {
    let clean = || attempt(vec![test(Passed, false), test(Passed, false)], None);
    let halfway = attempt(vec![test(Passed, false), test(NotRun, false)], None);
    let booting = Attempt { phases: vec![Phase { name: PhaseName::Boot, seconds: 1.0 }], ..Attempt::default() };
    check(vec![halfway.clone(), clean()], Verdict::Pass, 0, None);
    check(vec![booting.clone(), halfway.clone(), clean()], Verdict::Pass, 0, None);
    let boot = attempt(vec![], lost(Verdict::Lost, PhaseName::Boot));
    check(vec![halfway.clone(), boot, clean()], Verdict::Flaky, 0, Some("attempt 2 ended in boot: kernel panic"));
    let failing = attempt(vec![test(Failed, false), test(NotRun, false)], None);
    check(vec![failing, clean()], Verdict::Flaky, 0, Some("attempt 1: sees_exec: left != right"));
    let expected = attempt(vec![test(Failed, true), test(NotRun, false)], None);
    check(vec![expected, clean()], Verdict::Pass, 0, None);
    check(vec![clean(), halfway], Verdict::NotRun, 130, Some("interrupted: 1 of 2 tests did not run"));
    check(vec![clean(), booting], Verdict::NotRun, 130, Some("interrupted in boot"));
}

/// Check which verdicts a resumed run keeps: those that say something about the program.
#[test]
fn a_verdict_is_final_when_it_is_about_the_program() {
    let is_final = |attempts| cell(attempts).is_final();
    for result in [Passed, Failed, TimedOut] {
        for expected in [false, true] {
            assert!(is_final(vec![attempt(vec![test(result, expected)], None)]), "{result:?} {expected}");
        }
    }
    assert!(is_final(vec![attempt(vec![], lost(Verdict::Fail, PhaseName::Build))]));
    assert!(is_final(vec![attempt(vec![], None)]), "a bundle without tests");
    let mut excluded = cell(vec![]);
    excluded.not_run = Some("no riscv64 package before 6.12".into());
    assert!(excluded.is_final());
    // A failure, and a test that timed out, stay what they are when the VM is lost after them.
    let then_lost =
        |result| attempt(vec![test(result, false), test(NotRun, false)], lost(Verdict::Lost, PhaseName::Test));
    assert!(is_final(vec![then_lost(Failed)]));
    assert!(is_final(vec![then_lost(TimedOut)]));

    assert!(!is_final(vec![]));
    assert!(!is_final(vec![Attempt::default()]));
    assert!(!is_final(vec![then_lost(Passed)]));
    assert!(!is_final(vec![attempt(vec![], lost(Verdict::Timeout, PhaseName::Boot))]));
    assert!(!is_final(vec![attempt(vec![], lost(Verdict::Lost, PhaseName::Provision))]));
    let clean = attempt(vec![test(Passed, false)], None);
    assert!(!is_final(vec![clean, attempt(vec![test(Passed, false), test(NotRun, false)], None)]));
    // A failure may yet turn out to be one of several.
    assert!(!is_final(vec![attempt(vec![test(Failed, false), test(NotRun, false)], None)]));
}

#[test]
fn the_worst_cell_decides_the_exit_code() {
    let good = || cell(vec![attempt(vec![test(Passed, false)], None)]);
    let lost = || cell(vec![attempt(vec![], lost(Verdict::Lost, PhaseName::Boot))]);
    let failed = || cell(vec![attempt(vec![test(Failed, false)], None)]);
    assert_eq!(run(vec![]).exit_code(), 0);
    assert_eq!(run(vec![good(), cell(vec![])]).exit_code(), 130);
    assert_eq!(run(vec![good(), lost(), cell(vec![])]).exit_code(), 3);
    assert_eq!(run(vec![failed(), lost(), good()]).exit_code(), 4);
}

#[test]
fn a_cell_took_as_long_as_all_of_its_attempts() {
    assert_eq!(cell(vec![attempt(vec![], None), attempt(vec![], None)]).seconds(), 6.0);
}

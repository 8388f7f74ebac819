//! Runs for the tests of the reports.

use crate::archive::Sha256;
use crate::matrix::{Arch, Shard};
use crate::run::outcome::{
    Attempt, CellOutcome, CoverageFailure, CoverageRecord, HostId, Inputs, KernelId, Loss, Phase, PhaseName, PlanId,
    RunOutcome, TestRecord, TestResult, Verdict,
};

/// A run of these cells that took 41 seconds.
pub(crate) fn run(cells: Vec<CellOutcome>) -> RunOutcome {
    RunOutcome {
        schema: 1,
        id: "20260824T100211Z".into(),
        started: "2026-08-24T10:02:11Z".parse().unwrap(),
        finished: Some("2026-08-24T10:02:52.4Z".parse().unwrap()),
        resumed: vec![],
        host: HostId { cores: 4, accel: "tcg".into(), qemu: "10.0.13".into() },
        hosts: vec![],
        plan: None,
        shard: None,
        test_globs: vec![],
        coverage: false,
        cells,
        jobs: vec![],
    }
}

pub(crate) fn test(name: &str, result: TestResult, message: Option<&str>) -> TestRecord {
    TestRecord {
        binary: "tracer::exec".into(),
        name: name.into(),
        result,
        seconds: 0.25,
        message: message.map(Into::into),
        expected_failure: None,
        log: Some(format!("cells/tests/{name}.log")),
        artifacts: vec![],
    }
}

pub(crate) fn passed(name: &str) -> TestRecord {
    test(name, TestResult::Passed, None)
}

pub(crate) fn expecting(test: TestRecord, reason: &str) -> TestRecord {
    TestRecord { expected_failure: Some(reason.into()), ..test }
}

pub(crate) fn attempt(tests: Vec<TestRecord>) -> Attempt {
    let phases = [(PhaseName::Boot, 2.1), (PhaseName::Connect, 0.4), (PhaseName::List, 0.1), (PhaseName::Test, 1.604)];
    let phases = phases.map(|(name, seconds)| Phase { name, seconds }).to_vec();
    Attempt { phases, tests, ..Attempt::default() }
}

pub(crate) fn lost(verdict: Verdict, phase: PhaseName, reason: &str, tests: Vec<TestRecord>) -> Attempt {
    let phases = vec![Phase { name: phase, seconds: 60.0 }];
    let log = (phase > PhaseName::Build).then(|| "cells/x86_64/6.12/attempt1/console.log".to_owned());
    let loss = Some(Loss { verdict, phase, reason: reason.into(), log });
    Attempt { phases, tests, loss, ..Attempt::default() }
}

pub(crate) fn cell(arch: Arch, kernel: &str, llvm: u32, attempts: Vec<Attempt>) -> CellOutcome {
    let debian = arch.debian_name();
    CellOutcome {
        id: format!("{arch}/{kernel}/llvm{llvm}"),
        arch,
        kernel: KernelId {
            name: kernel.into(),
            release: format!("{kernel}.117+deb13-cloud-{debian}"),
            package: Some(format!("linux-image-{kernel}.117+deb13-cloud-{debian}")),
            version: Some(format!("{kernel}.117-1")),
        },
        llvm,
        position: 0,
        inputs: Inputs::default(),
        not_run: None,
        attempts,
    }
}

pub(crate) const TESTS: [&str; 9] = [
    "sees_exec_with_exact_argv",
    "sees_execveat_by_fd",
    "keeps_order_under_load",
    "counts_drops",
    "names_the_failing_errno",
    "follows_forks_and_threads",
    "reads_paths_longer_than_a_page",
    "survives_sigkill_of_the_tracee",
    "verifier_cost_stays_within_budget",
];

pub(crate) const KERNELS: [&str; 12] =
    ["5.10", "5.15", "6.1", "6.6", "6.12", "6.16", "6.17", "6.18", "6.19", "7.0", "7.1", "rc"];

pub(crate) fn empty() -> RunOutcome {
    RunOutcome { finished: None, ..run(vec![]) }
}

pub(crate) fn one_cell() -> RunOutcome {
    run(vec![cell(Arch::X86_64, "6.12", 22, vec![attempt(TESTS[..2].iter().copied().map(passed).collect())])])
}

/// The second of three shards, which was resumed twice.
pub(crate) fn resumed_shard() -> RunOutcome {
    let mut run = one_cell();
    run.resumed = ["2026-08-24T11:00:00Z", "2026-08-24T12:00:00.5Z"].map(|time| time.parse().unwrap()).to_vec();
    run.hosts = vec![run.host.clone()];
    run.plan = Some(PlanId { cells: 7, fingerprint: "0123".into() });
    run.shard = Some(Shard { index: 2, of: 3 });
    run.test_globs = vec!["*argv*".into()];
    let [kernel, image, bundle] = [b"kernel", b"image.", b"bundle"].map(|input| Some(Sha256::of(input)));
    run.cells[0].inputs = Inputs { kernel, image, bundle };
    run.cells[0].position = 4;
    run.cells[0].attempts[0].elsewhere = 3;
    run.coverage = true;
    run.cells[0].attempts[0].coverage = Some(covered("left != right"));
    run.cells[0].attempts[0].tests[0].artifacts = vec!["artifacts/sees_exec/doctor.txt".into()];
    run
}

/// A coverage pass of two tests, one of which failed for this reason.
pub(crate) fn covered(message: &str) -> CoverageRecord {
    let (binary, name) = ("tracer::exec".into(), TESTS[0].into());
    let failed = vec![CoverageFailure { binary, name, message: message.into(), log: Some("x.log".into()) }];
    CoverageRecord { tests: 2, failed, artifacts: vec!["coverage/x/bpf/y.json".into()], missing: None }
}

/// Nine kernels, one LLVM release, nine tests, and one failure that hits two of the kernels.
pub(crate) fn nine_kernels() -> RunOutcome {
    let cells = KERNELS[..9].iter().map(|kernel| {
        let mut tests: Vec<TestRecord> = TESTS.iter().copied().map(passed).collect();
        if kernel.starts_with("5.") {
            let message = "assertion `left == right` failed: argv[2]\n  left: \"b\"\n right: \"\"\n";
            tests[0] = test(TESTS[0], TestResult::Failed, Some(message));
        }
        cell(Arch::X86_64, kernel, 22, vec![attempt(tests)])
    });
    run(cells.collect())
}

/// Twelve kernels, three LLVM releases, three architectures; riscv64 begins at 6.12 and loses one kernel in boot.
pub(crate) fn full_matrix() -> RunOutcome {
    let mut cells = vec![];
    for arch in Arch::ALL {
        for kernel in KERNELS {
            for llvm in [21, 22, 23] {
                let attempts = vec![attempt(TESTS.iter().copied().map(passed).collect())];
                let mut cell = cell(arch, kernel, llvm, attempts);
                let old = KERNELS.iter().position(|known| *known == kernel).unwrap() < 4;
                if arch == Arch::Riscv64 && old {
                    cell.attempts.clear();
                    cell.not_run = Some("no riscv64 kernel package before 6.12".into());
                } else if arch == Arch::Riscv64 && kernel == "6.17" {
                    let reason = "no ready line within 60 s\nconsole ends with: Kernel panic - not syncing";
                    cell.attempts = vec![lost(Verdict::Timeout, PhaseName::Boot, reason, vec![])];
                } else if llvm == 23 && arch != Arch::Riscv64 {
                    let reason = "failed to load: -E2BIG";
                    cell.attempts[0].tests[3] = test(TESTS[3], TestResult::Failed, Some(reason));
                }
                cells.push(cell);
            }
        }
    }
    run(cells)
}

/// Eleven kernels, four LLVM releases, three architectures, a dozen tests: a weekly run with something of everything. One
/// test fails on old kernels with an address and a release in its message, one everywhere with LLVM 19; aarch64 loses
/// a kernel; LLVM 23 does not compile for riscv64, for which most kernels are not to be had.
pub(crate) fn weekly() -> RunOutcome {
    let kernels = ["5.10", "6.1", "6.12", "6.16", "6.17", "6.18", "6.19", "7.0", "7.1", "7.2", "rc"];
    let names = TESTS.into_iter().chain(["a", "b", "c"]);
    let names: Vec<&str> = names.collect();
    let mut cells = vec![];
    for arch in Arch::ALL {
        for (index, kernel) in kernels.into_iter().enumerate() {
            for llvm in [23, 22, 21, 19] {
                let mut tests: Vec<TestRecord> = names.iter().copied().map(passed).collect();
                if index < 2 {
                    let message = format!("bad address 0xffff8{index:03x}{llvm}40 in {kernel}.{llvm}-cloud");
                    tests[4] = test(names[4], TestResult::Failed, Some(&message));
                }
                if llvm == 19 {
                    tests[3] = test(names[3], TestResult::Failed, Some("failed to load: -E2BIG"));
                }
                let mut cell = cell(arch, kernel, llvm, vec![attempt(tests)]);
                if arch == Arch::Riscv64 && !["6.12", "7.2", "rc"].contains(&kernel) {
                    cell.attempts.clear();
                    cell.kernel.release.clear();
                    cell.not_run = Some(format!("no riscv64 kernel of series {kernel} in the archive"));
                } else if arch == Arch::Riscv64 && llvm == 23 {
                    let reason = "cannot compile the tests of `tracer` with LLVM 23: error: unknown builtin";
                    cell.attempts = vec![lost(Verdict::Fail, PhaseName::Build, reason, vec![])];
                } else if arch == Arch::Aarch64 && kernel == "7.0" {
                    let reason = "the guest panicked: Kernel panic - not syncing: Attempted to kill init!";
                    cell.attempts = vec![lost(Verdict::Lost, PhaseName::Boot, reason, vec![])];
                }
                cells.push(cell);
            }
        }
    }
    run(cells)
}

/// One LLVM release and each verdict that a cell can have.
pub(crate) fn every_verdict() -> RunOutcome {
    let x86 = |kernel, attempts| cell(Arch::X86_64, kernel, 22, attempts);
    let [first, second] = [TESTS[0], TESTS[1]];
    let not_run = |name| test(name, TestResult::NotRun, None);
    let failed = |name, message| test(name, TestResult::Failed, Some(message));
    let panic = "the console says: Kernel panic - not syncing: Fatal exception\n[    4.2] RIP: 0010:foo+0x1/0x2";
    let mut excluded = x86("excluded", vec![]);
    excluded.not_run = Some("its package has left the archive".into());
    let build =
        lost(Verdict::Fail, PhaseName::Build, "clang 22: error: unknown builtin `__builtin_x`\n  1 | x", vec![]);
    let boot = || lost(Verdict::Lost, PhaseName::Boot, panic, vec![]);
    run(vec![
        x86("pass", vec![attempt(vec![passed(first), passed(second)])]),
        x86("retried", vec![boot(), attempt(vec![passed(first), passed(second)])]),
        x86("flaky", vec![attempt(vec![failed(first, "left != right")]), attempt(vec![passed(first), passed(second)])]),
        x86("fail", vec![attempt(vec![failed(first, "left != right"), passed(second)])]),
        x86("xfail", vec![attempt(vec![expecting(failed(first, "EPERM"), "needs 5.15"), passed(second)])]),
        x86("xpass", vec![attempt(vec![expecting(passed(first), "needs 5.15"), passed(second)])]),
        x86("slow", vec![attempt(vec![passed(first), test(second, TestResult::TimedOut, None)])]),
        x86("lost", vec![boot()]),
        x86("lost2", vec![lost(Verdict::Lost, PhaseName::Test, panic, vec![passed(first), not_run(second)])]),
        x86("late", vec![lost(Verdict::Timeout, PhaseName::Connect, "no ssh within 20 s", vec![])]),
        x86("build", vec![build]),
        excluded,
        x86("halfway", vec![attempt(vec![passed(first), not_run(second)])]),
    ])
}

/// Names and messages that break naive reports.
pub(crate) fn hostile() -> RunOutcome {
    let evil = "\x1b[2J\x1b]0;owned\x07<script>alert(1)</script> | `code` ``` *bold* \u{202e}oidar\u{0}\u{fffe}\r\n]]> ```\nß 日本語 & more";
    let long = format!("{}::日本語の長いテスト名::case_{}", "module".repeat(20), "x".repeat(40));
    let wide = "w".repeat(300);
    let kernel = "a-kernel-with-a-very-long-name-日本語";
    run(vec![
        cell(
            Arch::X86_64,
            kernel,
            22,
            vec![attempt(vec![
                test(&long, TestResult::Failed, Some(evil)),
                test("a|b`c", TestResult::Failed, Some(&wide)),
            ])],
        ),
        cell(Arch::X86_64, "6.1", 22, vec![lost(Verdict::Lost, PhaseName::Boot, &wide.repeat(100), vec![])]),
        cell(
            Arch::Aarch64,
            kernel,
            21,
            vec![attempt(vec![passed(&long), TestRecord { binary: "other".into(), ..passed(&long) }])],
        ),
    ])
}

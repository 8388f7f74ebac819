//! Runs whose times are made up.

use super::*;
use crate::run::outcome::{Attempt, CellOutcome, HostId, Inputs, KernelId, Phase};

fn vm(started: f64, ended: f64, cpu: f64) -> VmUse {
    VmUse { started, ended, cpu_seconds: Some(cpu) }
}

fn job(id: &str, ready: f64, vms: Vec<VmUse>) -> JobUse {
    JobUse { id: id.into(), provision_seconds: 1.0, build_seconds: ready - 1.0, ready, processors: 1, vms }
}

fn run(jobs: Vec<JobUse>, seconds: i64) -> RunOutcome {
    let cell = |job: &JobUse| {
        let phases = vec![Phase { name: PhaseName::Boot, seconds: 2.0 }, Phase { name: PhaseName::Test, seconds: 4.0 }];
        CellOutcome {
            id: format!("{}/llvm22", job.id),
            arch: Arch::X86_64,
            kernel: KernelId { name: "k".into(), release: String::new(), package: None, version: None },
            llvm: 22,
            position: 0,
            inputs: Inputs::default(),
            not_run: None,
            attempts: vec![Attempt { phases, ..Attempt::default() }],
        }
    };
    let started: jiff::Timestamp = "2026-11-20T22:30:00Z".parse().unwrap();
    let empty = crate::report::fixture::empty();
    RunOutcome {
        host: HostId { cores: 2, ..empty.host },
        started,
        finished: Some(started + jiff::SignedDuration::from_secs(seconds)),
        cells: jobs.iter().map(cell).collect(),
        jobs,
        ..empty
    }
}

#[track_caller]
fn assert_about(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "found {found}, expected {expected}");
}

/// ```text
/// second   0   1   2   3   4   5   6   7   8   9  10
/// slot 1   .   .   [a . . . . . . . .]   [c . . .]  .
/// slot 2   .   .   .   .   [b . . .]   .   .   .  .
/// ```
#[test]
fn lost_time_has_its_causes() {
    let run = run(
        vec![
            job("x86_64/a", 2.0, vec![vm(2.0, 6.0, 3.5)]),
            job("x86_64/b", 4.0, vec![vm(4.0, 6.0, 1.5)]),
            job("x86_64/c", 5.0, vec![vm(7.0, 9.0, 2.0)]),
        ],
        10,
    );
    let measures = Measures::of(&run, 2);
    // Two slots for two seconds, and one for two more.
    assert_about(measures.waiting.inputs, 6.0);
    // One of the two slots between 6 and 7: one job was ready.
    assert_about(measures.waiting.between, 1.0);
    // The other slot of that second, one beside c, and both after it.
    assert_about(measures.waiting.nothing_left, 1.0 + 2.0 + 2.0);
    assert_about(measures.waiting.total() + 4.0 + 2.0 + 2.0, 20.0);
    assert_about(measures.seconds_per_cell, 10.0 / 3.0);
    assert_about(measures.qemu_cpu_share, 7.0 / 20.0);
    assert_about(measures.vm_share, 0.6);
    assert_about(measures.phases[&Arch::X86_64]["build"], 3.0);
    assert_eq!(measures.phases[&Arch::X86_64].keys().len(), 4);
}

/// Check that the time between a lost boot and the next is neither work nor the end.
#[test]
fn a_retry_waits_between_its_vms() {
    let killed = VmUse { cpu_seconds: None, ..vm(1.0, 3.0, 0.0) };
    let run = run(vec![job("x86_64/a", 1.0, vec![killed, vm(4.0, 9.0, 4.0)])], 10);
    let Waiting { inputs, between, nothing_left } = Measures::of(&run, 1).waiting;
    assert_about(inputs, 1.0);
    assert_about(between, 1.0);
    assert_about(nothing_left, 1.0);
}

#[test]
fn a_run_in_which_nothing_ran_has_no_infinities() {
    let empty = RunOutcome { finished: None, ..run(vec![], 0) };
    let json = serde_json::to_string(&Measures::of(&empty, 2)).unwrap();
    assert!(!json.contains("null") && json.contains("\"seconds_per_cell\":0.0"), "{json}");
}

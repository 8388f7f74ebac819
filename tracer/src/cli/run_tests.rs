//! Tests of what is said at the end of a trace.

use rstest::rstest;

use super::*;

/// Check that the status is the command's, or 128 and its signal.
#[rstest]
#[case::success(0, 0)]
#[case::failure(3 << 8, 3)]
#[case::largest(255 << 8, 255)]
#[case::interrupt(2, 130)]
#[case::kill_with_core_dump(9 | 0x80, 137)]
fn the_status_is_that_of_the_command(#[case] wait_status: i32, #[case] expected: u8) {
    assert_eq!(exit_code(ExitStatus::from_raw(wait_status)), ExitCode::from(expected));
}

/// Check that the summary has the backend, its tier, what was lost, and why it is not better.
#[test]
fn the_summary_says_what_is_not_in_the_trace() {
    let backend = Backend { name: "ebpf", tier: Some("fentry".into()), degraded: None };
    let mut summary = Summary { status: None, execs: 12, lost: Lost::default(), backend, fallback: None };
    assert_eq!(words(&summary), "12 execs by ebpf, fentry");
    summary.lost = Lost { execs: 1, others: 2, untracked: 3 };
    summary.backend = Backend { name: "ptrace", tier: None, degraded: Some("no seccomp".into()) };
    summary.fallback = Some("needs root".into());
    let expected = "12 execs by ptrace; lost: 1 execs, 2 other events, 3 processes not followed; degraded: no seccomp; \
                    not eBPF: needs root";
    assert_eq!(words(&summary), expected);
}

//! Signals and job control: the traced programs see what they would see alone.

use std::os::unix::process::ExitStatusExt;

use rstest::rstest;

use crate::common::*;

/// Check that signals arrive as they are: a real-time one, and the one that tracers use themselves.
#[rstest]
#[case::real_time("real-time-signal")]
#[case::trap("trap-signal")]
fn signals_arrive(#[values(Way::Plain, Way::Filter)] way: Way, #[case] name: &str) {
    assert_eq!(way.program(name).code(), Some(0));
}

/// Check that a stopped process stays stopped until it is told to go on, and is traced then.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
fn a_stopped_process_goes_on_when_told_to(#[case] way: Way) {
    let traced = way.program("stop-and-continue");
    traced.is_complete();
    assert_eq!(
        (argv(traced.only("/bin/true")), traced.code()),
        (vec!["/bin/true".into(), "continued".into()], Some(0))
    );
}

/// Check that a command that is killed has its signal as its status.
#[rstest]
#[case::plain(Way::Plain, 15)]
#[case::filter(Way::Filter, 9)]
fn a_command_that_is_killed_has_its_signal(#[case] way: Way, #[case] signal: i32) {
    let traced = way.sh(&format!("kill -{signal} $$; exit 1"));
    assert_eq!(traced.summary.status.and_then(|status| status.signal()), Some(signal));
    traced.is_complete();
}

//! Plain progress as a whole, and live progress as far as it can be seen without a terminal.

use std::sync::{Arc, Mutex};

use super::*;
use crate::report::fixture;
use crate::run::outcome::{PhaseName, TestResult};

/// A writer whose text can be read afterwards.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything that can happen.
fn events() -> Vec<Event> {
    let run = fixture::every_verdict();
    let job = "x86_64/6.12".to_owned();
    let name = "linux-image-6.12.117+deb13-cloud-amd64".to_owned();
    let failed = fixture::test("sees_exec", TestResult::Failed, Some("\x1b[1mleft != right\x1b[0m\n  left: 1"));
    let finished =
        |record| Event::TestFinished { job: "x86_64/6.12".into(), cell: "x86_64/6.12/llvm22".into(), record };
    let mut events = vec![
        Event::Started {
            id: run.id.clone(),
            directory: "target/ukci/runs/20260824T100211Z".into(),
            jobs: 13,
            cells: 13,
        },
        Event::StepStarted { name: name.clone(), total_bytes: Some(98 << 20) },
        Event::StepAdvanced { name: name.clone(), bytes: 12 << 20 },
        Event::StepFinished { name },
        Event::StepStarted { name: "compile tracer for x86_64 with clang 22".into(), total_bytes: None },
        Event::Warning("linux-image-6.12.100 has left the archive; using 6.12.117".into()),
        Event::Phase { job: job.clone(), phase: PhaseName::Boot },
        Event::Retry { job: job.clone(), reason: "lost in boot: no ready line within 60 s\ndetails".into() },
        Event::Phase { job: job.clone(), phase: PhaseName::Test },
        Event::TestStarted { job: job.clone(), test: "sees_exec".into(), done: 0, total: 2 },
        finished(fixture::passed("sees_exec")),
        finished(failed),
    ];
    events.extend(run.cells.iter().map(|cell| Event::CellFinished(Box::new(cell.clone()))));
    events.extend([Event::JobFinished { job }, Event::Finished(Box::new(run))]);
    events
}

#[test]
fn plain_progress_is_one_line_per_thing_that_matters() {
    let shared = Shared::default();
    let mut terminal = Terminal::plain(Box::new(shared.clone()), Style::default());
    events().iter().for_each(|event| terminal.on(event));
    let text = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
    assert!(!text.contains('\x1b'), "escape codes in a log");
    assert!(text.lines().all(|line| text::width(line) <= WIDTH));
    insta::assert_snapshot!(text);
}

/// Check that no order of events makes the bars panic, whoever watches.
#[test]
fn live_progress_survives_every_event() {
    let style = Style { color: true };
    let mut terminal = Terminal::new(Draw::Quiet, style);
    terminal.lines = Lines::Live(Box::new(Live::new(ProgressDrawTarget::hidden(), style)));
    events().iter().rev().chain(&events()).for_each(|event| terminal.on(event));
}

/// Check that a job has a line while something of it is going on, and is counted while it waits.
#[test]
fn jobs_that_wait_are_counted_in_one_line() {
    let mut live = Live::new(ProgressDrawTarget::hidden(), Style::default());
    let phase = |number: usize, phase| Event::Phase { job: format!("x86_64/{number}"), phase };
    live.on(&Event::Started { id: "run".into(), directory: "run".into(), jobs: 30, cells: 30 });
    (0..30).for_each(|number| live.on(&phase(number, PhaseName::Provision)));
    assert_eq!(live.lines(), (30, "0/30 cells: 0 as expected, 0 fail, 0 lost".into()));
    (0..30).for_each(|number| live.on(&phase(number, PhaseName::Build)));
    (0..20).for_each(|number| live.on(&phase(number, PhaseName::Queue)));
    let text = "0/30 cells: 0 as expected, 0 fail, 0 lost · VMs that wait: 10 for bundles, 20 for a processor";
    assert_eq!(live.lines(), (0, text.into()));
    (0..20).for_each(|number| live.on(&phase(number, PhaseName::Boot)));
    (20..30).for_each(|number| live.on(&Event::JobFinished { job: format!("x86_64/{number}") }));
    assert_eq!(live.lines(), (20, "0/30 cells: 0 as expected, 0 fail, 0 lost".into()));
}

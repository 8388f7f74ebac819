//! A trace from its start to its end: [`run`].

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use signal_hook::consts::SIGTERM;

use super::out::{Destination, Out};
use super::signals::Signals;
use crate::baseline::Baseline;
use crate::error::Result;
use crate::event::Lost;
use crate::options::{Options, Target};
use crate::output::{About, Format};
use crate::redact::Redact;
use crate::show::Show;
use crate::trace::{Backend, Summary, Trace};

/// What is to be done.
pub(super) struct Job {
    pub(super) target: Target,
    pub(super) options: Options,
    pub(super) format: Box<dyn Format>,
    pub(super) output: Destination,
    pub(super) show: Show,
    pub(super) redact: Redact,
}

/// Traces, writes, and says how it ended.
pub(super) fn run(job: Job) -> Result<ExitCode> {
    let Job { target, options, mut format, output, show, redact } = job;
    let baseline = Baseline::of_this_process();
    let mut out = output.open()?;
    let (command, attached) = match &target {
        Target::Command(launch) => {
            (std::iter::once(&launch.program).chain(&launch.args).cloned().collect(), Vec::new())
        }
        Target::Processes(pids) => (Vec::new(), pids.clone()),
        Target::System => (Vec::new(), Vec::new()),
    };
    let with_command = !command.is_empty();

    let signals = Signals::catch(with_command)?;
    let trace = Trace::start(target, options)?;
    signals.end(trace.stopper())?;
    let about = About {
        started: trace.started(),
        backend: trace.backend().clone(),
        fallback: trace.fallback().map(str::to_owned),
        command,
        attached,
        baseline,
        redact,
        show,
    };
    let ended = write(trace, format.as_mut(), &mut out, &about);
    out.write(true, |out| format.end(out, &about, ended.as_ref().ok()))?;
    let summary = ended?;
    report(&summary, with_command);
    Ok(match summary.status {
        Some(status) => exit_code(status),
        None if with_command && signals.terminated() => ExitCode::from(128 + SIGTERM as u8),
        // The command goes on, and nobody knows what will become of it.
        None => ExitCode::from(u8::from(with_command)),
    })
}

fn write(mut trace: Trace, format: &mut dyn Format, out: &mut Out, about: &About) -> Result<Summary> {
    let live = format.is_live();
    out.write(live, |out| format.begin(out, about))?;
    // A command goes on, and is waited for, also when nobody reads about it any more.
    while !about.command.is_empty() || !out.is_closed() {
        let Some(event) = trace.next() else { break };
        out.write(live, |out| format.event(out, about, &event))?;
    }
    trace.finish()
}

/// Says on the standard error what is not in the trace; of a command's only if it is not all that it could be.
#[expect(clippy::print_stderr, reason = "the summary is not part of the trace")]
fn report(summary: &Summary, with_command: bool) {
    let flawless = summary.lost == Lost::default() && summary.backend.degraded.is_none();
    if !(with_command && flawless) {
        eprintln!("tracer: {}", words(summary));
    }
}

fn words(summary: &Summary) -> String {
    let Summary { execs, lost, backend: Backend { name, tier, degraded }, fallback, .. } = summary;
    let tier = tier.as_ref().map(|tier| format!(", {tier}")).unwrap_or_default();
    let mut words = format!("{execs} execs by {name}{tier}");
    if *lost != Lost::default() {
        let Lost { execs, others, untracked } = lost;
        words += &format!("; lost: {execs} execs, {others} other events, {untracked} processes not followed");
    }
    if let Some(degraded) = degraded {
        words += &format!("; degraded: {degraded}");
    }
    if let Some(fallback) = fallback {
        words += &format!("; not eBPF: {fallback}");
    }
    words
}

/// As shells do: the status, or 128 + the signal.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;

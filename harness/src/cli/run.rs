//! `ukci run`: plan, provision, boot, execute, report.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::args::{AccelChoice, RunArgs};
use super::failure::Failure;
use super::interrupt;
use super::screen::{self, RunObserver, Screen};
use super::workshop::Workshop;
use crate::matrix::matcher;
use crate::provision::{AccelWish, Provisioner};
use crate::report;
use crate::run::directory::RunDirectory;
use crate::run::event::Event;
use crate::run::outcome::{HostId, RunOutcome, Verdict};
use crate::run::{History, Record, Schedule, Slots, TestOptions, execute_plan, untouched_cells};
use jiff::Timestamp;

/// A run that came to its end, or was interrupted.
pub(super) struct Ran {
    pub(super) outcome: RunOutcome,
    pub(super) directory: RunDirectory,
    /// The processors that VMs could keep busy.
    pub(super) slots: usize,
    screen: Screen,
    interrupted: bool,
}

pub(super) async fn run(args: RunArgs) -> Result<u8, Failure> {
    let tests = args.tests.clone();
    let ran = execute(args).await?;
    let written = ran.write_reports();
    super::print(&table(&ran.outcome, ran.directory.path()))?;
    written?;
    ran.exit_code(&tests)
}

/// Runs the matrix and leaves its record.
pub(super) async fn execute(args: RunArgs) -> Result<Ran, Failure> {
    let workshop = Workshop::open(args.matrix.matrix.as_deref(), Screen::new(args.no_progress))?;
    let Workshop { project, archive, screen } = workshop;
    let plan = super::plan::expand(&project, &args.filter, &args.shard)?.0;
    super::plan::refuse_nothing(&plan)?;
    let only = args.tests.iter().map(|glob| matcher(glob)).collect::<Result<Vec<_>, _>>()?;
    let tests = TestOptions {
        tests: project.spec.project.tests,
        only,
        env: project.spec.project.env.clone(),
        deadline: Duration::try_from(project.spec.project.test_timeout).unwrap_or(Duration::MAX),
        expectations: project.expectations.clone(),
    };
    let store = archive.store().clone();
    let now = Timestamp::now();
    let directory = match &args.out {
        Some(path) => RunDirectory::at(path, now)?,
        None => RunDirectory::create(&project.runs(), now)?,
    };
    let wish = match args.accel {
        AccelChoice::Auto => AccelWish::Best,
        AccelChoice::Kvm => AccelWish::Kvm,
        AccelChoice::Tcg => AccelWish::Tcg,
    };
    let slots = args.jobs.map_or_else(|| Slots::on(cores(), available_kib), |jobs| Slots::for_vms(jobs as usize));
    let schedule = Schedule::new(slots.clone(), History::read(&project.runs()));
    let observer = RunObserver { screen: screen.clone(), directory: directory.path().to_owned(), unsaved: false };
    let host = HostId { cores: cores(), accel: String::new(), qemu: String::new() };
    let record = Record::new(directory.id(), now, host, untouched_cells(&plan), Box::new(observer));
    let provisioner = Provisioner::new(archive, project, wish, args.matrix.locked, directory.path())?;
    let work = execute_plan(&plan, provisioner, tests, directory.clone(), record.clone(), schedule);
    let ended = tokio::select! {
        result = work => Some(result),
        () = interrupt::requested() => None,
    };
    let outcome = record.finish(Timestamp::now());
    if let Some(Err(hindrance)) = ended {
        // One cause for every cell is a message, not a table. The directory tells it too, if it can be written.
        drop(report::write_all(directory.path(), &outcome));
        return Err(hindrance.into());
    }
    if ended.is_none() {
        // What cannot be removed now is removed with the next start.
        drop(store.abandon());
    }
    Ok(Ran { outcome, directory, slots: slots.capacity(), screen, interrupted: ended.is_none() })
}

impl Ran {
    pub(super) fn write_reports(&self) -> Result<(), Failure> {
        let path = self.directory.path();
        if let Some(summary) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|summary| !summary.is_empty())
            && let Err(error) = report::append_step_summary(summary.as_ref(), &report::markdown(&self.outcome))
        {
            self.screen.event(&Event::Warning(format!("cannot append to `{}`: {error}", summary.display())));
        }
        let written = report::write_all(path, &self.outcome);
        written.map_err(|error| Failure::Broken(format!("cannot write the reports in `{}`: {error}", path.display())))
    }

    /// What the run deserves; `tests` are the globs that chose its tests.
    pub(super) fn exit_code(&self, tests: &[String]) -> Result<u8, Failure> {
        let outcome = &self.outcome;
        if self.interrupted {
            return Err(Failure::Interrupted);
        }
        let ran = outcome.cells.iter().any(|cell| !cell.tests().is_empty());
        let mut attempted = outcome.cells.iter().filter(|cell| !cell.attempts.is_empty()).peekable();
        let any_was = attempted.peek().is_some();
        if !tests.is_empty() && !ran && any_was && attempted.all(|cell| cell.verdict() == Verdict::NotRun) {
            let globs = tests.join("`, `");
            return Err(Failure::Usage(format!(
                "--test `{globs}` matches no test\n  hint: `ukci run` without it names them all"
            )));
        }
        Ok(outcome.exit_code())
    }
}

/// The table, for standard output.
pub(super) fn table(outcome: &RunOutcome, directory: &std::path::Path) -> String {
    let here = std::env::current_dir().ok();
    let shown = here.and_then(|here| directory.strip_prefix(here).ok()).unwrap_or(directory);
    let mut text = Vec::new();
    // OK because writing to memory does not fail.
    drop(report::write_table(outcome, shown, screen::style(&std::io::stdout()), &mut text));
    String::from_utf8_lossy(&text).into_owned()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// The memory that this machine has left, in KiB.
fn available_kib() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse().ok())
}

//! `ukci run`: plan, provision, boot, execute, report.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::args::{AccelChoice, RunArgs};
use super::begin::{Begin, compile};
use super::complexity::Gate;
use super::failure::Failure;
use super::interrupt;
use super::screen::{self, RunObserver, Screen};
use super::workshop::Workshop;
use crate::archive::Store;
use crate::matrix::Plan;
use crate::provision::{AccelWish, Provisioner};
use crate::report;
use crate::run::directory::RunDirectory;
use crate::run::event::Event;
use crate::run::outcome::{RunOutcome, Verdict};
use crate::run::{History, Record, Schedule, Slots, TestOptions, check_inputs, execute_plan};

/// A run that came to its end, or was interrupted.
pub(super) struct Ran {
    pub(super) outcome: RunOutcome,
    pub(super) directory: RunDirectory,
    /// The processors that VMs could keep busy.
    pub(super) slots: usize,
    screen: Screen,
    end: End,
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// There was nothing left to do.
    Unchanged,
    /// Everything was done.
    Done,
    /// The user, or a signal, ended it.
    Interrupted,
}

pub(super) async fn run(args: RunArgs) -> Result<u8, Failure> {
    let gate = Gate::open(args.matrix.matrix.as_deref())?;
    let ran = execute(args).await?;
    let written = ran.write_reports();
    super::print(&table(&ran.outcome, ran.directory.path()))?;
    written?;
    gate.judge(ran.directory.path(), &ran.outcome, ran.exit_code()?)
}

/// Runs the matrix and leaves its record.
pub(super) async fn execute(args: RunArgs) -> Result<Ran, Failure> {
    let workshop = Workshop::open(args.matrix.matrix.as_deref(), Screen::new(args.no_progress))?;
    let Workshop { project, archive, screen } = workshop;
    let now = Timestamp::now();
    let begin = match &args.resume {
        None => Begin::anew(&args, &project, now)?,
        Some(run) => Begin::again(run.as_deref(), &project)?,
    };
    let Begin { plan, only, directory, mut outcome } = begin;
    if args.resume.is_some() && plan.jobs().is_empty() && outcome.finished.is_some() {
        screen.event(&Event::Warning(format!("`{}` has all of its verdicts: nothing is left to run", outcome.id)));
        return Ok(Ran { outcome, directory, slots: 0, screen, end: End::Unchanged });
    }
    let tests = TestOptions {
        tests: project.spec.project.tests,
        only,
        once: compile(&project.spec.project.once)?,
        env: project.spec.project.env.clone(),
        deadline: Duration::try_from(project.spec.project.test_timeout).unwrap_or(Duration::MAX),
        expectations: project.expectations.clone(),
        capabilities: project.capabilities.clone(),
        coverage: outcome.coverage.then(|| project.spec.project.coverage.clone()),
    };
    let store = archive.store().clone();
    let wish = wish(args.accel);
    let schedule = Schedule::new(slots(args.jobs), History::read(&project.runs()));
    let logs = if args.resume.is_some() { directory.resumption()? } else { directory.path().to_owned() };
    let provisioner = Provisioner::new(archive, project, wish, args.matrix.locked, &logs)?;
    if args.resume.is_some() {
        tokio::select! {
            checked = check_inputs(&plan, &provisioner, &outcome) => checked?,
            () = interrupt::requested() => {
                drop(store.abandon());
                return Err(Failure::Interrupted);
            }
        }
        outcome.finished = None;
        outcome.resumed.push(now);
    }
    let work = Work { plan, provisioner, tests, directory, outcome, schedule, screen, store };
    work.carry_out().await
}

/// Everything that a run needs.
pub(super) struct Work {
    pub(super) plan: Plan,
    pub(super) provisioner: Provisioner,
    pub(super) tests: TestOptions,
    pub(super) directory: RunDirectory,
    pub(super) outcome: RunOutcome,
    pub(super) schedule: Schedule,
    pub(super) screen: Screen,
    pub(super) store: Store,
}

impl Work {
    /// Does it, until it is done or somebody asks for its end; leaves the record.
    pub(super) async fn carry_out(self) -> Result<Ran, Failure> {
        let Self { plan, provisioner, tests, directory, outcome, schedule, screen, store } = self;
        let slots = schedule.capacity();
        let observer = RunObserver { screen: screen.clone(), directory: directory.path().to_owned(), unsaved: false };
        let record = Record::new(outcome, Box::new(observer));
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
        let end = if ended.is_none() { End::Interrupted } else { End::Done };
        Ok(Ran { outcome, directory, slots, screen, end })
    }
}

impl Ran {
    pub(super) fn write_reports(&self) -> Result<(), Failure> {
        match self.end {
            End::Unchanged => Ok(()),
            End::Done | End::Interrupted => write_reports(&self.outcome, self.directory.path(), &self.screen),
        }
    }

    /// What the run deserves.
    pub(super) fn exit_code(&self) -> Result<u8, Failure> {
        let outcome = &self.outcome;
        if self.end == End::Interrupted {
            return Err(Failure::Interrupted);
        }
        let ran = outcome.cells.iter().any(|cell| !cell.tests().is_empty());
        let mut attempted = outcome.cells.iter().filter(|cell| !cell.attempts.is_empty()).peekable();
        let any_was = attempted.peek().is_some();
        let none_ran = !ran && any_was && attempted.all(|cell| cell.verdict() == Verdict::NotRun);
        if !outcome.test_globs.is_empty() && none_ran {
            let globs = outcome.test_globs.join("`, `");
            return Err(Failure::Usage(format!(
                "--test `{globs}` matches no test\n  hint: `ukci run` without it names them all"
            )));
        }
        Ok(outcome.exit_code())
    }
}

/// Writes what is to be read of a run into its directory `path`, and where GitHub shows it.
pub(super) fn write_reports(outcome: &RunOutcome, path: &Path, screen: &Screen) -> Result<(), Failure> {
    if let Some(summary) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|summary| !summary.is_empty())
        && let Err(error) = report::append_step_summary(summary.as_ref(), &report::markdown(outcome))
    {
        screen.event(&Event::Warning(format!("cannot append to `{}`: {error}", summary.display())));
    }
    let written = report::write_all(path, outcome);
    written.map_err(|error| Failure::Broken(format!("cannot write the reports in `{}`: {error}", path.display())))?;
    super::report::write_page(outcome, path, &path.join("report.html"))
}

/// The table, for standard output.
pub(super) fn table(outcome: &RunOutcome, directory: &Path) -> String {
    let here = std::env::current_dir().ok();
    let shown = here.and_then(|here| directory.strip_prefix(here).ok()).unwrap_or(directory);
    let mut text = Vec::new();
    // OK because writing to memory does not fail.
    drop(report::write_table(outcome, shown, screen::style(&std::io::stdout()), &mut text));
    String::from_utf8_lossy(&text).into_owned()
}

/// How guests are run.
pub(super) fn wish(choice: AccelChoice) -> AccelWish {
    match choice {
        AccelChoice::Auto => AccelWish::Best,
        AccelChoice::Kvm => AccelWish::Kvm,
        AccelChoice::Tcg => AccelWish::Tcg,
    }
}

/// The room for VMs: for as many as are asked for, else for as many as this machine carries.
pub(super) fn slots(jobs: Option<u32>) -> Slots {
    jobs.map_or_else(|| Slots::on(cores(), available_kib), |jobs| Slots::for_vms(jobs as usize))
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// The memory that this machine has left, in KiB.
fn available_kib() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse().ok())
}

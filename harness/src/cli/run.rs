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
use crate::run::{Record, TestOptions, execute_plan, untouched_cells};
use jiff::Timestamp;

pub(super) async fn run(args: RunArgs) -> Result<u8, Failure> {
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
    let at_once = args.jobs.map_or_else(|| vms_at_once(&project.spec.guest), |jobs| jobs as usize);
    let observer = RunObserver { screen: screen.clone(), directory: directory.path().to_owned(), unsaved: false };
    let host = HostId { cores: cores(), accel: String::new(), qemu: String::new() };
    let record = Record::new(directory.id(), now, host, untouched_cells(&plan), Box::new(observer));
    let provisioner = Provisioner::new(archive, project, wish, args.matrix.locked, directory.path())?;
    let work = execute_plan(&plan, provisioner, tests, directory.clone(), record.clone(), at_once);
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
    conclude(&outcome, &directory, &screen)?;
    if ended.is_none() {
        return Err(Failure::Interrupted);
    }
    let ran = outcome.cells.iter().any(|cell| !cell.tests().is_empty());
    let mut attempted = outcome.cells.iter().filter(|cell| !cell.attempts.is_empty()).peekable();
    let any_was_attempted = attempted.peek().is_some();
    if !args.tests.is_empty() && !ran && any_was_attempted && attempted.all(|cell| cell.verdict() == Verdict::NotRun) {
        let globs = args.tests.join("`, `");
        return Err(Failure::Usage(format!(
            "--test `{globs}` matches no test\n  hint: `ukci run` without it names them all"
        )));
    }
    Ok(outcome.exit_code())
}

/// Writes the reports and prints the table.
fn conclude(outcome: &RunOutcome, directory: &RunDirectory, screen: &Screen) -> Result<(), Failure> {
    let path = directory.path();
    let written = report::write_all(path, outcome);
    if let Some(summary) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|summary| !summary.is_empty())
        && let Err(error) = report::append_step_summary(summary.as_ref(), &report::markdown(outcome))
    {
        screen.event(&Event::Warning(format!("cannot append to `{}`: {error}", summary.display())));
    }
    super::print(&table(outcome, path))?;
    written.map_err(|error| Failure::Broken(format!("cannot write the reports in `{}`: {error}", path.display())))
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

/// As many VMs as processors and free memory carry.
///
/// A guest has several processors, so that code for several is tested, but its tests keep one busy at a time. Measured on
/// 2 cores without KVM: two VMs of 2 processors each take 0.55 of the time of one after the other.
fn vms_at_once(guest: &crate::matrix::GuestSpec) -> usize {
    let by_cores = cores();
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available_kib =
        meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse().ok());
    // A quarter on top for QEMU itself.
    let needed_kib = u64::from(guest.memory_mib) * 1024 * 5 / 4;
    let by_memory = available_kib
        .map_or(usize::MAX, |available: u64| usize::try_from(available / needed_kib).unwrap_or(usize::MAX));
    by_cores.min(by_memory).max(1)
}

//! `ukci run`: plan, provision, boot, execute, report.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use globset::GlobMatcher;
use jiff::Timestamp;

use super::args::{AccelChoice, RunArgs};
use super::failure::Failure;
use super::interrupt;
use super::report::{find, read};
use super::screen::{self, RunObserver, Screen};
use super::workshop::Workshop;
use crate::matrix::{Arch, Plan, matcher};
use crate::project::Project;
use crate::provision::{AccelWish, Provisioner};
use crate::report;
use crate::run::directory::RunDirectory;
use crate::run::event::Event;
use crate::run::outcome::{HostId, RunOutcome, Verdict};
use crate::run::{Record, TestOptions, check_inputs, execute_plan, plan_id, remaining, untouched_cells};

pub(super) async fn run(args: RunArgs) -> Result<u8, Failure> {
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
        super::print(&table(&outcome, directory.path()))?;
        return Ok(outcome.exit_code());
    }
    let tests = TestOptions {
        tests: project.spec.project.tests,
        only,
        env: project.spec.project.env.clone(),
        deadline: Duration::try_from(project.spec.project.test_timeout).unwrap_or(Duration::MAX),
        expectations: project.expectations.clone(),
    };
    let store = archive.store().clone();
    let wish = match args.accel {
        AccelChoice::Auto => AccelWish::Best,
        AccelChoice::Kvm => AccelWish::Kvm,
        AccelChoice::Tcg => AccelWish::Tcg,
    };
    let at_once = args.jobs.map_or_else(|| vms_at_once(&project.spec.guest), |jobs| jobs as usize);
    let observer = RunObserver { screen: screen.clone(), directory: directory.path().to_owned(), unsaved: false };
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
    let record = Record::new(outcome, Box::new(observer));
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
    conclude(&outcome, directory.path(), &screen)?;
    if ended.is_none() {
        return Err(Failure::Interrupted);
    }
    let ran = outcome.cells.iter().any(|cell| !cell.tests().is_empty());
    let all_came_to_their_end = outcome.cells.iter().all(|cell| cell.verdict() == Verdict::NotRun);
    if !outcome.test_globs.is_empty() && !ran && all_came_to_their_end {
        let globs = outcome.test_globs.join("`, `");
        return Err(Failure::Usage(format!(
            "--test `{globs}` matches no test\n  hint: `ukci run` without it names them all"
        )));
    }
    Ok(outcome.exit_code())
}

/// What a run begins with.
struct Begin {
    /// What is to be done.
    plan: Plan,
    /// Which tests.
    only: Vec<GlobMatcher>,
    directory: RunDirectory,
    /// What is known before.
    outcome: RunOutcome,
}

impl Begin {
    /// A run in which nothing has happened yet.
    fn anew(args: &RunArgs, project: &Project, now: Timestamp) -> Result<Self, Failure> {
        let plan = Plan::expand(&project.spec, &args.filter.filter(), Arch::host())?;
        let only = compile(&args.tests)?;
        let directory = match &args.out {
            Some(path) => RunDirectory::at(path, now)?,
            None => RunDirectory::create(&project.runs(), now)?,
        };
        let outcome = RunOutcome {
            schema: 1,
            id: directory.id().to_owned(),
            started: now,
            finished: None,
            resumed: Vec::new(),
            host: HostId { cores: cores(), accel: String::new(), qemu: String::new() },
            hosts: Vec::new(),
            plan: Some(plan_id(plan.cells().iter().map(|cell| cell.id.as_str()))),
            shard: None,
            test_globs: args.tests.clone(),
            cells: untouched_cells(&plan),
        };
        Ok(Self { plan, only, directory, outcome })
    }

    /// What is left of the run that is meant by `given`, or of the newest.
    fn again(given: Option<&Path>, project: &Project) -> Result<Self, Failure> {
        let path = find(given, || Ok(project.runs()))?;
        // Says what is wrong with it; what counts is what stands there once nobody else can change it.
        read(&path)?;
        let path = path.canonicalize().map_err(|error| Failure::Broken(format!("`{}`: {error}", path.display())))?;
        let directory = RunDirectory::open(path.parent().unwrap_or(Path::new(".")))?;
        let (_, outcome) = read(&path)?;
        let plan = remaining(&project.spec, &outcome, Arch::host())?;
        let only = compile(&outcome.test_globs)?;
        Ok(Self { plan, only, directory: directory.named(&outcome.id), outcome })
    }
}

fn compile(globs: &[String]) -> Result<Vec<GlobMatcher>, Failure> {
    Ok(globs.iter().map(|glob| matcher(glob)).collect::<Result<_, _>>()?)
}

/// Writes the reports into the run's directory `path` and prints the table.
pub(super) fn conclude(outcome: &RunOutcome, path: &Path, screen: &Screen) -> Result<(), Failure> {
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
pub(super) fn table(outcome: &RunOutcome, directory: &Path) -> String {
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

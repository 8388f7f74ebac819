//! `ukci plan`: the cells of the matrix for people and scripts, and their shards for GitHub Actions.

use std::collections::HashMap;

use serde::Serialize;

use super::args::{FilterArgs, PlanArgs, PlanFormat, ShardArgs};
use super::failure::Failure;
use super::screen;
use crate::matrix::{Cell, ExpectedTimes, KernelOrigin, Plan};
use crate::project::Project;
use crate::report;
use crate::run::outcome::{PhaseName, RunOutcome};

pub(super) fn plan(args: &PlanArgs) -> Result<u8, Failure> {
    let project = Project::load(args.matrix.matrix.as_deref())?;
    let (plan, times) = expand(&project, &args.filter, &args.shard)?;
    let format = if args.json { PlanFormat::Json } else { args.format };
    let printed = match (format, args.shards) {
        (PlanFormat::Github, Some(shards)) => {
            refuse_nothing(&plan)?;
            github(&plan, usize::from(shards), &times)?
        }
        (_, Some(_)) => return Err(Failure::Usage("--shards goes with --format github".into())),
        (PlanFormat::Json, None) => json(&plan, &project)?,
        (PlanFormat::Text | PlanFormat::Github, None) => text(&plan, &project, &times),
    };
    super::print(&printed)?;
    Ok(0)
}

/// The cells that are asked for, or the shard of them, and how long they are expected to take.
pub(super) fn expand(
    project: &Project,
    filter: &FilterArgs,
    shard: &ShardArgs,
) -> Result<(Plan, ExpectedTimes), Failure> {
    let whole = Plan::expand(&project.spec, &filter.filter())?;
    let times = match &shard.times {
        Some(run) => times(&super::report::load(Some(run))?.2),
        None => ExpectedTimes::default(),
    };
    let plan = match shard.shard {
        Some(shard) => whole.keep(shard, &times)?,
        None => whole,
    };
    Ok((plan, times))
}

/// That nothing ran must not look like a success.
pub(super) fn refuse_nothing(plan: &Plan) -> Result<(), Failure> {
    if !plan.jobs().is_empty() {
        return Ok(());
    }
    let reasons: String =
        report::reasons_not_to_run(plan).map(|(reason, cells)| format!("\n  {cells} not run: {reason}")).collect();
    Err(Failure::Usage(format!("there is nothing to run{reasons}\n  hint: `ukci plan` lists the cells")))
}

/// What the jobs of a run took, from QEMU's exec on; what came before is not the same on two machines.
fn times(run: &RunOutcome) -> ExpectedTimes {
    let mut times = ExpectedTimes::default();
    for cell in &run.cells {
        // An attempt that was cut short tells nothing.
        let Some(attempt) = cell.attempts.last().filter(|attempt| attempt.loss.is_none()) else { continue };
        let of = |names: &[PhaseName]| {
            let phases = attempt.phases.iter().filter(|phase| names.contains(&phase.name));
            phases.map(|phase| phase.seconds).sum()
        };
        times.add_boot(&format!("{}/{}", cell.arch, cell.kernel.name), of(&[PhaseName::Boot, PhaseName::Connect]));
        times.add_tests(&cell.id, of(&[PhaseName::List, PhaseName::Test]));
    }
    times
}

fn text(plan: &Plan, project: &Project, times: &ExpectedTimes) -> String {
    let origins: HashMap<&str, &'static str> =
        project.spec.kernels.iter().map(|row| (row.name.as_str(), unpinned(&row.origin))).collect();
    let release = |cell: &Cell| match project.lock.get(cell.arch, &cell.kernel) {
        Some(pinned) => Some(pinned.release.clone()),
        None => origins.get(cell.kernel.as_str()).map(|text| (*text).to_owned()),
    };
    report::plan(plan, plan.expected_seconds(times), release, screen::style(&std::io::stdout()))
}

/// What is said of a kernel that the lock does not pin.
fn unpinned(origin: &KernelOrigin) -> &'static str {
    match origin {
        KernelOrigin::Series(_) => "not pinned",
        KernelOrigin::Path(_) => "from files",
        KernelOrigin::Url(_) => "from a server",
        KernelOrigin::Source(_) => "built from source",
    }
}

/// A cell with what its kernel is pinned to.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    cell: &'a Cell,
    release: Option<&'a str>,
    version: Option<&'a str>,
}

fn json(plan: &Plan, project: &Project) -> Result<String, Failure> {
    let row = |cell| row(project, cell);
    let rows: Vec<Row<'_>> = plan.cells().iter().map(row).collect();
    let json = serde_json::to_string_pretty(&rows).map_err(|error| Failure::Broken(error.to_string()))?;
    Ok(format!("{json}\n"))
}

fn row<'a>(project: &'a Project, cell: &'a Cell) -> Row<'a> {
    let pinned = project.lock.get(cell.arch, &cell.kernel);
    let version = pinned.and_then(|pinned| pinned.image_package()).map(|package| package.version.as_str());
    Row { cell, release: pinned.map(|pinned| pinned.release.as_str()), version }
}

/// The value of a GitHub Actions `strategy.matrix`.
#[derive(Serialize)]
struct StrategyMatrix {
    include: Vec<ShardEntry>,
}

/// What one job of the workflow does.
#[derive(Serialize)]
struct ShardEntry {
    /// For `--shard`.
    shard: String,
    name: String,
    jobs: usize,
    cells: usize,
    expected_seconds: u64,
}

fn github(plan: &Plan, at_most: usize, times: &ExpectedTimes) -> Result<String, Failure> {
    let shards = plan.split(at_most.min(plan.jobs().len()), times);
    let entry = |shard: &Plan| ShardEntry {
        shard: shard.shard().map(|shard| shard.to_string()).unwrap_or_default(),
        name: name(shard),
        jobs: shard.jobs().len(),
        cells: shard.cells().len(),
        // OK because the times of VMs are far from the limits; a negative or absent one becomes 0.
        expected_seconds: shard.expected_seconds(times).ceil() as u64,
    };
    let matrix = StrategyMatrix { include: shards.iter().map(entry).collect() };
    let json = serde_json::to_string(&matrix).map_err(|error| Failure::Broken(error.to_string()))?;
    Ok(format!("{json}\n"))
}

/// What is in a shard, in a few words: its kernels by architecture, or how many they are.
fn name(shard: &Plan) -> String {
    /// What GitHub shows of a job's name beside its list of jobs.
    const WIDTH: usize = 60;
    let by_arch = || shard.jobs().chunk_by(|one, other| one.arch == other.arch);
    let join = |parts: Vec<String>| parts.join(", ");
    let names = join(
        by_arch()
            .map(|jobs| {
                let names: Vec<&str> = jobs.iter().map(|job| job.kernel.name.as_str()).collect();
                format!("{} {}", jobs[0].arch, names.join(" "))
            })
            .collect(),
    );
    if names.len() <= WIDTH {
        return names;
    }
    join(by_arch().map(|jobs| format!("{} {} kernels", jobs[0].arch, jobs.len())).collect())
}

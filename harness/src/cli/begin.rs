//! What a run begins with, be it a new one or one that is taken up again: [`Begin`].

use std::path::Path;

use globset::GlobMatcher;
use jiff::Timestamp;

use super::args::RunArgs;
use super::failure::Failure;
use super::report::{find, read};
use crate::matrix::{Plan, matcher};
use crate::project::Project;
use crate::run::directory::RunDirectory;
use crate::run::outcome::{HostId, PlanId, RunOutcome};
use crate::run::{remaining, untouched_cells};

/// What a run begins with.
pub(super) struct Begin {
    /// What is to be done.
    pub(super) plan: Plan,
    /// Which tests.
    pub(super) only: Vec<GlobMatcher>,
    /// Where the results go.
    pub(super) directory: RunDirectory,
    /// What is known before.
    pub(super) outcome: RunOutcome,
}

impl Begin {
    /// A run in which nothing has happened yet.
    pub(super) fn anew(args: &RunArgs, project: &Project, now: Timestamp) -> Result<Self, Failure> {
        let plan = super::plan::expand(project, &args.filter, &args.shard)?.0;
        super::plan::refuse_nothing(&plan)?;
        let only = compile(&args.tests)?;
        let directory = match &args.out {
            Some(path) => RunDirectory::at(path, now)?,
            None => RunDirectory::create(&project.runs(), now)?,
        };
        let outcome = untouched(&plan, &directory, now, &args.tests, args.coverage);
        Ok(Self { plan, only, directory, outcome })
    }

    /// What is left of the run that is meant by `given`, or of the newest.
    pub(super) fn again(given: Option<&Path>, project: &Project) -> Result<Self, Failure> {
        let path = find(given, || Ok(project.runs()))?;
        // Says what is wrong with it; what counts is what stands there once nobody else can change it.
        read(&path)?;
        let path = path.canonicalize().map_err(|error| Failure::Broken(format!("`{}`: {error}", path.display())))?;
        let directory = RunDirectory::open(path.parent().unwrap_or(Path::new(".")))?;
        let (_, outcome) = read(&path)?;
        let plan = remaining(&project.spec, &outcome)?;
        let only = compile(&outcome.test_globs)?;
        Ok(Self { plan, only, directory: directory.named(&outcome.id), outcome })
    }
}

/// The record of a run of `plan` in which nothing has happened yet.
pub(super) fn untouched(
    plan: &Plan,
    directory: &RunDirectory,
    now: Timestamp,
    globs: &[String],
    coverage: bool,
) -> RunOutcome {
    RunOutcome {
        schema: 1,
        id: directory.id().to_owned(),
        started: now,
        finished: None,
        resumed: Vec::new(),
        host: HostId { cores: super::run::cores(), accel: String::new(), qemu: String::new() },
        hosts: Vec::new(),
        plan: Some(PlanId { cells: plan.whole_cells(), fingerprint: plan.whole_fingerprint().to_owned() }),
        shard: plan.shard(),
        test_globs: globs.to_vec(),
        coverage,
        cells: untouched_cells(plan),
        jobs: Vec::new(),
    }
}

/// The globs, checked.
pub(super) fn compile(globs: &[String]) -> Result<Vec<GlobMatcher>, Failure> {
    Ok(globs.iter().map(|glob| matcher(glob)).collect::<Result<_, _>>()?)
}

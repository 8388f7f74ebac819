//! Takes up a run that did not come to its end: [`remaining`] is the plan of what is left of it, and [`check_inputs`] makes
//! sure that it would run with what the rest ran with.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::outcome::{CellOutcome, RunOutcome};
use crate::archive::Sha256;
use crate::matrix::{Arch, Filter, MatrixSpec, Plan, PlanError};
use crate::provision::Provisioner;

/// Why a run cannot be resumed.
#[derive(Debug, Error)]
pub enum ResumeError {
    /// The matrix cannot be expanded.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The matrix has other cells than the run.
    #[error("cannot resume `{run}`: the matrix has changed since:\n    {}{NEW_RUN}", differences.join("\n    "))]
    Matrix {
        /// The run's name.
        run: String,
        /// What differs, one line for each.
        differences: Vec<String>,
    },
    /// An input is another than the one that the run began with.
    #[error("cannot resume `{run}`: {input} has changed since: expected {expected}, found {found}{NEW_RUN}")]
    Input {
        /// The run's name.
        run: String,
        /// Which input.
        input: String,
        /// The beginnings of the hashes in the run's record.
        expected: String,
        /// The beginning of the hash now.
        found: String,
    },
    /// An input that the run began with cannot be had any more.
    #[error("cannot resume `{run}`: {input} cannot be had: {reason}")]
    Unavailable {
        /// The run's name.
        run: String,
        /// Which input.
        input: String,
        /// Why.
        reason: String,
    },
}

const NEW_RUN: &str = "\n  hint: `ukci run` without --resume begins a new run";

impl ResumeError {
    /// Whether the run and the project do not fit together, rather than that something outside failed.
    #[must_use]
    pub fn is_contradiction(&self) -> bool {
        !matches!(self, Self::Unavailable { .. })
    }
}

/// The plan of the cells of `run` that have no final verdict (see [`CellOutcome::is_final`]).
///
/// # Errors
/// When the matrix does not have the run's cells any more, or leaves out others than it did.
pub fn remaining(spec: &MatrixSpec, run: &RunOutcome) -> Result<Plan, ResumeError> {
    /// Enough to see what happened.
    const MOST: usize = 5;
    let plan = Plan::expand(spec, &Filter::default())?;
    let now: BTreeMap<&str, Option<&str>> =
        plan.cells().iter().map(|cell| (cell.id.as_str(), cell.not_run.as_deref())).collect();
    let difference = |cell: &CellOutcome| match (now.get(cell.id.as_str()), &cell.not_run) {
        (None, _) => Some(format!("it has no cell `{}` any more", cell.id)),
        (Some(Some(reason)), None) => Some(format!("`{}` is left out now: {reason}", cell.id)),
        (Some(_), _) => None,
    };
    let mut differences: Vec<String> = run.cells.iter().filter_map(difference).collect();
    if differences.len() > MOST {
        let more = differences.split_off(MOST - 1).len();
        differences.push(format!("and {more} more"));
    }
    if !differences.is_empty() {
        return Err(ResumeError::Matrix { run: run.id.clone(), differences });
    }
    // What could not run for want of a toolchain, or was left out, may run now.
    let may_run = |cell: &&CellOutcome| cell.not_run.is_some() && now.get(cell.id.as_str()) == Some(&None);
    let left = run.cells.iter().filter(|cell| !cell.is_final() || may_run(cell));
    let left: BTreeSet<&str> = left.map(|cell| cell.id.as_str()).collect();
    // What the run never had must not seem to have run the tests that run once per VM.
    let ids: BTreeSet<&str> = run.cells.iter().map(|cell| cell.id.as_str()).collect();
    Ok(plan.only(|id| ids.contains(id)).on_its_own().only(|id| left.contains(id)))
}

/// Checks that each kernel, guest image and bundle that `plan` needs, and of which `run` knows the hash, is the same now.
/// Nothing boots; what `run` does not know is not asked for.
///
/// # Errors
/// When one is another, or cannot be had.
pub async fn check_inputs(plan: &Plan, provisioner: &Provisioner, run: &RunOutcome) -> Result<(), ResumeError> {
    let known = Known::of(run);
    for job in plan.jobs() {
        let (kernel, image) = (known.kernels.get(&(job.arch, job.kernel.name.as_str())), known.images.get(&job.arch));
        if kernel.is_some() || image.is_some() {
            let input = format!("the kernel `{}`", job.id);
            match provisioner.prepare(job).await {
                Ok(found) => {
                    compare(run, kernel, found.kernel.fingerprint, || format!("{input}, {},", found.kernel.release))?;
                    compare(run, image, found.image, || format!("the guest image for {}", job.arch))?;
                }
                // What it never had before can be a loss of its cells, as in any run.
                Err(_) if kernel.is_none() => {}
                Err(error) => return Err(unavailable(run, input, &error)),
            }
        }
        for &llvm in &job.llvm {
            let Some(bundle) = known.bundles.get(&(job.arch, llvm)) else { continue };
            let input = || format!("the bundle of test executables for {}, LLVM {llvm},", job.arch);
            match provisioner.bundle(job.arch, llvm).await {
                Ok(found) => compare(run, Some(bundle), found.fingerprint, input)?,
                Err(error) => return Err(unavailable(run, input(), &error)),
            }
        }
    }
    Ok(())
}

fn unavailable(run: &RunOutcome, input: String, reason: &dyn std::fmt::Display) -> ResumeError {
    ResumeError::Unavailable { run: run.id.clone(), input, reason: reason.to_string() }
}

/// The hashes that a record has of each input: one, or in a merged run as many as there were machines.
#[derive(Debug, Default)]
struct Known<'a> {
    kernels: BTreeMap<(Arch, &'a str), BTreeSet<Sha256>>,
    images: BTreeMap<Arch, BTreeSet<Sha256>>,
    bundles: BTreeMap<(Arch, u32), BTreeSet<Sha256>>,
}

impl<'a> Known<'a> {
    fn of(run: &'a RunOutcome) -> Self {
        let mut known = Self::default();
        for CellOutcome { arch, kernel, llvm, inputs, .. } in &run.cells {
            if let Some(hash) = inputs.kernel {
                known.kernels.entry((*arch, kernel.name.as_str())).or_default().insert(hash);
            }
            if let Some(hash) = inputs.image {
                known.images.entry(*arch).or_default().insert(hash);
            }
            if let Some(hash) = inputs.bundle {
                known.bundles.entry((*arch, *llvm)).or_default().insert(hash);
            }
        }
        known
    }
}

fn compare(
    run: &RunOutcome,
    expected: Option<&BTreeSet<Sha256>>,
    found: Sha256,
    input: impl Fn() -> String,
) -> Result<(), ResumeError> {
    let Some(expected) = expected.filter(|expected| !expected.contains(&found)) else { return Ok(()) };
    let short = |hash: &Sha256| format!("`{}…`", hash.to_string().chars().take(12).collect::<String>());
    Err(ResumeError::Input {
        run: run.id.clone(),
        input: input(),
        expected: expected.iter().map(short).collect::<Vec<_>>().join(" or "),
        found: short(&found),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::report::fixture;
    use crate::run::untouched_cells;

    fn spec(kernels: &[&str], exclude: &str) -> MatrixSpec {
        let rows: String = kernels.iter().map(|name| format!("  - {{name: '{name}', series: '{name}'}}\n")).collect();
        let text = format!(
            "project: {{directory: .., package: demo}}\narchive: {{kernels: [one], tools: one, sysroot: one}}\narches: \
             {{x86_64: {{}}}}\nkernels:\n{rows}llvm: [{{version: 22}}, {{version: 23}}]\nexclude: [{exclude}]\n"
        );
        MatrixSpec::parse(Path::new("m.yaml"), &text).unwrap()
    }

    fn run_of(spec: &MatrixSpec) -> RunOutcome {
        let plan = Plan::expand(spec, &Filter::default()).unwrap();
        RunOutcome { cells: untouched_cells(&plan), ..fixture::empty() }
    }

    fn left(spec: &MatrixSpec, run: &RunOutcome) -> Result<Vec<String>, String> {
        let plan = remaining(spec, run).map_err(|error| error.to_string())?;
        Ok(plan.cells().iter().map(|cell| cell.id.clone()).collect())
    }

    #[test]
    fn what_has_no_final_verdict_is_left() {
        let spec = spec(&["5.10", "6.1"], "{kernel: '6.1', llvm: 23, reason: known bad}");
        let mut run = run_of(&spec);
        assert_eq!(left(&spec, &run).unwrap(), ["x86_64/5.10/llvm23", "x86_64/5.10/llvm22", "x86_64/6.1/llvm22"]);
        run.cells[0].attempts = vec![fixture::attempt(vec![fixture::passed("one")])];
        assert_eq!(left(&spec, &run).unwrap(), ["x86_64/5.10/llvm22", "x86_64/6.1/llvm22"]);
        let plan = remaining(&spec, &run).unwrap();
        let jobs: Vec<_> = plan.jobs().iter().map(|job| (job.id.as_str(), job.llvm.as_slice())).collect();
        assert_eq!(jobs, [("x86_64/5.10", &[22][..]), ("x86_64/6.1", &[22])]);
        assert_eq!(plan.jobs()[0].planned, [23, 22], "whose bundle has run the tests that run once");
        run.cells.retain(|cell| cell.id == "x86_64/5.10/llvm23");
        assert_eq!(left(&spec, &run).unwrap(), [""; 0], "what a filter left out is not asked for");
        let mut narrow = run_of(&spec);
        narrow.cells.retain(|cell| cell.llvm == 22);
        assert_eq!(remaining(&spec, &narrow).unwrap().jobs()[0].planned, [22], "the run has no other");
    }

    #[test]
    fn another_matrix_is_refused_with_what_differs() {
        let before = spec(&["5.10", "6.1"], "{kernel: '6.1', llvm: 23, reason: known bad}");
        let run = run_of(&before);
        let error = left(&spec(&["6.1"], "{kernel: '6.1', llvm: 22, reason: too old}"), &run).unwrap_err();
        assert_eq!(
            error,
            "cannot resume `20260824T100211Z`: the matrix has changed since:\n    it has no cell `x86_64/5.10/llvm23` any \
             more\n    it has no cell `x86_64/5.10/llvm22` any more\n    `x86_64/6.1/llvm22` is left out now: too old\n  hint: `ukci run` without --resume begins a new run"
        );
        let many = spec(&["5.10", "6.1", "6.6", "6.12"], "");
        let error = left(&spec(&["7.2"], ""), &run_of(&many)).unwrap_err();
        assert!(error.contains("\n    and 4 more\n"), "{error}");
    }
}

//! The specification, expanded: [`Plan`] has every cell of the matrix, those that run and those that do not.

use std::collections::BTreeSet;

use globset::{Glob, GlobMatcher};
use serde::Serialize;
use thiserror::Error;

use super::spec::list;
use super::{Arch, KernelSpec, MatrixSpec, text};

/// One cell: a kernel of an architecture with the bundle that one LLVM compiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// `arch/kernel/llvmN`.
    pub id: String,
    /// The architecture.
    pub arch: Arch,
    /// The kernel's name.
    pub kernel: String,
    /// The LLVM release.
    pub llvm: u32,
    /// Why it does not run; `None` for a cell that runs.
    pub not_run: Option<String>,
}

/// One VM: a kernel of an architecture, and the cells that run in it.
#[derive(Clone, Debug)]
pub struct Job {
    /// `arch/kernel`.
    pub id: String,
    /// The architecture.
    pub arch: Arch,
    /// The matrix's row.
    pub kernel: KernelSpec,
    /// The LLVM releases whose bundles run in it, newest first.
    pub llvm: Vec<u32>,
}

/// What the command line asked for. Empty means everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Kernels' names, or globs of them.
    pub kernels: Vec<String>,
    /// Architectures.
    pub arches: Vec<Arch>,
    /// LLVM releases.
    pub llvm: Vec<u32>,
}

/// The cells of a matrix.
#[derive(Clone, Debug)]
pub struct Plan {
    cells: Vec<Cell>,
    jobs: Vec<Job>,
}

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum PlanError {
    /// A name or glob that no kernel has.
    #[error("--kernel `{given}` matches no kernel (known: {known}){}", hint.as_ref().map(|name| format!("\n  hint: did you mean `{name}`?")).unwrap_or_default())]
    UnknownKernel {
        /// What was given.
        given: String,
        /// What there is.
        known: String,
        /// What may have been meant.
        hint: Option<String>,
    },
    /// An architecture that the matrix does not have.
    #[error("--arch `{given}` is not in the matrix (known: {known})")]
    UnknownArch {
        /// What was given.
        given: Arch,
        /// What there is.
        known: String,
    },
    /// An LLVM release that the matrix does not have.
    #[error("--llvm `{given}` is not in the matrix (known: {known})")]
    UnknownLlvm {
        /// What was given.
        given: u32,
        /// What there is.
        known: String,
    },
    /// Each filter matches something, all of them together nothing.
    #[error("the filters leave no cell of the matrix\n  hint: `ukci plan` lists the cells")]
    Nothing,
    /// A malformed glob.
    #[error("`{given}` is not a glob: {reason}")]
    Glob {
        /// What was given.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Plan {
    /// Expands `spec` and keeps what `filter` asks for. A cell that cannot run on this machine, whose architecture is
    /// `host`, stays in the plan and says why.
    ///
    /// # Errors
    /// When a filter matches nothing.
    pub fn expand(spec: &MatrixSpec, filter: &Filter, host: Option<Arch>) -> Result<Self, PlanError> {
        let chosen = filter.check(spec)?;
        let mut cells = Vec::new();
        let mut jobs = Vec::new();
        for &arch in spec.arches.keys().filter(|arch| filter.arches.is_empty() || filter.arches.contains(arch)) {
            for kernel in spec.kernels.iter().filter(|kernel| chosen.contains(kernel.name.as_str())) {
                if kernel.arches.as_ref().is_some_and(|arches| !arches.contains(&arch)) {
                    continue;
                }
                let mut releases = Vec::new();
                for llvm in spec.llvm_versions() {
                    if !filter.llvm.is_empty() && !filter.llvm.contains(&llvm) {
                        continue;
                    }
                    let not_run = spec
                        .exclude
                        .iter()
                        .find(|row| {
                            row.arch.is_none_or(|excluded| excluded == arch)
                                && row.kernel.as_ref().is_none_or(|excluded| *excluded == kernel.name)
                                && row.llvm.is_none_or(|excluded| excluded == llvm)
                        })
                        .map(|row| row.reason.clone())
                        .or_else(|| {
                            (host != Some(arch)).then(|| format!("no cross toolchain for {arch} on this machine"))
                        });
                    if not_run.is_none() {
                        releases.push(llvm);
                    }
                    let id = format!("{arch}/{}/llvm{llvm}", kernel.name);
                    cells.push(Cell { id, arch, kernel: kernel.name.clone(), llvm, not_run });
                }
                if !releases.is_empty() {
                    let id = format!("{arch}/{}", kernel.name);
                    jobs.push(Job { id, arch, kernel: kernel.clone(), llvm: releases });
                }
            }
        }
        if cells.is_empty() {
            return Err(PlanError::Nothing);
        }
        Ok(Self { cells, jobs })
    }

    /// Every cell: by architecture, then kernel in the matrix's order, then LLVM, newest first.
    #[must_use]
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The VMs that run them.
    #[must_use]
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// Keeps only the cells for whose id `keep` holds, and the VMs that run them.
    #[must_use]
    pub fn only(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.cells.retain(|cell| keep(&cell.id));
        for job in &mut self.jobs {
            let id = &job.id;
            job.llvm.retain(|llvm| keep(&format!("{id}/llvm{llvm}")));
        }
        self.jobs.retain(|job| !job.llvm.is_empty());
        self
    }
}

impl Filter {
    /// The names of the kernels that it chooses.
    fn check<'spec>(&self, spec: &'spec MatrixSpec) -> Result<BTreeSet<&'spec str>, PlanError> {
        if let Some(&given) = self.arches.iter().find(|arch| !spec.arches.contains_key(arch)) {
            return Err(PlanError::UnknownArch { given, known: list(spec.arches.keys()) });
        }
        let releases = spec.llvm_versions();
        if let Some(&given) = self.llvm.iter().find(|version| !releases.contains(version)) {
            return Err(PlanError::UnknownLlvm { given, known: list(&releases) });
        }
        let names = || spec.kernels.iter().map(|kernel| kernel.name.as_str());
        if self.kernels.is_empty() {
            return Ok(names().collect());
        }
        let mut chosen = BTreeSet::new();
        for given in &self.kernels {
            let glob = matcher(given)?;
            let matching: Vec<&str> = names().filter(|name| glob.is_match(name)).collect();
            if matching.is_empty() {
                let hint = text::nearest(given, names()).map(ToOwned::to_owned);
                return Err(PlanError::UnknownKernel { given: given.clone(), known: list(names()), hint });
            }
            chosen.extend(matching);
        }
        Ok(chosen)
    }
}

/// Compiles a glob of the command line.
///
/// # Errors
/// When it is malformed.
pub(crate) fn matcher(glob: &str) -> Result<GlobMatcher, PlanError> {
    let compiled = Glob::new(glob)
        .map_err(|error| PlanError::Glob { given: glob.to_owned(), reason: error.kind().to_string() })?;
    Ok(compiled.compile_matcher())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn spec() -> MatrixSpec {
        let text = "\
project: {directory: .., package: tracer}
archive: {kernels: [one], tools: one, sysroot: one}
arches: {x86_64: {}, riscv64: {}}
kernels:
  - {name: '5.10', series: '5.10', arches: [x86_64]}
  - {name: '6.1', series: '6.1'}
  - {name: '6.12', series: '6.12'}
llvm: [{version: 22}, {version: 23}]
exclude:
  - {kernel: '6.1', llvm: 23, reason: known bad}
";
        MatrixSpec::parse(Path::new("m.yaml"), text).unwrap()
    }

    fn ids(filter: &Filter) -> Result<Vec<String>, String> {
        let plan = Plan::expand(&spec(), filter, Some(Arch::X86_64)).map_err(|error| error.to_string())?;
        Ok(plan.cells().iter().map(|cell| cell.id.clone()).collect())
    }

    #[test]
    fn every_cell_is_in_the_plan_and_those_that_cannot_run_say_why() {
        let plan = Plan::expand(&spec(), &Filter::default(), Some(Arch::X86_64)).unwrap();
        let cells: Vec<_> = plan.cells().iter().map(|cell| (cell.id.as_str(), cell.not_run.as_deref())).collect();
        assert_eq!(
            cells,
            [
                ("x86_64/5.10/llvm23", None),
                ("x86_64/5.10/llvm22", None),
                ("x86_64/6.1/llvm23", Some("known bad")),
                ("x86_64/6.1/llvm22", None),
                ("x86_64/6.12/llvm23", None),
                ("x86_64/6.12/llvm22", None),
                ("riscv64/6.1/llvm23", Some("known bad")),
                ("riscv64/6.1/llvm22", Some("no cross toolchain for riscv64 on this machine")),
                ("riscv64/6.12/llvm23", Some("no cross toolchain for riscv64 on this machine")),
                ("riscv64/6.12/llvm22", Some("no cross toolchain for riscv64 on this machine")),
            ]
        );
        let jobs: Vec<_> = plan.jobs().iter().map(|job| (job.id.as_str(), job.llvm.as_slice())).collect();
        assert_eq!(jobs, [("x86_64/5.10", &[23, 22][..]), ("x86_64/6.1", &[22]), ("x86_64/6.12", &[23, 22])]);
    }

    #[test]
    fn filters_keep_what_they_name() {
        let kernels =
            |names: &[&str]| Filter { kernels: names.iter().map(ToString::to_string).collect(), ..Filter::default() };
        let filter = Filter { llvm: vec![22], arches: vec![Arch::X86_64], ..kernels(&["6.*"]) };
        assert_eq!(ids(&filter).unwrap(), ["x86_64/6.1/llvm22", "x86_64/6.12/llvm22"]);
        assert_eq!(ids(&kernels(&["6.1", "6.1"])).unwrap().len(), 4);
    }

    #[test]
    fn a_part_of_a_plan_has_the_cells_that_are_kept_and_their_vms() {
        let plan = Plan::expand(&spec(), &Filter::default(), Some(Arch::X86_64)).unwrap();
        let kept = ["x86_64/5.10/llvm22", "x86_64/6.1/llvm23"];
        let part = plan.only(|id| kept.contains(&id));
        assert_eq!(part.cells().iter().map(|cell| cell.id.as_str()).collect::<Vec<_>>(), kept);
        let jobs: Vec<_> = part.jobs().iter().map(|job| (job.id.as_str(), job.llvm.as_slice())).collect();
        assert_eq!(jobs, [("x86_64/5.10", &[22][..])], "an excluded cell needs no VM");
    }

    #[test]
    fn a_filter_that_matches_nothing_says_what_there_is() {
        let kernel = Filter { kernels: vec!["6.112".into()], ..Filter::default() };
        assert_eq!(
            ids(&kernel).unwrap_err(),
            "--kernel `6.112` matches no kernel (known: 5.10, 6.1, 6.12)\n  hint: did you mean `6.12`?"
        );
        let arch = Filter { arches: vec![Arch::Aarch64], ..Filter::default() };
        assert_eq!(ids(&arch).unwrap_err(), "--arch `aarch64` is not in the matrix (known: x86_64, riscv64)");
        let llvm = Filter { llvm: vec![21], ..Filter::default() };
        assert_eq!(ids(&llvm).unwrap_err(), "--llvm `21` is not in the matrix (known: 23, 22)");
        let nothing = Filter { kernels: vec!["5.10".into()], arches: vec![Arch::Riscv64], ..Filter::default() };
        assert_eq!(
            ids(&nothing).unwrap_err(),
            "the filters leave no cell of the matrix\n  hint: `ukci plan` lists the cells"
        );
        let glob = Filter { kernels: vec!["6[".into()], ..Filter::default() };
        assert_eq!(ids(&glob).unwrap_err(), "`6[` is not a glob: unclosed character class; missing ']'");
    }
}

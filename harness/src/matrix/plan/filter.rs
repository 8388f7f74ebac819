//! Which part of the matrix the command line asked for: [`Filter`].

use std::collections::BTreeSet;

use globset::{Glob, GlobMatcher};

use super::PlanError;
use crate::matrix::spec::list;
use crate::matrix::{Arch, MatrixSpec, SetSpec, text};

/// What the command line asked for. Empty means everything; a cell must be in all that is not.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// A set of the matrix.
    pub set: Option<String>,
    /// Kernels' names, or globs of them.
    pub kernels: Vec<String>,
    /// Architectures.
    pub arches: Vec<Arch>,
    /// LLVM releases.
    pub llvm: Vec<u32>,
}

/// The part of each axis that is left of a matrix.
pub(super) struct Axes<'spec> {
    pub(super) kernels: BTreeSet<&'spec str>,
    pub(super) arches: BTreeSet<Arch>,
    /// Newest first.
    pub(super) llvm: Vec<u32>,
}

impl Filter {
    /// What it leaves of the axes of `spec`.
    pub(super) fn apply<'spec>(&self, spec: &'spec MatrixSpec) -> Result<Axes<'spec>, PlanError> {
        let mut axes = Axes {
            kernels: spec.kernels.iter().map(|kernel| kernel.name.as_str()).collect(),
            arches: spec.arches.keys().copied().collect(),
            llvm: spec.llvm_versions(),
        };
        if let Some(&given) = self.arches.iter().find(|arch| !axes.arches.contains(arch)) {
            return Err(PlanError::UnknownArch { given, known: list(&axes.arches) });
        }
        if let Some(&given) = self.llvm.iter().find(|version| !axes.llvm.contains(version)) {
            return Err(PlanError::UnknownLlvm { given, known: list(&axes.llvm) });
        }
        if !self.kernels.is_empty() {
            axes.kernels = kernels(spec, &self.kernels)?;
        }
        if !self.arches.is_empty() {
            axes.arches.retain(|arch| self.arches.contains(arch));
        }
        if let Some(set) = &self.set {
            let SetSpec { kernels: names, arches, llvm } = find_set(spec, set)?;
            if let Some(names) = names {
                let in_set = kernels(spec, names)?;
                axes.kernels.retain(|name| in_set.contains(name));
            }
            if let Some(arches) = arches {
                axes.arches.retain(|arch| arches.contains(arch));
            }
            if let Some(choices) = llvm {
                let in_set: Vec<u32> = choices.iter().filter_map(|choice| choice.of(&axes.llvm)).collect();
                axes.llvm.retain(|version| in_set.contains(version));
            }
        }
        // Last: the newest of a set is the newest of the matrix, not of what was asked for.
        if !self.llvm.is_empty() {
            axes.llvm.retain(|version| self.llvm.contains(version));
        }
        Ok(axes)
    }
}

/// The kernels that any of the globs names.
fn kernels<'spec>(spec: &'spec MatrixSpec, globs: &[String]) -> Result<BTreeSet<&'spec str>, PlanError> {
    let names = || spec.kernels.iter().map(|kernel| kernel.name.as_str());
    let mut chosen = BTreeSet::new();
    for given in globs {
        let glob = matcher(given)?;
        let mut matching = names().filter(|name| glob.is_match(name)).peekable();
        if matching.peek().is_none() {
            let hint = text::nearest(given, names()).map(ToOwned::to_owned);
            return Err(PlanError::UnknownKernel { given: given.clone(), known: list(names()), hint });
        }
        chosen.extend(matching);
    }
    Ok(chosen)
}

fn find_set<'spec>(spec: &'spec MatrixSpec, given: &str) -> Result<&'spec SetSpec, PlanError> {
    spec.sets.get(given).ok_or_else(|| {
        let hint = text::nearest(given, spec.sets.keys().map(String::as_str)).map(ToOwned::to_owned);
        PlanError::UnknownSet { given: given.to_owned(), known: list(spec.sets.keys()), hint }
    })
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

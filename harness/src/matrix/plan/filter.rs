//! Which part of the matrix the command line asked for: [`Filter`].

use std::collections::BTreeSet;

use globset::{Glob, GlobMatcher};

use super::PlanError;
use crate::matrix::spec::list;
use crate::matrix::{Arch, MatrixSpec, text};

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

impl Filter {
    /// The names of the kernels that it chooses.
    pub(super) fn check<'spec>(&self, spec: &'spec MatrixSpec) -> Result<BTreeSet<&'spec str>, PlanError> {
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

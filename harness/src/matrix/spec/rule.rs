//! Exceptions to the product of kernels, architectures and LLVM releases: [`RuleSpec`].

use serde::Deserialize;

use super::{KernelSpec, MatrixSpec, list};
use crate::matrix::Arch;

/// A row of `exclude` or `include`: cells, and why. A key that is absent matches everything.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// The kernel's name.
    #[serde(default)]
    pub kernel: Option<String>,
    /// The architecture.
    #[serde(default)]
    pub arch: Option<Arch>,
    /// The LLVM release.
    #[serde(default)]
    pub llvm: Option<u32>,
    /// Why: the plan and the table show it.
    pub reason: String,
}

impl RuleSpec {
    fn names(&self, kernel: &KernelSpec, arch: Arch, llvm: u32) -> bool {
        self.arch.is_none_or(|named| named == arch)
            && self.llvm.is_none_or(|named| named == llvm)
            && self.kernel.as_ref().is_none_or(|named| *named == kernel.name)
    }
}

/// What the matrix says of one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::matrix) enum Ruling {
    /// It runs, as every cell does of which nothing is said.
    Runs,
    /// An `include` row lets it run, for this reason, although it would be left out.
    Included(String),
    /// It is left out, for this reason.
    LeftOut(String),
}

impl MatrixSpec {
    /// Whether a cell runs: not when an `exclude` row or its kernel's `arches` leave it out, unless an `include` row names it.
    pub(in crate::matrix) fn ruling(&self, kernel: &KernelSpec, arch: Arch, llvm: u32) -> Ruling {
        let names = |row: &&RuleSpec| row.names(kernel, arch, llvm);
        let excluded = self.exclude.iter().find(names).map(|row| row.reason.clone()).or_else(|| {
            let arches = kernel.arches.as_ref().filter(|arches| !arches.contains(&arch))?;
            // The same for every kernel, so that a report tells it once.
            Some(format!("the matrix keeps this kernel to {}", list(arches)))
        });
        match (excluded, self.include.iter().find(names)) {
            (None, _) => Ruling::Runs,
            (Some(_), Some(row)) => Ruling::Included(row.reason.clone()),
            (Some(reason), None) => Ruling::LeftOut(reason),
        }
    }
}

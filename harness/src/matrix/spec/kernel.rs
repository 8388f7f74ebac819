//! A row of the table: [`KernelSpec`].

use std::collections::BTreeSet;

use serde::Deserialize;

use super::MatrixSpec;
use crate::matrix::{Arch, Series};

/// A row of the table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelSpec {
    /// The row's name.
    pub name: String,
    /// The series, `6.12`, whose newest release is meant, or `rc` for the newest release candidate.
    pub series: Series,
    /// The configuration, as the archive names it; by default what suits the architecture (see [`Self::flavor_on`]).
    #[serde(default)]
    pub flavor: Option<String>,
    /// The architectures; all of the matrix by default.
    #[serde(default)]
    pub arches: Option<BTreeSet<Arch>>,
}

impl KernelSpec {
    /// Whether `spec`, the matrix of this row, has any cell of it on `arch` that is not excluded.
    #[must_use]
    pub fn is_wanted_on(&self, spec: &MatrixSpec, arch: Arch) -> bool {
        self.arches.as_ref().is_none_or(|arches| arches.contains(&arch))
            && !spec.exclude.iter().any(|row| {
                row.llvm.is_none()
                    && row.arch.is_none_or(|excluded| excluded == arch)
                    && row.kernel.as_ref().is_none_or(|excluded| *excluded == self.name)
            })
    }

    /// The configuration that is meant on `arch`. One that the row names is never replaced.
    #[must_use]
    pub fn flavor_on(&self, arch: Arch) -> &str {
        self.flavor.as_deref().unwrap_or(match arch {
            // The smallest: what a virtual machine needs is built in, and the rest is left out.
            Arch::X86_64 | Arch::Aarch64 => "cloud",
            // The archive builds no `cloud` kernel for it.
            Arch::Riscv64 => "generic",
        })
    }
}

//! A row of the table: [`KernelSpec`].

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::matrix::{Arch, Series};

/// A row of the table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelSpec {
    /// The row's name.
    pub name: String,
    /// The series, `6.12`, whose newest release is meant, or `rc` for the newest release candidate.
    pub series: Series,
    /// The configuration, as the archive names it.
    #[serde(default = "default_flavor")]
    pub flavor: String,
    /// The architectures; all of the matrix by default.
    #[serde(default)]
    pub arches: Option<BTreeSet<Arch>>,
}

fn default_flavor() -> String {
    "cloud".into()
}

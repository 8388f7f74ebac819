//! What came of a cell's coverage pass: [`CoverageRecord`]. No verdict depends on it.

use serde::{Deserialize, Serialize};

/// The tests of a cell, once more, from the bundle that counts what they reach.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CoverageRecord {
    /// The tests that ended.
    pub tests: usize,
    /// Those that did not pass.
    pub failed: Vec<CoverageFailure>,
    /// The files that they left, sorted; relative to the directory `cells/<id>` of the cell.
    pub artifacts: Vec<String>,
    /// Why the pass did not come to its end, or did not begin.
    pub missing: Option<String>,
}

/// A test that failed in the coverage pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoverageFailure {
    /// The test executable's name, as cargo calls the target.
    pub binary: String,
    /// The test's path.
    pub name: String,
    /// Why.
    pub message: String,
    /// The log of its output, relative to the run's directory.
    pub log: Option<String>,
}

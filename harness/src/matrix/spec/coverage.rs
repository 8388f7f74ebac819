//! Which bundles get a coverage pass: [`CoverageSpec`].

use serde::Deserialize;

use super::LlvmChoice;

/// What `ukci run --coverage` does besides.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CoverageSpec {
    /// The LLVM releases, among those of a VM, whose tests run once more with coverage.
    pub llvm: Vec<LlvmChoice>,
}

impl Default for CoverageSpec {
    fn default() -> Self {
        Self { llvm: vec![LlvmChoice::Newest] }
    }
}

impl CoverageSpec {
    /// Whether the bundle of `llvm` gets a pass in a VM that has bundles of the releases `planned`, newest first.
    #[must_use]
    pub fn has(&self, llvm: u32, planned: &[u32]) -> bool {
        self.llvm.iter().any(|choice| choice.of(planned) == Some(llvm))
    }
}

//! Why a plan cannot be made of a specification and a command line: [`PlanError`].

use thiserror::Error;

use crate::matrix::{Arch, Shard};

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
    /// A set that the matrix does not have.
    #[error("--set `{given}` is not in the matrix ({}){}", if known.is_empty() { "it has no `sets`".to_owned() } else { format!("known: {known}") }, hint.as_ref().map(|name| format!("\n  hint: did you mean `{name}`?")).unwrap_or_default())]
    UnknownSet {
        /// What was given.
        given: String,
        /// What there is.
        known: String,
        /// What may have been meant.
        hint: Option<String>,
    },
    /// Each filter matches something, all of them together nothing.
    #[error("the filters leave no cell of {}\n  hint: `ukci plan{}` lists the cells", set.as_ref().map_or("the matrix".to_owned(), |set| format!("set `{set}`")), set.as_ref().map(|set| format!(" --set {set}")).unwrap_or_default())]
    Nothing {
        /// The set that was given.
        set: Option<String>,
    },
    /// A shard that has nothing to do.
    #[error("--shard `{given}`: the plan has {jobs} VM{}, and a shard has at least one\n  hint: `--shard` takes at most `{most}/{most}` here", if *jobs == 1 { "" } else { "s" })]
    EmptyShard {
        /// What was given.
        given: Shard,
        /// The jobs of the plan.
        jobs: usize,
        /// The shards that have something to do, or at least the first.
        most: usize,
    },
    /// A malformed glob.
    #[error("`{given}` is not a glob: {reason}")]
    Glob {
        /// What was given.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
}

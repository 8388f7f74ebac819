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
    /// Each filter matches something, all of them together nothing.
    #[error("the filters leave no cell of the matrix\n  hint: `ukci plan` lists the cells")]
    Nothing,
    /// A shard that has nothing to do.
    #[error("--shard `{given}`: the plan has only {jobs} VM{}, so there is no shard beyond {shards}\n  hint: `ukci plan --format github --shards {}` lists the shards that there are", if *jobs == 1 { "" } else { "s" }, given.of)]
    EmptyShard {
        /// What was given.
        given: Shard,
        /// The jobs of the plan.
        jobs: usize,
        /// The shards that have something to do, or at least the first.
        shards: usize,
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

//! Why a command came to no result: [`Failure`].

use std::fmt;

use crate::archive::{ArchiveError, StoreError};
use crate::coverage::CoverageError;
use crate::matrix::{PlanError, SpecError};
use crate::process::ProcessError;
use crate::project::ProjectError;
use crate::provision::{KernelError, ProvisionError, ToolchainError};
use crate::run::directory::RunDirectoryError;
use crate::run::{AdoptError, MergeError, ResumeError};
use crate::vm::VmError;
use crate::vm::ssh::SshError;

/// Why a command came to no result. Its text is for a person.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was typed, or a file of the project, is wrong.
    Usage(String),
    /// Something outside failed, or ukci has a bug.
    Broken(String),
    /// The user, or a signal, ended it.
    Interrupted,
}

impl Failure {
    /// The exit code, as the README lists them.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Broken(_) => 1,
            Self::Usage(_) => 2,
            Self::Interrupted => 130,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Broken(message) => f.write_str(message),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

/// `usage: A, B; broken: C, D` becomes one `From` each.
macro_rules! failures {
    ($($kind:ident: $($error:ty),+;)+) => {
        $($(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::$kind(error.to_string())
            }
        })+)+
    };
}

failures! {
    Usage: PlanError, ProjectError, MergeError, SpecError;
    Broken: StoreError, ProcessError, VmError, SshError, AdoptError;
}

impl Failure {
    /// What the archive's settings are to blame for is for the user to put right.
    fn of_archive(archive: Option<&ArchiveError>, message: String) -> Self {
        match archive {
            Some(error) if error.is_setting() => Self::Usage(message),
            _ => Self::Broken(message),
        }
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        Self::of_archive(Some(&error), error.to_string())
    }
}

impl From<ProvisionError> for Failure {
    fn from(error: ProvisionError) -> Self {
        match error {
            // The kernel that met it first is not what it is about.
            ProvisionError::Kernel(KernelError::Archive { source, .. }) if source.hits_every_package() => source.into(),
            error => Self::of_archive(error.archive(), error.to_string()),
        }
    }
}

impl From<ToolchainError> for Failure {
    fn from(error: ToolchainError) -> Self {
        Self::of_archive(error.archive(), error.to_string())
    }
}

impl From<RunDirectoryError> for Failure {
    fn from(error: RunDirectoryError) -> Self {
        if error.is_taken() { Self::Usage(error.to_string()) } else { Self::Broken(error.to_string()) }
    }
}

impl From<CoverageError> for Failure {
    fn from(error: CoverageError) -> Self {
        match error {
            CoverageError::Nothing(_) => Self::Usage(error.to_string()),
            error => Self::Broken(error.to_string()),
        }
    }
}

impl From<ResumeError> for Failure {
    fn from(error: ResumeError) -> Self {
        if error.is_contradiction() { Self::Usage(error.to_string()) } else { Self::Broken(error.to_string()) }
    }
}

//! Whose fault it is that a job has no inputs: its kernel's, or something's that every other kernel meets as well.

use super::guest::GuestError;
use super::qemu::QemuError;
use super::{KernelError, ProvisionError, ToolchainError};
use crate::archive::ArchiveError;

impl ProvisionError {
    /// Whether another kernel would most likely fare no better: no mirror, no network, a full disk.
    #[must_use]
    pub fn hits_every_kernel(&self) -> bool {
        match self {
            Self::Kernel(KernelError::Archive { source, .. }) => source.hits_every_package(),
            Self::Kernel(_) | Self::Guest(GuestError::Modules(_)) | Self::NoCross { .. } => false,
            _ => true,
        }
    }

    /// What the archive said, when it was the archive.
    #[must_use]
    pub fn archive(&self) -> Option<&ArchiveError> {
        match self {
            Self::Kernel(KernelError::Archive { source, .. })
            | Self::Qemu(QemuError::Archive(source))
            | Self::Archive(source) => Some(source),
            Self::Toolchain(error) => error.archive(),
            _ => None,
        }
    }
}

impl ToolchainError {
    /// Whether another bundle would most likely fare no better.
    #[must_use]
    pub fn hits_every_bundle(&self) -> bool {
        matches!(self, Self::Store(_)) || self.archive().is_some_and(ArchiveError::hits_every_package)
    }

    /// What the archive said, when it was the archive.
    #[must_use]
    pub fn archive(&self) -> Option<&ArchiveError> {
        match self {
            Self::Archive { source, .. } => Some(source),
            _ => None,
        }
    }
}

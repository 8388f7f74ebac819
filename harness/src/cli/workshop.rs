//! What most commands need: the project, the archive, a screen. Main type: [`Workshop`].

use std::path::Path;
use std::sync::Arc;

use super::failure::Failure;
use super::screen::Screen;
use crate::archive::{Archive, Settings, Store};
use crate::matrix::Arch;
use crate::project::Project;
use crate::provision::{Clang, Toolchain, Userland};

/// A project with the archive that provides for it.
#[derive(Debug)]
pub(super) struct Workshop {
    pub(super) project: Project,
    pub(super) archive: Arc<Archive>,
    pub(super) screen: Screen,
}

impl Workshop {
    /// Reads the matrix `given` on the command line, or the nearest one, and opens the store.
    pub(super) fn open(given: Option<&Path>, screen: Screen) -> Result<Self, Failure> {
        let project = Project::load(given)?;
        let archive = Archive::open(Settings::from_env(), Store::from_env()?, Arc::new(screen.clone()));
        Ok(Self { project, archive: Arc::new(archive), screen })
    }

    /// What compiles the project for `arch` with LLVM `llvm`.
    pub(super) async fn toolchain(&self, arch: Arch, llvm: u32) -> Result<Toolchain, Failure> {
        let Project { spec, root, .. } = &self.project;
        let userland = Userland::provide(&self.archive, spec, root, arch).await?;
        Ok(Toolchain { userland, clang: Clang::provide(&self.archive, spec, llvm).await? })
    }
}

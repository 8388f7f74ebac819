//! From a row of the matrix to a kernel on disk: [`Kernel`].
//!
//! A kernel comes from the package archive, from files of this machine, from a server, or is built here.

mod build;
mod content;
mod elsewhere;
mod layout;
mod offer;
mod series;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

pub use self::build::BuildError;
pub use self::offer::Offer;
use crate::archive::{Archive, ArchiveError, NotASha256, Sha256};
use crate::matrix::{Arch, KernelOrigin, KernelSpec, PinnedPackage};
use crate::project::Project;
use crate::provision::in_background;

/// A kernel, ready to boot.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What `uname -r` prints; the row's name where nothing says it before the kernel runs.
    pub release: String,
    /// The image.
    pub image: PathBuf,
    /// The directory of its modules, where it has some.
    pub modules: Option<PathBuf>,
    /// Its configuration, where that came with it.
    pub config: Option<PathBuf>,
    /// A hash of all that it is made of: two kernels with the same are the same.
    pub fingerprint: Sha256,
    /// The archive's package with the image, when it is from there.
    pub package: Option<PinnedPackage>,
}

/// Why a row of the matrix gives no kernel.
#[derive(Debug, Error)]
pub enum KernelError {
    /// No suite has a package of the series.
    #[error(
        "kernel `{name}`: no package of series `{series}`, flavor `{flavor}`, for {arch} in {suites}\n  hint: \
        `archive.kernels` in the matrix names the suites; `ukci update` looks again"
    )]
    NotOffered {
        /// The row's name.
        name: String,
        /// Its series.
        series: String,
        /// Its flavor.
        flavor: String,
        /// The architecture.
        arch: Arch,
        /// The suites that were searched.
        suites: String,
    },
    /// The pinned version is gone and `--locked` forbids another.
    #[error(
        "kernel `{name}`: the pinned `{release}` is no longer in the archive, and --locked allows no other\n  \
        hint: `ukci update` pins the newest of the series"
    )]
    Locked {
        /// The row's name.
        name: String,
        /// The pinned release.
        release: String,
    },
    /// The lock was edited badly.
    #[error("kernel `{name}`: kernels.lock.json: {source}\n  hint: `ukci update` writes it anew")]
    BadPin {
        /// The row's name.
        name: String,
        /// What is wrong.
        source: NotASha256,
    },
    /// Nothing is pinned and `--locked` forbids to look.
    #[error(
        "kernel `{name}`: not pinned, and --locked allows no other\n  hint: `ukci update` pins the newest of the series"
    )]
    NotPinned {
        /// The row's name.
        name: String,
    },
    /// The package has no image where images are.
    #[error("kernel `{name}`: neither `boot/vmlinuz-{release}` nor `usr/lib/modules/{release}/vmlinuz` in {}", tree.display())]
    NoImage {
        /// The row's name.
        name: String,
        /// What `uname -r` would print.
        release: String,
        /// Where it was looked for.
        tree: PathBuf,
    },
    /// The archive failed.
    #[error("kernel `{name}`: {source}")]
    Archive {
        /// The row's name.
        name: String,
        /// How.
        source: ArchiveError,
    },
    /// A file of the row cannot be read.
    #[error("kernel `{name}`: cannot read `{}`: {source}\n  hint: paths are relative to the matrix's directory", path.display())]
    Read {
        /// The row's name.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The row's hash is none.
    #[error("kernel `{name}`: {source}")]
    BadHash {
        /// The row's name.
        name: String,
        /// What is wrong.
        source: NotASha256,
    },
    /// The release cannot be the name of a directory.
    #[error("kernel `{name}`: the release `{release}` is none; expected letters, digits, and . - _ + ~")]
    BadRelease {
        /// The row's name.
        name: String,
        /// What was given or found.
        release: String,
    },
    /// It could not be built.
    #[error("kernel `{name}`: {source}")]
    Build {
        /// The row's name.
        name: String,
        /// Why.
        source: BuildError,
    },
}

/// Provides the kernel of a row. `locked` forbids another than the pinned release; it has no say on kernels that are no
/// release of a series. A build's logs go to the directory `logs`.
///
/// # Errors
/// When there is none, when `locked` forbids another than the pinned one, or when it cannot be fetched, read or built.
pub async fn provide(
    archive: &Arc<Archive>,
    project: &Project,
    row: &KernelSpec,
    arch: Arch,
    locked: bool,
    logs: &Path,
) -> Result<Kernel, KernelError> {
    let (archive, project, name) = (Arc::clone(archive), project.clone(), row.name.clone());
    let kernel = match row.origin.clone() {
        KernelOrigin::Series(wanted) => {
            in_background(move || series::provide(&archive, &project, &name, &wanted, arch, locked)).await
        }
        KernelOrigin::Path(spec) => in_background(move || elsewhere::in_files(&project, &name, &spec)).await,
        KernelOrigin::Url(spec) => in_background(move || elsewhere::on_a_server(&archive, &name, &spec)).await,
        KernelOrigin::Source(spec) => build::build(&archive, &project, &name, &spec, arch, logs).await,
    }?;
    // It becomes part of file names, here and in the guest.
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_+~".contains(c);
    if kernel.release.is_empty() || kernel.release.starts_with('.') || !kernel.release.chars().all(plain) {
        return Err(KernelError::BadRelease { name: row.name.clone(), release: kernel.release });
    }
    Ok(kernel)
}

//! A kernel of the package archive: the pinned one, or the newest of its series.

use std::path::Path;

use super::{Kernel, KernelError, Offer, layout};
use crate::archive::{Archive, ArchiveError, FetchError, Package, Sha256};
use crate::matrix::{Arch, PinnedKernel, PinnedPackage, SeriesSpec};
use crate::project::Project;

/// Provides the kernel of the row `name`: the one that is pinned, or the newest of its series when nothing is pinned or the
/// pinned version has left the archive.
pub(super) fn provide(
    archive: &Archive,
    project: &Project,
    name: &str,
    wanted: &SeriesSpec,
    arch: Arch,
    locked: bool,
) -> Result<Kernel, KernelError> {
    let fail = |source| KernelError::Archive { name: name.to_owned(), source };
    let suites = &project.spec.archive.kernels;
    let offer = if let Some(pinned) = project.lock.get(arch, name) {
        match archive.tree(&to_packages(pinned, name)?) {
            Ok(tree) => return to_kernel(&tree, name, pinned),
            Err(ArchiveError::Fetch(FetchError::Gone { .. })) if !locked => archive.progress().warn(&format!(
                "kernel `{name}`: {} has left the archive; the newest of its series is taken (`ukci update` pins it)",
                pinned.release
            )),
            Err(ArchiveError::Fetch(FetchError::Gone { .. })) => {
                return Err(KernelError::Locked { name: name.to_owned(), release: pinned.release.clone() });
            }
            Err(source) => return Err(fail(source)),
        }
        Offer::refresh(archive, suites, arch)
    } else if locked {
        return Err(KernelError::NotPinned { name: name.to_owned() });
    } else {
        Offer::read(archive, suites, arch)
    };
    let (mut release, older) = offer.map_err(fail)?.releases(name, wanted)?;
    // An index may list what the mirror does not have; then the release before is better than none.
    for before in older {
        match archive.tree(&to_packages(&release, name)?) {
            Err(ArchiveError::Fetch(FetchError::Gone { .. })) => archive.progress().warn(&format!(
                "kernel `{name}`: {} is listed, but the mirror does not have it; {} is tried",
                release.release, before.release
            )),
            tree => return to_kernel(&tree.map_err(fail)?, name, &release),
        }
        release = before;
    }
    to_kernel(&archive.tree(&to_packages(&release, name)?).map_err(fail)?, name, &release)
}

/// The lock's packages, as the archive takes them.
fn to_packages(pinned: &PinnedKernel, name: &str) -> Result<Vec<Package>, KernelError> {
    let to_package = |package: &PinnedPackage| {
        let sha256 = package.sha256.parse().map_err(|source| KernelError::BadPin { name: name.to_owned(), source })?;
        Ok(Package {
            name: package.name.clone(),
            version: package.version.clone(),
            architecture: package.architecture().to_owned(),
            depends: Vec::new(),
            provides: Vec::new(),
            filename: package.path.clone(),
            size: package.size,
            sha256,
            suite: pinned.suite.clone(),
        })
    };
    pinned.packages.iter().map(to_package).collect()
}

fn to_kernel(tree: &Path, name: &str, pinned: &PinnedKernel) -> Result<Kernel, KernelError> {
    let found = layout::find(tree, Some(&pinned.release), name)?;
    let hashes: Vec<&str> = pinned.packages.iter().map(|package| package.sha256.as_str()).collect();
    Ok(Kernel {
        release: found.release,
        image: found.image,
        modules: found.modules,
        config: found.config,
        fingerprint: Sha256::of(hashes.concat().as_bytes()),
        package: pinned.image_package().cloned(),
    })
}

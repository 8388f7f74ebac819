//! From a row of the matrix to a kernel on disk: [`Kernel`].
//!
//! The archive packs kernels in two ways: up to 6.18 `linux-image-R` holds image and modules; from 6.19 on it is an
//! empty package, `linux-binary-R` holds the image and `linux-modules-R` the modules. The module packages of series
//! that are no longer supported leave the archive first; those kernels still boot, since everything that the guest
//! needs is built into them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::archive::{Archive, ArchiveError, FetchError, Index, IndexError, NotASha256, Package};
use crate::matrix::{Arch, KernelSpec, PinnedKernel, PinnedPackage};
use crate::project::Project;

/// A kernel, ready to boot.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What `uname -r` prints.
    pub release: String,
    /// The image.
    pub image: PathBuf,
    /// The directory of its modules, where the archive has them.
    pub modules: Option<PathBuf>,
    /// What it came from.
    pub pinned: PinnedKernel,
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
}

/// The kernel packages that the archive offers for one architecture, whichever suite has them.
#[derive(Debug)]
pub struct Offer {
    arch: Arch,
    suites: Vec<String>,
    unread: Vec<String>,
    packages: Vec<Package>,
}

impl Offer {
    /// What `suites` offer for `arch`, by the indexes in the store as far as they are there.
    ///
    /// A suite that is not made for `arch` offers nothing. Neither does one whose index is out of step on the mirror,
    /// which is warned of: the others may have what is asked for.
    ///
    /// # Errors
    /// When the archive cannot be read.
    pub fn read(archive: &Archive, suites: &[String], arch: Arch) -> Result<Self, ArchiveError> {
        Self::gather(archive, suites, arch, |suite| archive.index(suite, arch))
    }

    /// The same, by the mirror's current indexes, which are then those in the store.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn refresh(archive: &Archive, suites: &[String], arch: Arch) -> Result<Self, ArchiveError> {
        Self::gather(archive, suites, arch, |suite| archive.refresh(suite, arch))
    }

    fn gather(
        archive: &Archive,
        suites: &[String],
        arch: Arch,
        index: impl Fn(&str) -> Result<Arc<Index>, ArchiveError>,
    ) -> Result<Self, ArchiveError> {
        let (mut packages, mut unread) = (Vec::new(), Vec::new());
        for suite in suites {
            let index = match index(suite) {
                Err(ArchiveError::Index(IndexError::NoIndex { .. })) => continue,
                Err(ArchiveError::Index(error @ IndexError::OutOfStep { .. })) => {
                    archive.progress().warn(&error.to_string());
                    unread.push(suite.clone());
                    continue;
                }
                index => index?,
            };
            for prefix in ["linux-image-", "linux-binary-", "linux-modules-"] {
                for name in index.names(prefix) {
                    packages.extend(index.versions(name)?);
                }
            }
        }
        Ok(Self { arch, suites: suites.to_vec(), unread, packages })
    }

    /// Whether it says nothing about what `suite` has, because that could not be read.
    #[must_use]
    pub fn lacks(&self, suite: &str) -> bool {
        self.unread.iter().any(|unread| unread == suite)
    }

    /// The newest release of the row's series that can boot.
    ///
    /// # Errors
    /// When there is none.
    pub fn newest(&self, kernel: &KernelSpec) -> Result<PinnedKernel, KernelError> {
        newest(&self.packages, kernel, self.arch).ok_or_else(|| KernelError::NotOffered {
            name: kernel.name.clone(),
            series: kernel.series.to_string(),
            flavor: kernel.flavor_on(self.arch).to_owned(),
            arch: self.arch,
            suites: self.suites.join(", "),
        })
    }
}

/// Provides the kernel of a row: the one that is pinned, or the newest of its series when nothing is pinned or the pinned
/// version has left the archive.
///
/// # Errors
/// When there is none, when `locked` forbids another than the pinned one, or when it cannot be fetched.
pub fn provide(
    archive: &Archive,
    project: &Project,
    row: &KernelSpec,
    arch: Arch,
    locked: bool,
) -> Result<Kernel, KernelError> {
    let fail = |source| KernelError::Archive { name: row.name.clone(), source };
    let suites = &project.spec.archive.kernels;
    let offer = if let Some(pinned) = project.lock.get(arch, &row.name) {
        match archive.tree(&to_packages(pinned, &row.name)?) {
            Ok(tree) => return in_tree(&tree, row, pinned.clone()),
            Err(ArchiveError::Fetch(FetchError::Gone { .. })) if !locked => archive.progress().warn(&format!(
                "kernel `{}`: {} has left the archive; the newest of its series is taken (`ukci update` pins it)",
                row.name, pinned.release
            )),
            Err(ArchiveError::Fetch(FetchError::Gone { .. })) => {
                return Err(KernelError::Locked { name: row.name.clone(), release: pinned.release.clone() });
            }
            Err(source) => return Err(fail(source)),
        }
        Offer::refresh(archive, suites, arch)
    } else if locked {
        return Err(KernelError::NotPinned { name: row.name.clone() });
    } else {
        Offer::read(archive, suites, arch)
    };
    let pinned = offer.map_err(fail)?.newest(row)?;
    let tree = archive.tree(&to_packages(&pinned, &row.name)?).map_err(fail)?;
    in_tree(&tree, row, pinned)
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

fn in_tree(tree: &Path, row: &KernelSpec, pinned: PinnedKernel) -> Result<Kernel, KernelError> {
    let release = pinned.release.clone();
    // From 7.3 on the image lies beside the modules; the riscv64 packages of 6.12 call it `vmlinux`.
    let places = [
        format!("boot/vmlinuz-{release}"),
        format!("usr/lib/modules/{release}/vmlinuz"),
        format!("boot/vmlinux-{release}"),
    ];
    let images = places.map(|place| tree.join(place));
    let Some(image) = images.into_iter().find(|image| image.is_file()) else {
        return Err(KernelError::NoImage { name: row.name.clone(), release, tree: tree.to_owned() });
    };
    let modules = ["usr/lib/modules", "lib/modules"].map(|directory| tree.join(directory).join(&release));
    let modules = modules.into_iter().find(|directory| directory.join("kernel").is_dir());
    Ok(Kernel { release, image, modules, pinned })
}

/// The newest bootable release of the row's series among `packages`.
fn newest(packages: &[Package], kernel: &KernelSpec, arch: Arch) -> Option<PinnedKernel> {
    /// An image is larger than this many bytes, an empty package that only depends on one is smaller.
    const SMALLEST_IMAGE: u64 = 1 << 20;
    // `generic` is the flavor without a name of its own: `linux-image-6.12.117+deb13-amd64`.
    let suffixes = match kernel.flavor_on(arch) {
        "generic" => vec![format!("-{}", arch.debian_name())],
        // Flavors of the source come before the architecture, as in `rt-arm64`, those of the page size after, as in `arm64-16k`.
        flavor => vec![format!("-{flavor}-{}", arch.debian_name()), format!("-{}-{flavor}", arch.debian_name())],
    };
    let release_of = |package: &Package, prefix: &str| -> Option<String> {
        let release = package.name.strip_prefix(prefix)?;
        let abi = suffixes.iter().find_map(|suffix| release.strip_suffix(suffix.as_str()))?;
        // What is left of another flavor's name ends in that flavor, and what is a version has no letters but `deb` and `rc`.
        let is_version = abi.starts_with(|c: char| c.is_ascii_digit())
            && abi.split(['.', '+', '-', '~']).all(|part| {
                part.starts_with(|c: char| c.is_ascii_digit()) || part.starts_with("deb") || part.starts_with("rc")
            });
        is_version.then(|| release.to_owned())
    };
    let images = packages
        .iter()
        .filter(|package| kernel.series.has(&package.version) && package.size >= SMALLEST_IMAGE)
        .filter_map(|package| {
            let release = release_of(package, "linux-image-").or_else(|| release_of(package, "linux-binary-"))?;
            Some((package.debian_version()?, release, package))
        });
    let (_, release, image) = images.max_by(|a, b| a.0.cmp(&b.0))?;
    let modules_name = format!("linux-modules-{release}");
    let modules = packages.iter().find(|package| package.name == modules_name && package.version == image.version);
    let pin = |package: &Package| PinnedPackage {
        name: package.name.clone(),
        version: package.version.clone(),
        path: package.filename.clone(),
        size: package.size,
        sha256: package.sha256.to_string(),
    };
    let packages = std::iter::once(image).chain(modules).map(pin).collect();
    Some(PinnedKernel { release, suite: image.suite.clone(), packages })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Sha256;

    const MIB: u64 = 1 << 20;

    fn package(name: &str, version: &str, size: u64) -> Package {
        Package {
            name: name.into(),
            version: version.into(),
            architecture: "amd64".into(),
            depends: Vec::new(),
            provides: Vec::new(),
            filename: format!("pool/{name}_{version}_amd64.deb"),
            size,
            sha256: Sha256::of(name.as_bytes()),
            suite: "one".into(),
        }
    }

    /// The release and the packages of the newest kernel of `series` and `flavor`.
    fn found(packages: &[Package], series: &str, flavor: &str) -> Option<(String, Vec<String>)> {
        let (name, series, flavor) = (series.to_owned(), series.parse().unwrap(), Some(flavor.to_owned()));
        let row = KernelSpec { name, series, flavor, arches: None };
        let pinned = newest(packages, &row, Arch::X86_64)?;
        Some((pinned.release, pinned.packages.into_iter().map(|package| package.name).collect()))
    }

    #[test]
    fn the_newest_of_a_series_wins_whichever_suite_has_it() {
        let packages = [
            package("linux-image-6.12.117+deb12-cloud-amd64", "6.12.117-1~deb12u1", 30 * MIB),
            package("linux-image-6.12.117+deb13-cloud-amd64", "6.12.117-1", 30 * MIB),
            package("linux-image-6.12.9+deb13-cloud-amd64", "6.12.9-1", 30 * MIB),
            package("linux-image-6.1.0-56-cloud-amd64", "6.1.192-2", 20 * MIB),
        ];
        let (release, packages) = found(&packages, "6.12", "cloud").unwrap();
        assert_eq!(release, "6.12.117+deb13-cloud-amd64");
        assert_eq!(packages, ["linux-image-6.12.117+deb13-cloud-amd64"]);
    }

    #[test]
    fn a_split_kernel_is_its_binary_and_the_modules_that_are_still_there() {
        let mut packages = vec![
            package("linux-image-7.2.13+deb14-cloud-amd64", "7.2.13-1", 2000),
            package("linux-binary-7.2.13+deb14-cloud-amd64", "7.2.13-1", 13 * MIB),
            package("linux-modules-7.2.13+deb14-cloud-amd64", "7.2.13-1", 22 * MIB),
        ];
        let both = ["linux-binary-7.2.13+deb14-cloud-amd64", "linux-modules-7.2.13+deb14-cloud-amd64"];
        assert_eq!(found(&packages, "7.2", "cloud").unwrap().1, both);
        packages.pop();
        assert_eq!(found(&packages, "7.2", "cloud").unwrap().1, both[..1]);
        packages.pop();
        assert_eq!(found(&packages, "7.2", "cloud"), None, "a package without an image is no kernel");
    }

    #[test]
    fn a_flavor_is_not_taken_for_another() {
        let packages = [
            package("linux-image-6.12.5+deb13-cloud-amd64", "6.12.5-1", 30 * MIB),
            package("linux-image-6.12.4+deb13-amd64", "6.12.4-1", 90 * MIB),
            package("linux-image-6.12.3+deb13-rt-amd64", "6.12.3-1", 90 * MIB),
            package("linux-image-6.12.6+deb13-cloud-amd64-unsigned", "6.12.6-1", 30 * MIB),
            package("linux-image-6.12.7+deb13-amd64-dbg", "6.12.7-1", 900 * MIB),
        ];
        let release = |flavor| found(&packages, "6.12", flavor).unwrap().0;
        assert_eq!(release("cloud"), "6.12.5+deb13-cloud-amd64");
        assert_eq!(release("generic"), "6.12.4+deb13-amd64");
        assert_eq!(release("rt"), "6.12.3+deb13-rt-amd64");
    }

    #[test]
    fn a_release_candidate_is_no_release_of_its_series() {
        let packages = [
            package("linux-binary-7.3-cloud-amd64", "7.3~rc7-1~exp1", 13 * MIB),
            package("linux-binary-7.2.13+deb14-cloud-amd64", "7.2.13-1", 13 * MIB),
        ];
        assert_eq!(found(&packages, "rc", "cloud").unwrap().0, "7.3-cloud-amd64");
        assert_eq!(found(&packages, "7.3", "cloud"), None);
    }
}

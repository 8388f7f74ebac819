//! What the package archive offers as kernels: [`Offer`].
//!
//! The archive packs kernels in two ways: up to 6.18 `linux-image-R` holds image and modules; from 6.19 on it is an
//! empty package, `linux-binary-R` holds the image and `linux-modules-R` the modules. The module packages of series
//! that are no longer supported leave the archive first; those kernels still boot, since everything that the guest
//! needs is built into them.

use std::sync::Arc;

use super::KernelError;
use crate::archive::{Archive, ArchiveError, Index, IndexError, Package};
use crate::matrix::{Arch, PinnedKernel, PinnedPackage, SeriesSpec};

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

    /// The newest release of a series that can boot; `name` is the row's.
    ///
    /// # Errors
    /// When there is none.
    pub fn newest(&self, name: &str, wanted: &SeriesSpec) -> Result<PinnedKernel, KernelError> {
        self.releases(name, wanted).map(|(newest, _older)| newest)
    }

    /// The same, with the releases before it, newest first.
    pub(super) fn releases(
        &self,
        name: &str,
        wanted: &SeriesSpec,
    ) -> Result<(PinnedKernel, Vec<PinnedKernel>), KernelError> {
        let mut releases = releases(&self.packages, wanted, self.arch).into_iter();
        let newest = releases.next().ok_or_else(|| KernelError::NotOffered {
            name: name.to_owned(),
            series: wanted.series.to_string(),
            flavor: wanted.flavor_on(self.arch).to_owned(),
            arch: self.arch,
            suites: self.suites.join(", "),
        })?;
        Ok((newest, releases.collect()))
    }
}

/// The bootable releases of a series among `packages`, newest first.
fn releases(packages: &[Package], wanted: &SeriesSpec, arch: Arch) -> Vec<PinnedKernel> {
    /// An image is larger than this many bytes, an empty package that only depends on one is smaller.
    const SMALLEST_IMAGE: u64 = 1 << 20;
    // `generic` is the flavor without a name of its own: `linux-image-6.12.117+deb13-amd64`.
    let suffixes = match wanted.flavor_on(arch) {
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
    let mut images: Vec<_> = packages
        .iter()
        .filter(|package| wanted.series.has(&package.version) && package.size >= SMALLEST_IMAGE)
        .filter_map(|package| {
            let release = release_of(package, "linux-image-").or_else(|| release_of(package, "linux-binary-"))?;
            Some((package.debian_version()?, release, package))
        })
        .collect();
    // Stable, so of one version in two suites the earlier suite's comes first.
    images.sort_by(|a, b| b.0.cmp(&a.0));
    let pin = |package: &Package| PinnedPackage {
        name: package.name.clone(),
        version: package.version.clone(),
        path: package.filename.clone(),
        size: package.size,
        sha256: package.sha256.to_string(),
    };
    let to_pinned = |(_, release, image): (_, String, &Package)| {
        let modules_name = format!("linux-modules-{release}");
        let modules = packages.iter().find(|package| package.name == modules_name && package.version == image.version);
        let packages = std::iter::once(image).chain(modules).map(pin).collect();
        PinnedKernel { release, suite: image.suite.clone(), packages }
    };
    images.into_iter().map(to_pinned).collect()
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
        let wanted = SeriesSpec { series: series.parse().unwrap(), flavor: Some(flavor.to_owned()) };
        let pinned = releases(packages, &wanted, Arch::X86_64).into_iter().next()?;
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
            package("linux-image-6.12.2+deb13-amd64-16k", "6.12.2-1", 90 * MIB),
            package("linux-image-6.12.6+deb13-cloud-amd64-unsigned", "6.12.6-1", 30 * MIB),
            package("linux-image-6.12.7+deb13-amd64-dbg", "6.12.7-1", 900 * MIB),
        ];
        let release = |flavor| found(&packages, "6.12", flavor).unwrap().0;
        assert_eq!(release("cloud"), "6.12.5+deb13-cloud-amd64");
        assert_eq!(release("generic"), "6.12.4+deb13-amd64");
        assert_eq!(release("rt"), "6.12.3+deb13-rt-amd64");
        assert_eq!(release("16k"), "6.12.2+deb13-amd64-16k");
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

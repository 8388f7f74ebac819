//! A row of the table: [`KernelSpec`], and where its kernel comes from: [`KernelOrigin`].

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{MatrixSpec, Ruling};
use crate::matrix::{Arch, Series};

/// A row of the table.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Row")]
pub struct KernelSpec {
    /// The row's name.
    pub name: String,
    /// Where its kernel comes from.
    pub origin: KernelOrigin,
    /// The architectures; all of the matrix by default.
    pub arches: Option<BTreeSet<Arch>>,
}

/// Where a kernel comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelOrigin {
    /// From the package archive, pinned by the lock.
    Series(SeriesSpec),
    /// From files of this machine.
    Path(PathSpec),
    /// From a server.
    Url(UrlSpec),
    /// Built here.
    Source(SourceSpec),
}

/// A kernel of the package archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesSpec {
    /// The series, `6.12`, whose newest release is meant, or `rc` for the newest release candidate.
    pub series: Series,
    /// The configuration, as the archive names it; by default what suits the architecture (see [`Self::flavor_on`]).
    pub flavor: Option<String>,
}

/// A kernel in files. Paths are relative to the matrix's directory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathSpec {
    /// The image, as QEMU boots it.
    pub image: String,
    /// Its configuration, which the guest then finds in `/boot`.
    #[serde(default)]
    pub config: Option<String>,
    /// The directory of its modules, `…/lib/modules/<release>`.
    #[serde(default)]
    pub modules: Option<String>,
    /// What `uname -r` prints, where neither the modules' directory nor the image says.
    #[serde(default)]
    pub release: Option<String>,
}

/// A kernel on a server: a Debian package, a tar archive or a bare image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlSpec {
    /// Its address, `http:` or `https:`.
    pub url: String,
    /// The SHA-256 of what is there, in hexadecimal.
    pub sha256: String,
}

/// A kernel that is built here. Exactly one of `tarball`, `tree` and `url` says where its source is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SourceRow")]
pub struct SourceSpec {
    /// The source.
    pub source: SourceOrigin,
    /// What the configuration begins with: a target of the kernel's make, such as `defconfig` or `tinyconfig`, or a file.
    pub config: String,
    /// Files whose lines replace those of the configuration, in this order.
    pub fragments: Vec<String>,
}

/// Where the source of a kernel is. Paths are relative to the matrix's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceOrigin {
    /// In a tar archive.
    Tarball(String),
    /// In a directory, which is not written to.
    Tree(String),
    /// In a tar archive on a server.
    Url(UrlSpec),
}

impl KernelSpec {
    /// The series of the archive that it is a release of; `None` for a kernel from elsewhere.
    #[must_use]
    pub fn series(&self) -> Option<&SeriesSpec> {
        match &self.origin {
            KernelOrigin::Series(series) => Some(series),
            _ => None,
        }
    }

    /// Whether `spec`, the matrix of this row, has any cell of it on `arch` that is not left out.
    #[must_use]
    pub fn is_wanted_on(&self, spec: &MatrixSpec, arch: Arch) -> bool {
        spec.llvm.iter().any(|llvm| !matches!(spec.ruling(self, arch, llvm.version), Ruling::LeftOut(_)))
    }
}

impl SeriesSpec {
    /// The configuration that is meant on `arch`. One that the row names is never replaced.
    #[must_use]
    pub fn flavor_on(&self, arch: Arch) -> &str {
        self.flavor.as_deref().unwrap_or(match arch {
            // The smallest: what a virtual machine needs is built in, and the rest is left out.
            Arch::X86_64 | Arch::Aarch64 => "cloud",
            // The archive builds no `cloud` kernel for it.
            Arch::Riscv64 => "generic",
        })
    }
}

/// The keys of a row, before it is known which of them belong together.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    #[serde(default)]
    series: Option<Series>,
    #[serde(default)]
    flavor: Option<String>,
    #[serde(default)]
    path: Option<PathSpec>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    sha256: Option<String>,
    #[serde(default)]
    source: Option<SourceSpec>,
    #[serde(default)]
    arches: Option<BTreeSet<Arch>>,
}

impl TryFrom<Row> for KernelSpec {
    type Error = String;

    fn try_from(row: Row) -> Result<Self, String> {
        let Row { name, series, flavor, path, url, sha256, source, arches } = row;
        let about = |what: String| format!("kernel `{name}`: {what}");
        let refuse = |what: &str| Err(about(what.to_owned()));
        if flavor.is_some() && series.is_none() {
            return refuse("`flavor` belongs to a `series` of the archive");
        }
        if sha256.is_some() && url.is_none() {
            return refuse("`sha256` belongs to a `url`");
        }
        let origin = match (series, path, url, source) {
            (Some(series), None, None, None) => KernelOrigin::Series(SeriesSpec { series, flavor }),
            (None, Some(path), None, None) => KernelOrigin::Path(path),
            (None, None, Some(url), None) => KernelOrigin::Url(to_url(url, sha256).map_err(about)?),
            (None, None, None, Some(source)) => KernelOrigin::Source(source),
            (None, None, None, None) => return refuse("expected one of `series`, `path`, `url`, `source`, found none"),
            _ => return refuse("expected one of `series`, `path`, `url`, `source`, found several"),
        };
        Ok(Self { name, origin, arches })
    }
}

/// The keys of a `source`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceRow {
    #[serde(default)]
    tarball: Option<String>,
    #[serde(default)]
    tree: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    sha256: Option<String>,
    config: String,
    #[serde(default)]
    fragments: Vec<String>,
}

impl TryFrom<SourceRow> for SourceSpec {
    type Error = String;

    fn try_from(row: SourceRow) -> Result<Self, String> {
        let SourceRow { tarball, tree, url, sha256, config, fragments } = row;
        if sha256.is_some() && url.is_none() {
            return Err("`sha256` belongs to a `url`".into());
        }
        let source = match (tarball, tree, url) {
            (Some(tarball), None, None) => SourceOrigin::Tarball(tarball),
            (None, Some(tree), None) => SourceOrigin::Tree(tree),
            (None, None, Some(url)) => SourceOrigin::Url(to_url(url, sha256)?),
            (None, None, None) => return Err("expected one of `tarball`, `tree`, `url`, found none".into()),
            _ => return Err("expected one of `tarball`, `tree`, `url`, found several".into()),
        };
        Ok(Self { source, config, fragments })
    }
}

fn to_url(url: String, sha256: Option<String>) -> Result<UrlSpec, String> {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(format!("url is `{url}`; expected an address that begins with `https://` or `http://`"));
    }
    let sha256 = sha256.ok_or_else(|| format!("no `sha256` beside `url: {url}`; expected that of the file there"))?;
    if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("sha256 is `{sha256}`; expected 64 hexadecimal digits"));
    }
    Ok(UrlSpec { url, sha256: sha256.to_ascii_lowercase() })
}

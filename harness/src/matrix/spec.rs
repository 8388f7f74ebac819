//! The matrix as its author wrote it: [`MatrixSpec`]. Unknown keys are refused, and the whole is checked before anything runs.
//!
//! `matrix/matrix.yaml` explains every key by example; the doc comments here say what the code makes of them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use jiff::SignedDuration;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

mod check;
mod coverage;
mod kernel;
mod rule;
mod set;

pub use self::coverage::CoverageSpec;
pub use self::kernel::{KernelOrigin, KernelSpec, PathSpec, SeriesSpec, SourceOrigin, SourceSpec, UrlSpec};
pub use self::rule::RuleSpec;
pub(super) use self::rule::Ruling;
pub use self::set::{LlvmChoice, SetSpec};
use super::Arch;
use super::text::{self, SpecError};

/// The whole specification.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatrixSpec {
    /// What is tested.
    pub project: ProjectSpec,
    /// Which suites of the archive hold what.
    pub archive: ArchiveSpec,
    /// The VMs' size and devices.
    #[serde(default)]
    pub guest: GuestSpec,
    /// The architectures, each with what differs there.
    pub arches: BTreeMap<Arch, ArchSpec>,
    /// The kernels, oldest first: the table's rows.
    pub kernels: Vec<KernelSpec>,
    /// The LLVM releases that compile the BPF side: the table's columns.
    pub llvm: Vec<LlvmSpec>,
    /// Cells that cannot work, each with its reason.
    #[serde(default)]
    pub exclude: Vec<RuleSpec>,
    /// Cells that run although `exclude` or a kernel's `arches` leave them out, each with its reason.
    #[serde(default)]
    pub include: Vec<RuleSpec>,
    /// Parts of the matrix, by name.
    #[serde(default)]
    pub sets: BTreeMap<String, SetSpec>,
}

/// The project whose tests run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectSpec {
    /// The directory of its `Cargo.toml`, relative to this file's directory.
    pub directory: String,
    /// The cargo package whose test executables run.
    pub package: String,
    /// Which of its tests.
    #[serde(default)]
    pub tests: Tests,
    /// Features of the package, as for `cargo test --features`.
    #[serde(default)]
    pub features: Vec<String>,
    /// Globs of tests that do not depend on the BPF side: they run with the newest LLVM of each VM only.
    #[serde(default)]
    pub once: Vec<String>,
    /// What `--coverage` does.
    #[serde(default)]
    pub coverage: CoverageSpec,
    /// Environment of the tests in the guest.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// How long one test may run, under TCG.
    #[serde(default = "default_test_timeout", deserialize_with = "time")]
    pub test_timeout: SignedDuration,
    /// How long compiling the bundle may take.
    #[serde(default = "default_build_timeout", deserialize_with = "time")]
    pub build_timeout: SignedDuration,
}

fn default_test_timeout() -> SignedDuration {
    SignedDuration::from_secs(120)
}

fn default_build_timeout() -> SignedDuration {
    SignedDuration::from_secs(30 * 60)
}

/// A span of time: the visitor makes the error name the key, the value and what was expected.
struct Time;

impl Visitor<'_> for Time {
    type Value = SignedDuration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time like `90s` or `2m`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<SignedDuration, E> {
        text.parse()
            .map_err(|_unreadable| E::custom(format!("`{text}` is not a time; expected one like `90s` or `2m`")))
    }
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SignedDuration, D::Error> {
    deserializer.deserialize_str(Time)
}

fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SignedDuration>, D::Error> {
    time(deserializer).map(Some)
}

/// Which tests of an executable run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tests {
    /// Those with `#[ignore]`: the ones that need root.
    #[default]
    Ignored,
    /// All of them.
    All,
}

/// Where in the package archive things are found, by suite.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveSpec {
    /// Suites that are searched for kernels; the newest version of a series wins.
    pub kernels: Vec<String>,
    /// The suite of QEMU, of the Rust compiler where rustup cannot help, and of LLVM releases that name no other.
    pub tools: String,
    /// The suite of the C libraries that test executables link statically: no newer than the host's own libc.
    pub sysroot: String,
}

/// The VMs' size and devices.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuestSpec {
    /// Memory of a VM in MiB.
    pub memory_mib: u32,
    /// Processors of a VM.
    pub vcpus: u32,
    /// Whether the guest gets a network card (slirp, on 127.0.0.1 only).
    pub network: bool,
}

impl Default for GuestSpec {
    fn default() -> Self {
        Self { memory_mib: 256, vcpus: 2, network: false }
    }
}

/// What differs on one architecture.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArchSpec {
    /// How long a boot may take, from QEMU's start to the ready line; by default what suits the emulation.
    #[serde(deserialize_with = "some_time")]
    pub boot_timeout: Option<SignedDuration>,
    /// The suite of the C libraries, where that is not `archive.sysroot`.
    pub sysroot: Option<String>,
    /// Memory of a VM in MiB, where `guest.memory_mib` does not suit.
    pub memory_mib: Option<u32>,
}

/// A column of the table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LlvmSpec {
    /// The major release.
    pub version: u32,
    /// The suite that has it, where that is not the suite of the tools.
    #[serde(default)]
    pub suite: Option<String>,
}

impl MatrixSpec {
    /// Parses and checks `text`, which stands in the file `path`.
    ///
    /// # Errors
    /// When the text is not YAML, has an unknown key or a value of another kind than expected, or contradicts itself.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SpecError> {
        let spec: Self = text::parse(path, text)?;
        spec.check(path, text)?;
        Ok(spec)
    }

    /// The LLVM releases, newest first.
    #[must_use]
    pub fn llvm_versions(&self) -> Vec<u32> {
        let mut versions: Vec<u32> = self.llvm.iter().map(|llvm| llvm.version).collect();
        versions.sort_unstable_by(|a, b| b.cmp(a));
        versions
    }

    /// The suite of the C libraries for `arch`.
    #[must_use]
    pub fn sysroot_suite(&self, arch: Arch) -> &str {
        let own = self.arches.get(&arch).and_then(|arch| arch.sysroot.as_deref());
        own.unwrap_or(&self.archive.sysroot)
    }

    /// The size and devices of a VM of `arch`.
    #[must_use]
    pub fn guest(&self, arch: Arch) -> GuestSpec {
        let memory_mib = self.arches.get(&arch).and_then(|arch| arch.memory_mib).unwrap_or(self.guest.memory_mib);
        GuestSpec { memory_mib, ..self.guest }
    }

    /// The suite that has the LLVM release `version`.
    #[must_use]
    pub fn llvm_suite(&self, version: u32) -> &str {
        let row = self.llvm.iter().find(|llvm| llvm.version == version);
        row.and_then(|llvm| llvm.suite.as_deref()).unwrap_or(&self.archive.tools)
    }
}

/// `a, b, c`.
pub(super) fn list<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;

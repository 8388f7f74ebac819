//! Makes the guest image from an unpacked tree of packages: [`GuestSpec`] says what goes in, the functions write the
//! segments of the initramfs.
//!
//! | segment | holds | changes with |
//! |---|---|---|
//! | base | user land, init, relay | the packages |
//! | modules | what the kernel needs to reach the host | the kernel |
//! | run | the run's keys | every run |
//! | bundle | test executables | the project |

use std::path::{Path, PathBuf};
use std::time::Duration;

use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;
use thiserror::Error;

use crate::matrix::Arch;
use crate::process::Command;
use crate::provision::Kernel;
use crate::provision::initramfs::{InitramfsError, Segment};
use crate::provision::modules::{self, ModuleError};

/// The time that the compilation of the relay may take; it takes about a second.
pub const RELAY_DEADLINE: Duration = Duration::from_secs(120);
/// Where the files of a bundle are in the guest.
pub const BUNDLE_DIRECTORY: &str = "/ukci/bundle";

const SPEC: &str = include_str!("../../../vm-images/guest.yaml");
const INIT: &str = include_str!("../../../vm-images/init");
pub(super) const RELAY: &str = include_str!("../../../vm-images/relay.rs");

/// Every file system that tests of eBPF programs ask for. Device files and /proc come first: others are found there.
const FSTAB: &str = include_str!("../../../vm-images/fstab");
/// Tests that change the user need one besides root.
const PASSWD: &str = "root:*:0:0:root:/root:/bin/sh\nnobody:*:65534:65534:nobody:/:/bin/sh\n";

/// Why a guest image could not be made.
#[derive(Debug, Error)]
pub enum GuestError {
    /// `guest.yaml` is not as it should be.
    #[error("cannot read `vm-images/guest.yaml`: {0}")]
    Spec(#[from] serde_yaml::Error),
    /// A glob in `guest.yaml` is not one.
    #[error("cannot read `vm-images/guest.yaml`: package `{package}`: {source}")]
    Glob {
        /// Whose file it is.
        package: String,
        /// Why.
        source: globset::Error,
    },
    /// No file of the unpacked packages matches a glob.
    #[error(
        "cannot make the guest image: expected a file `{glob}` of the package `{package}` in `{tree}`, found \
         none\n  hint: the package may have moved it; adapt vm-images/guest.yaml"
    )]
    NoFile {
        /// The package that should have it.
        package: String,
        /// The glob.
        glob: String,
        /// Where the packages are unpacked.
        tree: PathBuf,
    },
    /// The tree could not be read.
    #[error("cannot read the unpacked guest packages in `{path}`: {source}")]
    Tree {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The kernel's modules are not as they should be.
    #[error(transparent)]
    Modules(#[from] ModuleError),
    /// A segment could not be written.
    #[error(transparent)]
    Initramfs(#[from] InitramfsError),
}

/// What the guest image is made of; the type of `vm-images/guest.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestSpec {
    /// The suite of the archive that the packages come from.
    pub suite: String,
    /// The packages, without their dependencies: every one that is needed is listed.
    pub packages: Vec<GuestPackage>,
    /// Commands that are links to busybox, separated by spaces.
    pub applets: String,
    /// Modules that every guest loads, unless they are built in.
    pub modules: Vec<String>,
    /// Modules that a guest with a network loads besides.
    pub network_modules: Vec<String>,
}

/// A package of the guest image.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestPackage {
    /// Its name in the archive.
    pub name: String,
    /// Globs of the files that the image keeps; some match on one architecture only, so one match per package suffices.
    pub files: Vec<String>,
}

impl GuestSpec {
    /// The specification that ukci is built with.
    ///
    /// # Errors
    /// When `vm-images/guest.yaml` was edited badly.
    pub fn built_in() -> Result<Self, GuestError> {
        Self::parse(SPEC)
    }

    /// Reads a specification.
    ///
    /// # Errors
    /// When it is not valid YAML, or has a key that is not known.
    pub fn parse(text: &str) -> Result<Self, GuestError> {
        Ok(serde_yaml::from_str(text)?)
    }

    /// The modules to load in a guest.
    pub fn modules(&self, network: bool) -> Vec<&str> {
        let network_modules = if network { &self.network_modules[..] } else { &[] };
        self.modules.iter().chain(network_modules).map(String::as_str).collect()
    }

    /// Everything that the base and relay of an image depend on besides the packages, for the key of a cache.
    #[must_use]
    pub fn base_inputs() -> [&'static str; 5] {
        [SPEC, INIT, RELAY, FSTAB, PASSWD]
    }

    /// Writes the base segment: the user land from `tree`, where the packages are unpacked one over the other, init, and
    /// the compiled `relay`.
    ///
    /// # Errors
    /// When a package does not have what `guest.yaml` keeps of it, or the segment cannot be written.
    pub fn write_base(&self, tree: &Path, relay: &Path, out: &Path) -> Result<(), GuestError> {
        let mut segment = Segment::default();
        for (link, target) in [
            ("bin", "usr/bin"),
            ("sbin", "usr/sbin"),
            ("lib", "usr/lib"),
            ("lib64", "usr/lib64"),
            ("init", "ukci/init"),
        ] {
            segment.symlink(link, target);
        }
        for directory in ["dev", "proc", "run", "sys", "tmp", "root", "usr/lib64"] {
            segment.directory(directory, 0o755);
        }
        segment.bytes("etc/fstab", 0o644, FSTAB);
        segment.bytes("etc/passwd", 0o644, PASSWD);
        segment.bytes("etc/group", 0o644, "root:x:0:\n");
        segment.bytes("etc/hosts", 0o644, "127.0.0.1 localhost ukci\n");
        segment.bytes("ukci/init", 0o755, INIT);
        segment.host_file("ukci/relay", 0o755, relay);
        // An init that is a script needs its shell before anything else; the rest are links like it.
        for applet in self.applets.split_ascii_whitespace() {
            segment.symlink(&format!("usr/bin/{applet}"), "busybox");
        }
        let files = list(tree)?;
        for package in &self.packages {
            self.keep(package, &files, tree, &mut segment)?;
        }
        Ok(segment.write(out)?)
    }

    fn keep(
        &self,
        package: &GuestPackage,
        files: &[String],
        tree: &Path,
        segment: &mut Segment,
    ) -> Result<(), GuestError> {
        let mut kept = 0;
        for pattern in &package.files {
            let glob = glob(pattern).map_err(|source| GuestError::Glob { package: package.name.clone(), source })?;
            for file in files.iter().filter(|file| glob.is_match(file)) {
                add(segment, tree, file)?;
                kept += 1;
            }
        }
        if kept == 0 {
            let (package, glob) = (package.name.clone(), package.files.join("`, `"));
            return Err(GuestError::NoFile { package, glob, tree: tree.to_owned() });
        }
        Ok(())
    }
}

fn glob(pattern: &str) -> Result<GlobMatcher, globset::Error> {
    Ok(GlobBuilder::new(pattern).literal_separator(true).build()?.compile_matcher())
}

fn add(segment: &mut Segment, tree: &Path, file: &str) -> Result<(), GuestError> {
    let path = tree.join(file);
    let failed = |source| GuestError::Tree { path: path.clone(), source };
    if path.is_symlink() {
        let target = std::fs::read_link(&path).map_err(failed)?;
        segment.symlink(file, &target.to_string_lossy());
    } else {
        segment.host_file(file, 0o755, path);
    }
    Ok(())
}

/// The paths of all files and links in `tree`, relative to it, sorted.
fn list(tree: &Path) -> Result<Vec<String>, GuestError> {
    let mut files = Vec::new();
    let mut directories = vec![tree.to_owned()];
    while let Some(directory) = directories.pop() {
        let failed = |source| GuestError::Tree { path: directory.clone(), source };
        for entry in std::fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_type().map_err(failed)?.is_dir() {
                directories.push(entry.path());
            } else if let Some(path) = entry.path().strip_prefix(tree).ok().and_then(Path::to_str) {
                files.push(path.to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The command that compiles the relay for guests of `arch` into the file `out`; the source is written beside it.
/// `linker` is needed for a foreign architecture.
///
/// # Errors
/// When the source cannot be written.
pub fn compile_relay(rustc: &Path, arch: Arch, linker: Option<&Path>, out: &Path) -> Result<Command, GuestError> {
    let source = out.with_extension("rs");
    std::fs::write(&source, RELAY).map_err(|error| InitramfsError::Write { path: source.clone(), source: error })?;
    let command =
        Command::new(rustc).args(["--edition", "2024", "--crate-name", "relay", "--target", arch.rust_target()]);
    let command = ["target-feature=+crt-static", "opt-level=s", "panic=abort", "strip=symbols"]
        .into_iter()
        .fold(command, |command, option| command.args(["-C", option]));
    let command = match linker {
        Some(linker) => command.arg("-C").arg(format!("linker={}", linker.display())),
        None => command,
    };
    Ok(command.arg("-o").arg(out).arg(&source))
}

/// Writes the segment of a kernel: the modules that its guest loads, and its configuration where libbpf looks for it.
///
/// # Errors
/// When the kernel lacks one of `wanted`, or the segment cannot be written.
pub fn write_kernel(kernel: &Kernel, wanted: &[&str], out: &Path) -> Result<(), GuestError> {
    let mut segment = Segment::default();
    if let Some(directory) = &kernel.modules {
        let mut list = String::new();
        for module in modules::load_order(directory, wanted)? {
            let file = format!("{}.ko", module.name);
            list += &format!("{file}\n");
            segment.bytes(&format!("ukci/modules/{file}"), 0o644, module.content);
        }
        segment.bytes("ukci/modules/list", 0o644, list);
    }
    if let Some(config) = &kernel.config {
        segment.host_file(&format!("boot/config-{}", kernel.release), 0o644, config);
    }
    Ok(segment.write(out)?)
}

/// Writes the segment of one run: who may log in, and the guest's own key in dropbear's format.
///
/// # Errors
/// When the segment cannot be written.
pub fn write_run(authorized_key: &str, host_key: &[u8], out: &Path) -> Result<(), GuestError> {
    let mut segment = Segment::default();
    // dropbear refuses a key file that others than its owner may write, and its directories likewise.
    segment.directory("root", 0o700);
    segment.directory("root/.ssh", 0o700);
    segment.bytes("root/.ssh/authorized_keys", 0o600, format!("{}\n", authorized_key.trim_end()));
    segment.bytes("ukci/run/host_key", 0o600, host_key);
    Ok(segment.write(out)?)
}

/// Writes the segment of a bundle: each file of the host becomes an executable [`BUNDLE_DIRECTORY`]`/<name>`.
///
/// # Errors
/// When a file cannot be read or the segment not be written.
pub fn write_bundle<'a>(files: impl IntoIterator<Item = (&'a str, &'a Path)>, out: &Path) -> Result<(), GuestError> {
    let mut segment = Segment::default();
    for (name, path) in files {
        segment.host_file(&format!("{}/{name}", BUNDLE_DIRECTORY.trim_start_matches('/')), 0o755, path);
    }
    Ok(segment.write(out)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_specification_is_valid() {
        let spec = GuestSpec::built_in().unwrap();
        assert_eq!(spec.modules(false), ["virtio_pci", "virtio_console"]);
        assert_eq!(spec.modules(true), ["virtio_pci", "virtio_console", "virtio_net"]);
        for pattern in spec.packages.iter().flat_map(|package| &package.files) {
            glob(pattern).unwrap();
        }
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let text = format!("{SPEC}\nkernels: []\n");
        let error = GuestSpec::parse(&text).unwrap_err().to_string();
        assert!(error.contains("unknown field `kernels`"), "{error}");
    }

    #[test]
    fn a_package_without_its_file_is_named() {
        let tree = tempfile::tempdir().unwrap();
        let spec = GuestSpec::built_in().unwrap();
        let error =
            spec.write_base(tree.path(), Path::new("/relay"), &tree.path().join("out")).unwrap_err().to_string();
        assert!(error.contains("`usr/bin/busybox` of the package `busybox-static`"), "{error}");
    }

    #[test]
    fn init_names_the_files_that_the_segments_hold() {
        for path in ["/ukci/relay", "/ukci/modules/list", "/ukci/run/host_key"] {
            assert!(INIT.contains(path), "{path}");
        }
    }
}

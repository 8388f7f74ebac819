//! Where an unpacked package or archive has its kernel: [`find`].

use std::fs;
use std::path::{Path, PathBuf};

use super::KernelError;

/// A kernel's files in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) release: String,
    pub(super) image: PathBuf,
    pub(super) modules: Option<PathBuf>,
    pub(super) config: Option<PathBuf>,
}

/// The directories that hold a directory of modules for each release.
const MODULES: [&str; 2] = ["usr/lib/modules", "lib/modules"];

/// Finds the kernel in `tree`: that of `release`, or the only one. `name` is the row's, and stands for a release that nothing
/// in the tree names.
pub(super) fn find(tree: &Path, release: Option<&str>, name: &str) -> Result<Found, KernelError> {
    let release = release.map(ToOwned::to_owned).or_else(|| only_release(tree)).unwrap_or_else(|| name.to_owned());
    // The distributions' places first: from 7.3 on Debian's image lies beside the modules, and its riscv64 packages of 6.12
    // call it `vmlinux`. Then what the kernel's own make calls it.
    let images = [
        format!("boot/vmlinuz-{release}"),
        format!("usr/lib/modules/{release}/vmlinuz"),
        format!("lib/modules/{release}/vmlinuz"),
        format!("boot/vmlinux-{release}"),
    ]
    .into_iter()
    .chain(["vmlinuz", "bzImage", "Image"].into_iter().flat_map(|image| [format!("boot/{image}"), image.to_owned()]));
    let Some(image) = images.map(|place| tree.join(place)).find(|image| image.is_file()) else {
        return Err(KernelError::NoImage { name: name.to_owned(), release, tree: tree.to_owned() });
    };
    let modules = MODULES.map(|directory| tree.join(directory).join(&release));
    let modules = modules.into_iter().find(|directory| directory.join("kernel").is_dir());
    let configs = [
        format!("boot/config-{release}"),
        format!("usr/lib/modules/{release}/config"),
        format!("lib/modules/{release}/config"),
    ];
    let config = configs.map(|place| tree.join(place)).into_iter().find(|config| config.is_file());
    Ok(Found { release, image, modules, config })
}

/// The release that the tree has modules for or, without modules, an image; `None` when it is not exactly one.
fn only_release(tree: &Path) -> Option<String> {
    let modules = MODULES.map(|directory| names(&tree.join(directory), ""));
    let images = names(&tree.join("boot"), "vmlinuz-");
    let all = modules.into_iter().chain([images]).find(|names| !names.is_empty())?;
    <[String; 1]>::try_from(all).ok().map(|[only]| only)
}

/// What comes after `prefix` in the names in `directory` that begin with it.
fn names(directory: &Path, prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| name.strip_prefix(prefix).map(ToOwned::to_owned)).collect()
}

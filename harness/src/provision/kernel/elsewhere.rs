//! A kernel in files of this machine, or on a server.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Kernel, KernelError, content, layout};
use crate::archive::{Archive, Key, Sha256};
use crate::matrix::{PathSpec, UrlSpec};
use crate::project::Project;

/// The kernel in the files that the row `name` lists.
pub(super) fn in_files(project: &Project, name: &str, spec: &PathSpec) -> Result<Kernel, KernelError> {
    let place = |path: &String| project.directory.join(path);
    let image = place(&spec.image);
    let failed = |path: &Path| {
        let (name, path) = (name.to_owned(), path.to_owned());
        move |source| KernelError::Read { name, path, source }
    };
    let image_hash = Sha256::of_file(&image).map_err(failed(&image))?;
    let mut parts = vec![image_hash.to_string()];
    let modules = spec.modules.as_ref().map(place);
    if let Some(modules) = &modules {
        parts.push(content::of_tree(modules).map_err(failed(modules))?);
    }
    let config = spec.config.as_ref().map(place);
    if let Some(config) = &config {
        parts.push(Sha256::of_file(config).map_err(failed(config))?.to_string());
    }
    let of_modules = || modules.as_deref().and_then(Path::file_name).and_then(|name| name.to_str().map(str::to_owned));
    let release = spec.release.clone().or_else(of_modules).or_else(|| release_in(&image));
    Ok(Kernel {
        release: release.unwrap_or_else(|| name.to_owned()),
        image,
        // Where everything is built in, make installs a directory without modules.
        modules: modules.filter(|modules| modules.join("kernel").is_dir()),
        config,
        fingerprint: Sha256::of(parts.join("\n").as_bytes()),
        package: None,
    })
}

/// The kernel at the address that the row `name` has.
pub(super) fn on_a_server(archive: &Archive, name: &str, spec: &UrlSpec) -> Result<Kernel, KernelError> {
    let fail = |source| KernelError::Archive { name: name.to_owned(), source };
    let (file, sha256) = download(archive, name, spec)?;
    let from = format!("kernel {name} of {}", spec.url);
    let found = match archive.unpacked(&from, &file, sha256).map_err(fail)? {
        Some(tree) => layout::find(&tree, None, name)?,
        None => {
            let release = release_in(&file).unwrap_or_else(|| name.to_owned());
            layout::Found { release, image: file, modules: None, config: None }
        }
    };
    Ok(Kernel {
        release: found.release,
        image: found.image,
        modules: found.modules,
        config: found.config,
        fingerprint: sha256,
        package: None,
    })
}

/// The file that `spec` names, verified, with its hash.
pub(super) fn download(archive: &Archive, name: &str, spec: &UrlSpec) -> Result<(PathBuf, Sha256), KernelError> {
    let sha256 = spec.sha256.parse().map_err(|source| KernelError::BadHash { name: name.to_owned(), source })?;
    let file = archive.download(&spec.url, sha256);
    Ok((file.map_err(|source| KernelError::Archive { name: name.to_owned(), source })?, sha256))
}

/// The release that an x86 image says it is (the boot protocol's `kernel_version`); the other architectures' say nothing.
fn release_in(image: &Path) -> Option<String> {
    const SIGNATURE: usize = 0x202;
    const VERSION: usize = 0x20e;
    /// What the pointer to the version counts from.
    const BASE: usize = 0x200;
    let bytes = fs::read(image).ok()?;
    if bytes.get(SIGNATURE..SIGNATURE + 4)? != b"HdrS" {
        return None;
    }
    let pointer = u16::from_le_bytes(bytes.get(VERSION..VERSION + 2)?.try_into().ok()?);
    let text = bytes.get(BASE + usize::from(pointer)..)?.split(|byte| *byte == 0 || *byte == b' ').next()?;
    String::from_utf8(text.to_vec()).ok().filter(|release| pointer != 0 && !release.is_empty())
}

/// A name in the store for what a kernel from elsewhere is made of.
pub(super) fn key(parts: &[String]) -> Key {
    Key::new("kernel", parts)
}

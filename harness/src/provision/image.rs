//! The segments of the guest's initramfs that do not change with the run, each made once and kept in the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::guest::{self, GuestSpec};
use super::{Kernel, ProvisionError, Provisioner, Userland, in_background, once};
use crate::archive::{Key, Sha256, StoreError};
use crate::matrix::Arch;

/// Changes whenever the same kernel gets another segment.
const GUEST_KERNEL_FORMAT: &str = "1";

impl Provisioner {
    /// The segment with the guest's user land.
    pub(super) async fn base(&self, arch: Arch) -> Result<PathBuf, ProvisionError> {
        let cell = once(&self.base, arch).await;
        cell.get_or_try_init(|| self.make_base(arch)).await.cloned()
    }

    async fn make_base(&self, arch: Arch) -> Result<PathBuf, ProvisionError> {
        let relay = self.relay(arch).await?;
        let (archive, guest) = (Arc::clone(&self.archive), self.guest.clone());
        in_background(move || {
            let names: Vec<&str> = guest.packages.iter().map(|package| package.name.as_str()).collect();
            let (packages, tree) = archive.closure_tree(&[&guest.suite], arch, &names, &[])?;
            let mut parts: Vec<Vec<u8>> = GuestSpec::base_inputs().map(|text| text.as_bytes().to_vec()).into();
            parts.extend(packages.iter().map(|package| package.sha256.to_string().into_bytes()));
            parts.push(relay.display().to_string().into_bytes());
            let key = Key::new("guest-base", &parts);
            let directory = archive.store().derive(&key, &format!("guest image for {arch}"), |directory| {
                guest.write_base(&tree, &relay, &directory.join("base.cpio")).map_err(ProvisionError::from)
            })?;
            Ok(directory.join("base.cpio"))
        })
        .await
    }

    /// The relay, compiled for the guest.
    async fn relay(&self, arch: Arch) -> Result<PathBuf, ProvisionError> {
        /// It takes a second or two.
        const DEADLINE: Duration = Duration::from_secs(120);
        let Userland { rust, cross, .. } = self.userland(arch).await?;
        let key = Key::new("relay", [guest::RELAY, &rust.version, arch.rust_target()]);
        let store = self.archive.store();
        if let Some(directory) = store.derived(&key)? {
            return Ok(directory.join("relay"));
        }
        let made = self.scratch.path().join(format!("relay-{arch}"));
        let log = self.scratch.path().join(format!("relay-{arch}.log"));
        let linker = cross.as_ref().map(|cross| cross.compiler.as_path());
        let command = guest::compile_relay(&rust.rustc, arch, linker, &made)?;
        // There rustup finds the toolchain that has the standard library.
        command.current_dir(&self.project.root).log(log).run(DEADLINE).await?;
        let directory = store.derive(&key, &format!("relay for {arch}"), |directory| {
            let place = directory.join("relay");
            std::fs::copy(&made, &place).map(drop).map_err(StoreError::at("write", &place))
        })?;
        Ok(directory.join("relay"))
    }

    /// The segment with what belongs to the kernel: the modules that the guest loads, and the configuration.
    pub(super) async fn of_kernel(&self, kernel: &Kernel) -> Result<Option<PathBuf>, ProvisionError> {
        if kernel.modules.is_none() && kernel.config.is_none() {
            return Ok(None);
        }
        let wanted = self.wanted_modules();
        let mut parts = vec![GUEST_KERNEL_FORMAT.to_owned(), kernel.fingerprint.to_string(), kernel.release.clone()];
        parts.extend(wanted.iter().cloned());
        let key = Key::new("guest-kernel", &parts);
        let (store, kernel) = (self.archive.store().clone(), kernel.clone());
        in_background(move || {
            let directory = store.derive(&key, &format!("modules of {}", kernel.release), |directory| {
                let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
                guest::write_kernel(&kernel, &wanted, &directory.join("kernel.cpio")).map_err(ProvisionError::from)
            })?;
            Ok(Some(directory.join("kernel.cpio")))
        })
        .await
    }

    fn wanted_modules(&self) -> Vec<String> {
        self.guest.modules(self.project.spec.guest.network).into_iter().map(ToOwned::to_owned).collect()
    }

    /// What tells a guest image from others of its architecture: the entry of the store that holds `base`, and the modules
    /// that are loaded. The modules themselves are a part of the kernel.
    pub(super) fn image_fingerprint(&self, base: &Path) -> Sha256 {
        let entry = base.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        let parts: Vec<String> = std::iter::once(entry).chain(self.wanted_modules()).collect();
        Sha256::of(parts.join("\n").as_bytes())
    }
}

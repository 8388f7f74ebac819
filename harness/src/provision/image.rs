//! The segments of the guest's initramfs that do not change with the run, each made once and kept in the store.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::guest::{self, GuestSpec};
use super::{Kernel, ProvisionError, Provisioner, in_background, once};
use crate::archive::{Key, StoreError};
use crate::matrix::Arch;
use crate::process::Command;

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
        let rustc = PathBuf::from(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        let version = Command::new(&rustc).arg("-vV").capture().run(DEADLINE).await?.stdout;
        let key = Key::new("relay", [guest::RELAY.as_bytes(), &version, arch.rust_target().as_bytes()]);
        let store = self.archive.store();
        if let Some(directory) = store.derived(&key)? {
            return Ok(directory.join("relay"));
        }
        let made = self.scratch.path().join(format!("relay-{arch}"));
        let log = self.scratch.path().join(format!("relay-{arch}.log"));
        guest::compile_relay(&rustc, arch, None, &made)?.log(log).run(DEADLINE).await?;
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
        let wanted: Vec<String> =
            self.guest.modules(self.project.spec.guest.network).into_iter().map(ToOwned::to_owned).collect();
        let mut parts = vec![GUEST_KERNEL_FORMAT.to_owned(), kernel.fingerprint.clone(), kernel.release.clone()];
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
}

//! What the tests that boot real kernels need: a kernel, a guest image and QEMU.
//!
//! PLACEHOLDER: the variables UKCI_DEV_KERNEL (image), UKCI_DEV_MODULES (`…/lib/modules/<release>`, may be unset) and
//! UKCI_DEV_GUEST_TREE (the guest's packages, unpacked over each other) stand in for the provisioning from the store, and
//! QEMU is the machine's own. To be replaced when provisioning is wired.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use ukci::matrix::Arch;
use ukci::provision::guest::{self, GuestSpec};
use ukci::provision::initramfs::assemble;
use ukci::vm::keys::RunKeys;
use ukci::vm::machine::{Accel, MachineSpec};
use ukci::vm::ssh::Session;
use ukci::vm::{Deadlines, Qemu, Vm};

/// A guest to be: its files, and the keys that are in its image.
pub(crate) struct Guest {
    pub(crate) keys: RunKeys,
    pub(crate) qemu: Qemu,
    pub(crate) spec: MachineSpec,
    pub(crate) deadlines: Deadlines,
    pub(crate) directory: TempDir,
}

fn variable(name: &str) -> PathBuf {
    std::env::var_os(name).map(PathBuf::from).unwrap_or_else(|| panic!("set {name}; see tests/common/real.rs"))
}

impl Guest {
    pub(crate) async fn prepare() -> Self {
        Self::with(&[], false).await
    }

    pub(crate) async fn with(bundle: &[(&str, &Path)], network: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let rustc = PathBuf::from(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        let relay = guest::compile_relay(&rustc, Arch::X86_64, None, &at("relay")).unwrap();
        relay.run(guest::RELAY_DEADLINE).await.unwrap();
        let image = GuestSpec::built_in().unwrap();
        image.write_base(&variable("UKCI_DEV_GUEST_TREE"), &at("relay"), &at("base")).unwrap();
        let keys = RunKeys::generate().unwrap();
        guest::write_run(keys.authorized_key(), keys.host_key_file(), &at("run")).unwrap();
        guest::write_bundle(bundle.iter().copied(), &at("bundle")).unwrap();
        let mut segments = vec![at("base"), at("run"), at("bundle")];
        if let Some(modules) = std::env::var_os("UKCI_DEV_MODULES").filter(|path| !path.is_empty()) {
            guest::write_modules(Path::new(&modules), &image.modules(network), &at("modules")).unwrap();
            segments.push(at("modules"));
        }
        let segments: Vec<&Path> = segments.iter().map(PathBuf::as_path).collect();
        assemble(&segments, &at("initramfs")).unwrap();
        let spec = MachineSpec {
            arch: Arch::X86_64,
            accel: Accel::Tcg,
            vcpus: 2,
            memory_mib: 1024,
            kernel: variable("UKCI_DEV_KERNEL"),
            initrd: at("initramfs"),
            network,
            time: SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs()),
        };
        let qemu = Qemu::inspect("qemu-system-x86_64".into(), Vec::new(), Vec::new(), None).await.unwrap();
        let deadlines = Deadlines::of(spec.arch, spec.accel);
        Self { keys, qemu, spec, deadlines, directory }
    }

    pub(crate) async fn boot(&self) -> Vm {
        match Vm::boot(&self.qemu, &self.spec, self.directory.path(), self.deadlines).await {
            Ok(vm) => vm,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn boot_and_connect(&self) -> (Vm, Session) {
        let mut vm = self.boot().await;
        match vm.connect(&self.keys).await {
            Ok(session) => (vm, session),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A deadline for a command that takes no time.
pub(crate) const SOON: Duration = Duration::from_secs(20);

//! What the tests that boot real kernels need: a kernel, a guest image and QEMU, provided as `ukci run` provides them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use ukci::archive::{Archive, Settings, Store};
use ukci::matrix::{Arch, Filter, Plan};
use ukci::project::Project;
use ukci::provision::{AccelWish, Provisioner};
use ukci::vm::keys::RunKeys;
use ukci::vm::machine::MachineSpec;
use ukci::vm::ssh::Session;
use ukci::vm::{Deadlines, Qemu, Vm};

/// The row of the matrix whose kernel the tests boot.
const KERNEL: &str = "6.12";

/// A guest to be: its files, and the keys that are in its image.
pub(crate) struct Guest {
    pub(crate) keys: RunKeys,
    pub(crate) qemu: Qemu,
    pub(crate) spec: MachineSpec,
    pub(crate) deadlines: Deadlines,
    pub(crate) directory: TempDir,
    /// Its scratch directory holds the initramfs.
    _provisioner: Provisioner,
}

impl Guest {
    pub(crate) async fn prepare() -> Self {
        Self::with(false).await
    }

    pub(crate) async fn with(network: bool) -> Self {
        let matrix = Path::new(env!("CARGO_MANIFEST_DIR")).join("../matrix/matrix.yaml");
        let mut project = Project::load(Some(&matrix)).unwrap();
        project.spec.guest.network = network;
        let host = Arch::host();
        let filter = Filter { kernels: vec![KERNEL.into()], arches: host.into_iter().collect(), ..Filter::default() };
        let plan = Plan::expand(&project.spec, &filter).unwrap();
        let job = plan.jobs().first().unwrap();
        let archive = Archive::open(Settings::from_env(), Store::from_env().unwrap(), Arc::new(()));
        let directory = tempfile::tempdir().unwrap();
        let provisioner =
            Provisioner::new(Arc::new(archive), project, AccelWish::Tcg, false, directory.path()).unwrap();
        let inputs = provisioner.prepare(job).await.unwrap();
        let spec = provisioner.machine(&inputs, &[]).await.unwrap();
        Self {
            keys: provisioner.keys().clone(),
            qemu: inputs.qemu.as_ref().clone(),
            deadlines: provisioner.deadlines(job.arch, spec.accel),
            spec,
            directory,
            _provisioner: provisioner,
        }
    }

    /// Boots it; a second time when emulation spoils the first, as `ukci run` does.
    pub(crate) async fn boot(&self) -> Vm {
        let (directory, deadlines) = (self.directory.path(), self.deadlines);
        let boot = || Vm::boot(&self.qemu, &self.spec, directory, directory, deadlines);
        match boot().await {
            Ok(vm) => vm,
            Err(first) => match boot().await {
                Ok(vm) => vm,
                Err(second) => panic!("{first}\nand again: {second}"),
            },
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

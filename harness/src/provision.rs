//! Turns what the store holds into the inputs of a VM: kernel, guest image, bundle, QEMU. Main type: [`Provisioner`].

pub mod accel;
mod blame;
pub mod program;
pub mod qemu;
pub mod kernel;
mod llvm;
pub mod rust;
pub mod userland;
pub mod toolchain;
mod instrument;
pub mod bundle;
mod loader;
pub mod modules;
pub mod initramfs;
pub mod guest;
mod image;
mod machine;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use tempfile::TempDir;
use thiserror::Error;
use tokio::sync::{Mutex, OnceCell};

pub use self::accel::{AccelError, AccelWish};
pub use self::bundle::{Bundle, BundleError, TestExecutable, Variant};
pub use self::kernel::{Kernel, KernelError};
pub use self::llvm::{CoverageTools, coverage_tools};
pub use self::loader::LoadObject;
pub use self::toolchain::{Clang, Toolchain, ToolchainError};
pub use self::userland::Userland;

use self::bundle::BundleKey;
use self::guest::{GuestError, GuestSpec};
use self::initramfs::InitramfsError;
use self::instrument::Instrument;
use self::qemu::QemuError;
use crate::archive::{Archive, ArchiveError, Sha256, StoreError};
use crate::matrix::{Arch, Job, KernelOrigin};
use crate::process::ProcessError;
use crate::project::Project;
use crate::vm::Qemu;
use crate::vm::keys::{KeyError, RunKeys};
use crate::vm::machine::Accel;

/// Everything that a VM of a job needs, but for the initramfs, which [`Provisioner::machine`] makes for each boot.
#[derive(Debug)]
pub struct VmInputs {
    /// The QEMU that runs it.
    pub qemu: Rc<Qemu>,
    /// The kernel.
    pub kernel: Kernel,
    /// The guest's architecture.
    pub arch: Arch,
    /// What tells the guest image from others of its architecture.
    pub image: Sha256,
    /// The job's id.
    id: String,
    /// The initramfs but for what changes with the run: user land, then what belongs to the kernel.
    segments: Vec<PathBuf>,
}

/// Why a job has no inputs.
#[derive(Debug, Error)]
pub enum ProvisionError {
    /// No kernel.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// No QEMU.
    #[error(transparent)]
    Qemu(#[from] QemuError),
    /// The archive failed.
    #[error("cannot fetch the guest's user land: {0}")]
    Archive(#[from] ArchiveError),
    /// The guest image could not be made.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// An initramfs could not be made.
    #[error(transparent)]
    Initramfs(#[from] InitramfsError),
    /// The run's keys cannot be made.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Guests cannot be run as asked.
    #[error(transparent)]
    Accel(#[from] AccelError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A program failed.
    #[error("cannot compile the guest's relay: {0}")]
    Relay(#[from] ProcessError),
    /// What compiles for the guest could not be had.
    #[error("{0}")]
    Toolchain(Arc<ToolchainError>),
    /// What compiles for another architecture than this machine's does not exist.
    #[error("no cross toolchain for {arch}: {source}")]
    NoCross {
        /// The guest's architecture.
        arch: Arch,
        /// What is missing.
        source: Arc<ToolchainError>,
    },
}

/// Why a cell has no bundle.
#[derive(Clone, Debug, Error)]
pub enum NoBundle {
    /// The project does not compile with this LLVM: that is a finding.
    #[error("{0}")]
    Compile(String),
    /// What compiles it could not be had: that says nothing about the project.
    #[error("{0}")]
    Toolchain(String),
    /// The same, and no other bundle would most likely fare better: no mirror, no network, a full disk.
    #[error("{0}")]
    Hindered(Arc<ToolchainError>),
}

/// Provides inputs, each made once however many jobs ask for it.
#[derive(Debug)]
pub struct Provisioner {
    archive: Arc<Archive>,
    project: Project,
    locked: bool,
    wish: AccelWish,
    logs: PathBuf,
    keys: RunKeys,
    guest: GuestSpec,
    /// On the store's file system, and gone with the provisioner.
    scratch: TempDir,
    qemu: OncePer<Arch, Rc<Qemu>>,
    accel: OncePer<Arch, Accel>,
    userlands: OncePer<Arch, Result<Userland, Arc<ToolchainError>>>,
    base: OncePer<Arch, PathBuf>,
    bundles: OncePer<BundleKey, Result<BuiltBundle, NoBundle>>,
    /// Cargo works on one bundle at a time: its own lock would make the others wait as well.
    cargo: Mutex<()>,
    /// Objects to be loaded in place of tests to be run; none, usually.
    objects: Vec<LoadObject>,
    /// Make works on one kernel at a time, with every processor.
    kernel_builder: Mutex<()>,
}

#[derive(Clone, Debug)]
struct BuiltBundle {
    bundle: Rc<Bundle>,
    segment: PathBuf,
}

/// Values that are made once per key.
type OncePer<K, V> = Mutex<BTreeMap<K, Rc<OnceCell<V>>>>;

async fn once<K: Ord, V>(cells: &OncePer<K, V>, key: K) -> Rc<OnceCell<V>> {
    Rc::clone(cells.lock().await.entry(key).or_default())
}

impl Provisioner {
    /// A provisioner for one run of `project`; compilers' logs go to the directory `logs`.
    ///
    /// # Errors
    /// When the run's keys or its scratch directory cannot be made.
    pub fn new(
        archive: Arc<Archive>,
        project: Project,
        wish: AccelWish,
        locked: bool,
        logs: &Path,
    ) -> Result<Self, ProvisionError> {
        let scratch = archive.store().scratch()?;
        Ok(Self {
            archive,
            project,
            locked,
            wish,
            logs: logs.to_owned(),
            keys: RunKeys::generate()?,
            guest: GuestSpec::built_in()?,
            scratch,
            qemu: Mutex::default(),
            accel: Mutex::default(),
            userlands: Mutex::default(),
            base: Mutex::default(),
            bundles: Mutex::default(),
            cargo: Mutex::default(),
            kernel_builder: Mutex::default(),
            objects: Vec::new(),
        })
    }

    /// The same, whose bundles hold the loader and these objects, each by the LLVM that compiled it, and no tests.
    #[must_use]
    pub fn with_objects(self, objects: Vec<LoadObject>) -> Self {
        Self { objects, ..self }
    }

    /// The objects that are loaded in place of tests; none, usually.
    #[must_use]
    pub fn objects(&self) -> &[LoadObject] {
        &self.objects
    }

    /// What `job` needs to boot.
    ///
    /// # Errors
    /// When a part of it cannot be had.
    pub async fn prepare(&self, job: &Job) -> Result<VmInputs, ProvisionError> {
        // First, since nothing else is of use without it.
        self.userland(job.arch).await?;
        let qemu = self.qemu(job.arch).await?;
        let base = self.base(job.arch).await?;
        let kernel = {
            let _builder = match &job.kernel.origin {
                KernelOrigin::Source(_) => Some(self.kernel_builder.lock().await),
                _ => None,
            };
            kernel::provide(&self.archive, &self.project, &job.kernel, job.arch, self.locked, &self.logs).await?
        };
        let image = self.image_fingerprint(&base);
        let mut segments = vec![base];
        segments.extend(self.of_kernel(&kernel).await?);
        Ok(VmInputs { qemu, kernel, arch: job.arch, image, id: job.id.clone(), segments })
    }

    /// The project's bundle for `arch` and `llvm`.
    ///
    /// # Errors
    /// When it does not compile, or what compiles it cannot be had.
    pub async fn bundle(&self, arch: Arch, llvm: u32) -> Result<Rc<Bundle>, NoBundle> {
        self.bundle_of((arch, llvm, Variant::Plain)).await
    }

    /// The project's bundle with this key.
    ///
    /// # Errors
    /// When it does not compile, or what compiles it cannot be had.
    pub async fn bundle_of(&self, key: BundleKey) -> Result<Rc<Bundle>, NoBundle> {
        self.built(key).await.map(|built| built.bundle)
    }

    /// A directory that only we may enter, gone with the provisioner: or, after SIGKILL, with the next start of `ukci`.
    #[must_use]
    pub fn private(&self) -> &Path {
        self.scratch.path()
    }

    /// The keys of this run.
    #[must_use]
    pub fn keys(&self) -> &RunKeys {
        &self.keys
    }

    /// What compiles user space for `arch`.
    async fn userland(&self, arch: Arch) -> Result<Userland, ProvisionError> {
        let cell = once(&self.userlands, arch).await;
        let found = cell.get_or_init(|| async {
            let Project { spec, root, .. } = &self.project;
            Userland::provide(&self.archive, spec, root, arch).await.map_err(Arc::new)
        });
        found.await.clone().map_err(|source| match Arch::host() == Some(arch) || source.hits_every_bundle() {
            true => ProvisionError::Toolchain(source),
            false => ProvisionError::NoCross { arch, source },
        })
    }

    /// The QEMU for guests of `arch`: this machine's own when it is new enough, else the archive's.
    ///
    /// # Errors
    /// When there is none, or it does not run.
    pub async fn qemu(&self, arch: Arch) -> Result<Rc<Qemu>, QemuError> {
        let cell = once(&self.qemu, arch).await;
        let qemu = cell.get_or_try_init(|| async {
            match qemu::system(arch).await {
                Ok(qemu) => Ok(Rc::new(qemu)),
                Err(_reason) => {
                    qemu::from_archive(&self.archive, &self.project.spec.archive.tools, arch).await.map(Rc::new)
                }
            }
        });
        qemu.await.cloned()
    }

    async fn built(&self, key: BundleKey) -> Result<BuiltBundle, NoBundle> {
        let cell = once(&self.bundles, key).await;
        cell.get_or_init(|| self.build(key)).await.clone()
    }

    async fn build(&self, (arch, llvm, variant): BundleKey) -> Result<BuiltBundle, NoBundle> {
        if !self.objects.is_empty() {
            return self.loads(arch, llvm).await;
        }
        let userland = self.userland(arch).await.map_err(|error| NoBundle::Toolchain(error.to_string()))?;
        let clang = Clang::provide(&self.archive, &self.project.spec, llvm).await;
        let clang = clang.map_err(|error| match error {
            error if error.hits_every_bundle() => NoBundle::Hindered(Arc::new(error)),
            error => NoBundle::Toolchain(error.to_string()),
        })?;
        let toolchain = Toolchain { userland, clang };
        let Project { spec, root, target, .. } = &self.project;
        let (instrument, what) = match variant {
            Variant::Plain => (None, format!("{arch}-llvm{llvm}")),
            Variant::Coverage => {
                let instrument = Instrument::prepare(target, arch, llvm).map_err(BundleError::Objects);
                let instrument = instrument.map_err(|error| NoBundle::Toolchain(error.to_string()))?;
                (Some(instrument), format!("{arch}-llvm{llvm}-coverage"))
            }
        };
        let log = self.logs.join(format!("build-{what}.log"));
        let _cargo = self.cargo.lock().await;
        let target = target.join("ukci/build");
        let built = bundle::build(&spec.project, root, &toolchain, instrument.as_ref(), &target, &log).await;
        let bundle = Rc::new(built.map_err(|error| match error {
            BundleError::Process(_)
            | BundleError::Metadata(_)
            | BundleError::Read { .. }
            | BundleError::Target { .. }
            | BundleError::Objects(_) => NoBundle::Toolchain(error.to_string()),
            BundleError::Compile { .. } | BundleError::Empty { .. } => NoBundle::Compile(error.to_string()),
        })?);
        // Before cargo is let go: the next LLVM's build replaces the executables.
        let files = bundle.executables.iter().map(|file| (file.file.clone(), file.path.clone())).collect();
        let segment = self.bundle_segment(&what, &bundle.name(), files).await?;
        Ok(BuiltBundle { bundle, segment })
    }

    /// Writes the segment of the bundle `what`, with these files under these names in the bundle's directory.
    async fn bundle_segment(&self, what: &str, name: &str, files: Vec<(String, PathBuf)>) -> Result<PathBuf, NoBundle> {
        let segment = self.scratch.path().join(format!("bundle-{what}.cpio"));
        in_background({
            let segment = segment.clone();
            let files: Vec<_> = files.into_iter().map(|(file, path)| (format!("{name}/{file}"), path)).collect();
            move || guest::write_bundle(files.iter().map(|(name, path)| (name.as_str(), path.as_path())), &segment)
        })
        .await
        .map_err(|error| NoBundle::Toolchain(error.to_string()))?;
        Ok(segment)
    }
}

/// Runs blocking work on another thread. It must not spawn processes (see [`crate::process`]).
pub(crate) async fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // The thread panicked: a bug, which goes on where its author will see it.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

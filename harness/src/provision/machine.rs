//! From the inputs of a VM to the machine that boots them: how it is run, how large it is, what its initramfs holds.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::{
    AccelError, AccelWish, Bundle, ProvisionError, Provisioner, VmInputs, accel, guest, in_background, initramfs, once,
};
use crate::matrix::{self, Arch};
use crate::vm::Deadlines;
use crate::vm::machine::{Accel, MachineSpec};

impl Provisioner {
    /// How guests like `inputs` are run; the first caller finds out.
    ///
    /// # Errors
    /// When KVM was asked for and does not work, or the probe's machine cannot be made.
    pub async fn accel(&self, inputs: &VmInputs) -> Result<Accel, ProvisionError> {
        let cell = once(&self.accel, inputs.arch).await;
        let found = cell.get_or_try_init(|| async {
            match (self.wish, Arch::host() == Some(inputs.arch)) {
                (AccelWish::Tcg, _) | (AccelWish::Best, false) => return Ok(Accel::Tcg),
                (AccelWish::Kvm, false) => return Err(AccelError::Foreign(inputs.arch).into()),
                (AccelWish::Best | AccelWish::Kvm, true) => {}
            }
            let probe = self.machine_with(inputs, &[], Accel::Kvm).await?;
            let works = accel::kvm_works(&self.archive, inputs, probe).await?;
            let (accel, why_not) = self.wish.decide(works)?;
            if let Some(why) = why_not {
                self.archive.progress().warn(&format!("guests are emulated, which is slower: {why}"));
            }
            Ok::<_, ProvisionError>(accel)
        });
        found.await.copied()
    }

    /// The size and devices of a VM of `arch`.
    #[must_use]
    pub fn guest(&self, arch: Arch) -> matrix::GuestSpec {
        self.project.spec.guest(arch)
    }

    /// How long the stages of a VM may take.
    #[must_use]
    pub fn deadlines(&self, arch: Arch, accel: Accel) -> Deadlines {
        let usual = Deadlines::of(arch, accel);
        let boot = self.project.spec.arches.get(&arch).and_then(|arch| Duration::try_from(arch.boot_timeout?).ok());
        Deadlines { boot: boot.unwrap_or(usual.boot), ..usual }
    }

    /// The machine that boots `inputs` with `bundles`; its initramfs is made now.
    ///
    /// # Errors
    /// When the initramfs cannot be made.
    pub async fn machine(&self, inputs: &VmInputs, bundles: &[Rc<Bundle>]) -> Result<MachineSpec, ProvisionError> {
        let accel = self.accel(inputs).await?;
        self.machine_with(inputs, bundles, accel).await
    }

    async fn machine_with(
        &self,
        inputs: &VmInputs,
        bundles: &[Rc<Bundle>],
        accel: Accel,
    ) -> Result<MachineSpec, ProvisionError> {
        let mut segments = self.segments(inputs, bundles).await;
        let memory_mib = self.memory_mib(inputs, bundles).await;
        let run = self.scratch.path().join("run.cpio");
        let initrd = self.scratch.path().join(format!("{}.initrd", inputs.id.replace('/', "-")));
        let (authorized, host_key) = (self.keys.authorized_key().to_owned(), self.keys.host_key_file().to_vec());
        in_background({
            let initrd = initrd.clone();
            move || -> Result<(), ProvisionError> {
                guest::write_run(&authorized, &host_key, &run)?;
                segments.push(run);
                let segments: Vec<&Path> = segments.iter().map(PathBuf::as_path).collect();
                Ok(initramfs::assemble(&segments, &initrd)?)
            }
        })
        .await?;
        let guest = self.guest(inputs.arch);
        Ok(MachineSpec {
            arch: inputs.arch,
            accel,
            vcpus: guest.vcpus,
            memory_mib,
            kernel: inputs.kernel.image.clone(),
            initrd,
            network: guest.network,
            time: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok().map(|time| time.as_secs()),
        })
    }

    /// The memory of the VM of `inputs` with `bundles`: what the matrix gives the guest, and three times the initramfs: it is
    /// there as it came while it is unpacked, and the kernel lets what is unpacked fill half of the rest.
    pub async fn memory_mib(&self, inputs: &VmInputs, bundles: &[Rc<Bundle>]) -> u32 {
        let segments = self.segments(inputs, bundles).await;
        let sizes = segments.iter().filter_map(|segment| std::fs::metadata(segment).ok());
        let mib = sizes.map(|file| file.len()).sum::<u64>().div_ceil(1 << 20);
        self.guest(inputs.arch).memory_mib.saturating_add(u32::try_from(3 * mib).unwrap_or(u32::MAX))
    }

    /// The segments of the initramfs that can be made before the boot.
    async fn segments(&self, inputs: &VmInputs, bundles: &[Rc<Bundle>]) -> Vec<PathBuf> {
        let mut segments = inputs.segments.clone();
        for bundle in bundles {
            if let Ok(built) = self.built((inputs.arch, bundle.llvm, bundle.variant)).await {
                segments.push(built.segment);
            }
        }
        segments
    }
}

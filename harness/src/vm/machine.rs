//! The machine that a guest runs on: [`MachineSpec`] becomes a [`CommandLine`] for QEMU and the kernel. Pure.
//!
//! What QEMU offers and what the kernel must be told about it come from one [`Device`], so they cannot disagree.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::matrix::Arch;

/// The name of the virtio port that ssh runs over; the guest's relay looks for it.
const SSH_PORT: &str = "ukci.ssh";

/// What executes the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Accel {
    /// QEMU's emulation: works everywhere, several times slower.
    Tcg,
    /// The host's processor.
    Kvm,
}

impl Accel {
    /// The name that QEMU and `run.json` use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
        }
    }
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A guest's machine, as the plan wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineSpec {
    /// The guest's architecture.
    pub arch: Arch,
    /// What executes it.
    pub accel: Accel,
    /// Its processors. More than the host has makes an emulated guest slower, not faster.
    pub vcpus: u32,
    /// Its memory.
    pub memory_mib: u32,
    /// The kernel's image.
    pub kernel: PathBuf,
    /// The initramfs.
    pub initrd: PathBuf,
    /// Whether it has a network, which reaches the outside through QEMU and is not reachable from there.
    pub network: bool,
    /// What the guest's clock is set to, in seconds since 1970; `None` leaves it.
    pub time: Option<u64>,
}

/// The socket, in QEMU's working directory, on which we listen: QEMU connects when it starts, so nobody has to wait for a
/// socket to appear.
pub(super) const QMP_SOCKET: &str = "qmp";
/// The socket, in QEMU's working directory, on which QEMU listens; a connection is joined to the guest's port.
pub(super) const SSH_SOCKET: &str = "ssh";

/// The arguments of QEMU and of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// QEMU's arguments; they contain the kernel's.
    pub qemu: Vec<OsString>,
    /// The kernel's.
    pub kernel: String,
}

/// What differs between architectures.
struct Platform {
    machine: &'static str,
    /// Under emulation the cheapest processor that has everything the kernels use.
    tcg_cpu: &'static str,
    tcg_thread: TcgThread,
    kvm_machine: &'static str,
    /// The kernel's name of the first serial port.
    console: &'static str,
}

/// How QEMU emulates the processors of a guest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TcgThread {
    /// In one thread, in turn: the guest keeps one processor of this machine busy, however many it has.
    Single,
    /// In a thread each.
    Multi,
}

impl TcgThread {
    const fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Multi => "multi",
        }
    }
}

/// The processors of this machine that a guest of `arch` with `vcpus` processors keeps busy at most.
#[must_use]
pub fn processors(arch: Arch, accel: Accel, vcpus: u32) -> u32 {
    match (accel, platform(arch).tcg_thread) {
        (Accel::Tcg, TcgThread::Single) => 1,
        (Accel::Tcg, TcgThread::Multi) | (Accel::Kvm, _) => vcpus,
    }
}

const fn platform(arch: Arch) -> Platform {
    match arch {
        // Of the PC's devices, those that a guest without firmware calls would only probe and wait for are left out.
        Arch::X86_64 => Platform {
            machine: "q35,smbus=off,sata=off,vmport=off,hpet=off",
            tcg_cpu: "max",
            // In turn: with a VM per processor of this machine the whole matrix took 34 s instead of 46 s on 2 cores, since a
            // guest mostly keeps one processor busy. Side by side, boots under load now and then ended in `Oops: int3` in
            // sched_clock; that this is a race of the emulation with code that the kernel patches is a guess.
            tcg_thread: TcgThread::Single,
            kvm_machine: "q35,smbus=off,sata=off,vmport=off",
            console: "ttyS0",
        },
        // Emulating the architected hash of pointer authentication doubles the boot time; pauth-impdef replaces it by a
        // cheap one. The kernel cannot tell. In turn, as for x86_64: two VMs at a time took 8 s for the tests of a cell, one
        // with its processors side by side took 6.6 s.
        Arch::Aarch64 => Platform {
            machine: "virt",
            tcg_cpu: "max,pauth-impdef=on",
            tcg_thread: TcgThread::Single,
            // A host with a GICv3 cannot offer the default, a GICv2.
            kvm_machine: "virt,gic-version=host",
            console: "ttyAMA0",
        },
        // With Sstc the kernel sets its timer itself; without, each tick is a call into the firmware (boots 1.7 × slower).
        // Side by side: in turn, the tests of a cell took 36 s instead of 3.5 s, most likely because a processor that waits
        // for another's answer to an interrupt has to wait for its turn to end.
        Arch::Riscv64 => Platform {
            machine: "virt",
            tcg_cpu: "rv64,sstc=on",
            tcg_thread: TcgThread::Multi,
            kvm_machine: "virt",
            console: "ttyS0",
        },
    }
}

/// One thing that the machine has: QEMU's arguments for it, and the kernel's.
#[derive(Default)]
struct Device {
    qemu: Vec<OsString>,
    kernel: Vec<String>,
}

fn device<A: Into<OsString>>(qemu: impl IntoIterator<Item = A>, kernel: &[&str]) -> Device {
    Device {
        qemu: qemu.into_iter().map(Into::into).collect(),
        kernel: kernel.iter().map(|argument| (*argument).to_owned()).collect(),
    }
}

impl MachineSpec {
    /// The arguments to run this machine with. `firmware` is where QEMU finds its firmware when not where it was built to
    /// look; `sandbox` is whether this QEMU can restrict its own system calls.
    #[must_use]
    pub fn command_line(&self, firmware: &[PathBuf], sandbox: bool) -> CommandLine {
        let mut devices = vec![self.base(firmware, sandbox), self.processor(), panic_ends_qemu(), self.console()];
        devices.push(qmp());
        devices.push(ssh_port());
        if self.network {
            devices.push(network());
        }
        devices.push(self.settings());
        let (mut qemu, mut kernel) = (Vec::new(), Vec::new());
        for device in devices {
            qemu.extend(device.qemu);
            kernel.extend(device.kernel);
        }
        let kernel = kernel.join(" ");
        qemu.extend(["-kernel".into(), self.kernel.clone().into()]);
        qemu.extend(["-initrd".into(), self.initrd.clone().into(), "-append".into(), kernel.clone().into()]);
        CommandLine { qemu, kernel }
    }

    /// Nothing that we did not ask for: no default devices, no display, no configuration of the user's.
    fn base(&self, firmware: &[PathBuf], sandbox: bool) -> Device {
        let mut device = device(["-nodefaults", "-no-user-config", "-display", "none"], &[]);
        for directory in firmware {
            device.qemu.extend(["-L".into(), directory.into()]);
        }
        if sandbox {
            // The guest runs code of kernels under test. A QEMU that it takes over can start no process.
            let denied = "on,obsolete=deny,elevateprivileges=deny,spawn=deny";
            device.qemu.extend(["-sandbox".into(), denied.into()]);
        }
        device
    }

    fn processor(&self) -> Device {
        let platform = platform(self.arch);
        let (machine, accel, cpu) = match self.accel {
            Accel::Tcg => (platform.machine, format!("tcg,thread={}", platform.tcg_thread.name()), platform.tcg_cpu),
            Accel::Kvm => (platform.kvm_machine, "kvm".to_owned(), "host"),
        };
        let (vcpus, memory) = (self.vcpus.to_string(), format!("{}M", self.memory_mib));
        device(["-machine", machine, "-accel", &accel, "-cpu", cpu, "-smp", &vcpus, "-m", &memory], &[])
    }

    fn console(&self) -> Device {
        let console = format!("console={}", platform(self.arch).console);
        // signal=off: a ^C that the guest prints, or that a terminal sends, is no business of QEMU's.
        device(["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"], &[&console])
    }

    /// What the kernel is told that no device has to do with.
    fn settings(&self) -> Device {
        // Level 5 shows warnings and worse. `quiet`, level 4, would hide every WARN() and lockdep report.
        // mitigations=off: an emulated processor leaks nothing, and their code is slow to emulate.
        // cryptomgr.notests: the self-tests of the crypto drivers take a sixth of an emulated boot.
        let mut device = device([""; 0], &["loglevel=5", "mitigations=off", "cryptomgr.notests"]);
        if let Some(time) = self.time {
            // The kernel passes what it does not know to init as a variable of the environment.
            device.kernel.push(format!("UKCI_TIME={time}"));
        }
        device
    }
}

/// A panic restarts the machine at once, and a restart ends QEMU: so a panic is seen without waiting.
fn panic_ends_qemu() -> Device {
    device(["-no-reboot"], &["panic=-1"])
}

fn qmp() -> Device {
    let chardev = format!("socket,id=qmp,path={QMP_SOCKET}");
    device(["-chardev", &chardev, "-mon", "chardev=qmp,mode=control"], &[])
}

/// ssh over a virtio port needs no network, no driver of one and no TCP port; the mode of the directory guards it.
///
/// The guest says on the console when it has opened the port. QEMU knows as well, but tells no more than once a second.
fn ssh_port() -> Device {
    let chardev = format!("socket,id=ssh,path={SSH_SOCKET},server=on,wait=off");
    let port = format!("virtserialport,chardev=ssh,name={SSH_PORT}");
    // Otherwise the kernel drops what a program says after ten lines within five seconds.
    device(["-device", "virtio-serial-pci", "-chardev", &chardev, "-device", &port], &["printk.devkmsg=on"])
}

/// QEMU's user-mode network: connections out, no port in. What the guest reaches is what this machine reaches, its
/// loopback interface included, so a guest has a network only when the matrix says so. `romfile=` spares the firmware
/// the search for a boot server.
fn network() -> Device {
    device(["-netdev", "user,id=net,ipv6=off", "-device", "virtio-net-pci,netdev=net,romfile="], &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(arch: Arch, accel: Accel, network: bool) -> MachineSpec {
        MachineSpec {
            arch,
            accel,
            vcpus: 2,
            memory_mib: 1024,
            kernel: "/k/vmlinuz".into(),
            initrd: "/i/initramfs".into(),
            network,
            time: Some(1_800_000_000),
        }
    }

    /// One option per line, as a person compares them.
    fn lines(line: &CommandLine) -> String {
        let words = line.qemu.iter().map(|word| word.to_string_lossy());
        words.fold(String::new(), |text, word| {
            let separator = if text.is_empty() {
                ""
            } else if word.starts_with('-') {
                "\n"
            } else {
                " "
            };
            text + separator + &word
        })
    }

    #[test]
    fn every_machine() {
        for arch in Arch::ALL {
            for accel in [Accel::Tcg, Accel::Kvm] {
                for network in [false, true] {
                    let name = format!("{arch}_{accel}{}", if network { "_network" } else { "" });
                    let line = spec(arch, accel, network).command_line(&["/fw".into()], true);
                    insta::assert_snapshot!(name, lines(&line));
                }
            }
        }
    }

    #[test]
    fn what_is_not_given_is_not_said() {
        let spec = MachineSpec { time: None, ..spec(Arch::X86_64, Accel::Tcg, false) };
        let text = lines(&spec.command_line(&[], false));
        for absent in ["-L", "-sandbox", "UKCI_TIME", "net"] {
            assert!(!text.contains(absent), "{absent} in {text}");
        }
    }

    #[test]
    fn the_kernel_arguments_are_among_qemus() {
        let line = spec(Arch::Aarch64, Accel::Tcg, false).command_line(&[], true);
        assert_eq!(line.qemu.last().unwrap().to_str(), Some(line.kernel.as_str()));
        assert!(line.kernel.contains("console=ttyAMA0"), "{}", line.kernel);
    }
}

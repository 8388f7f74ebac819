//! Which call a system call is, on every ABI of the architecture: [`Called`].
//!
//! The ABI is that of the one call, as the kernel gives it (`AUDIT_ARCH_*` and the number): a 64-bit program may make
//! calls of 32 bits, and an exec may change what the program is.

use crate::event::{Abi, Call};

/// One ABI of the architecture that this was built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AbiSpec {
    pub(super) abi: Abi,
    /// `AUDIT_ARCH_*`, from the kernel's `linux/audit.h`.
    pub(super) audit_arch: u32,
    pub(super) execve: u32,
    pub(super) execveat: u32,
}

const fn abi(abi: Abi, audit_arch: u32, execve: u32, execveat: u32) -> AbiSpec {
    AbiSpec { abi, audit_arch, execve, execveat }
}

/// All that there are, the native one first.
#[cfg(target_arch = "x86_64")]
pub(super) const ABIS: &[AbiSpec] = &[
    abi(Abi::Native, 0xc000_003e, 59, 322),
    abi(Abi::Compat, 0x4000_0003, 11, 358),
    // The bit is `__X32_SYSCALL_BIT`; the audit architecture is that of 64 bits.
    abi(Abi::X32, 0xc000_003e, 0x4000_0000 | 520, 0x4000_0000 | 545),
];
/// All that there are, the native one first.
#[cfg(target_arch = "aarch64")]
pub(super) const ABIS: &[AbiSpec] = &[abi(Abi::Native, 0xc000_00b7, 221, 281), abi(Abi::Compat, 0x4000_0028, 11, 387)];
/// All that there are, the native one first.
#[cfg(target_arch = "riscv64")]
pub(super) const ABIS: &[AbiSpec] = &[abi(Abi::Native, 0xc000_00f3, 221, 281), abi(Abi::Compat, 0x4000_00f3, 221, 281)];

/// A call of execve or execveat, with where its arguments are in the caller's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Called {
    pub(super) abi: Abi,
    pub(super) call: Call,
    pub(super) filename: u64,
    pub(super) argv: u64,
    pub(super) envp: u64,
}

impl Called {
    /// `None` if the call is another one, or of an ABI that is not known.
    pub(super) fn decode(audit_arch: u32, number: u64, args: &[u64; 6]) -> Option<Self> {
        let number = u32::try_from(number).ok()?;
        let is_it = |spec: &&AbiSpec| spec.audit_arch == audit_arch && [spec.execve, spec.execveat].contains(&number);
        let spec = ABIS.iter().find(is_it)?;
        // The kernel ignores the upper halves of 32-bit registers.
        let pointer = |at: usize| if spec.abi == Abi::Compat { args[at] & 0xffff_ffff } else { args[at] };
        let (call, at) = if number == spec.execve {
            (Call::Execve, 0)
        } else {
            // OK because the kernel takes both as `int`: the lower half.
            (Call::Execveat { dirfd: args[0] as i32, flags: args[4] as i32 }, 1)
        };
        Some(Self { abi: spec.abi, call, filename: pointer(at), argv: pointer(at + 1), envp: pointer(at + 2) })
    }

    /// The size of a pointer in `argv` and `envp`, in bytes.
    pub(super) fn pointer_bytes(&self) -> usize {
        // x32 uses the compat structures: its pointers have 4 bytes.
        if self.abi == Abi::Native { 8 } else { 4 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that each ABI's two calls are told apart, with their arguments where each has them.
    #[test]
    fn the_calls_of_every_abi_are_known() {
        let args = [0xffff_ffff_0000_0001, 2, 3, 4, 5, 6];
        for spec in ABIS {
            let high = if spec.abi == Abi::Compat { 1 } else { args[0] };
            let execve = Called::decode(spec.audit_arch, spec.execve.into(), &args).expect("execve");
            let place = (execve.abi, execve.call, execve.filename, execve.argv, execve.envp);
            assert_eq!(place, (spec.abi, Call::Execve, high, 2, 3));
            let execveat = Called::decode(spec.audit_arch, spec.execveat.into(), &args).expect("execveat");
            let place = (execveat.call, execveat.filename, execveat.argv, execveat.envp);
            assert_eq!(place, (Call::Execveat { dirfd: 1, flags: 5 }, 2, 3, 4));
            assert_eq!(execve.pointer_bytes(), if spec.abi == Abi::Native { 8 } else { 4 });
        }
    }

    /// Check that other calls, and other architectures, are none of ours.
    #[test]
    fn other_calls_are_not_execs() {
        let native = ABIS[0];
        for number in [0, u64::from(native.execve) + 1, u64::MAX, u64::from(native.execve) | 1 << 32] {
            assert_eq!(Called::decode(native.audit_arch, number, &[0; 6]), None, "{number:#x}");
        }
        assert_eq!(Called::decode(0, native.execve.into(), &[0; 6]), None);
    }

    /// Check that the question whether an exec would be allowed is told from an exec.
    #[test]
    fn a_check_is_told_from_an_exec() {
        let called = |flags| Called::decode(ABIS[0].audit_arch, ABIS[0].execveat.into(), &[0, 0, 0, 0, flags, 0]);
        assert!(called(0x10000).expect("execveat").call.is_check());
        assert!(!called(0x1000).expect("execveat").call.is_check());
    }
}

//! The filter that spares ptrace the stops at other system calls than exec: [`Filter`].
//!
//! It stops at execve and execveat of every ABI of the architecture, and at every call of an ABI that it does not know;
//! it never refuses one. What it cannot see: an exec that a filter of the traced program itself refuses, or hands to a
//! supervisor, as those answers go before ours (seccomp(2)); the caller gets its errno and no event is made.

use nix::errno::Errno;
use nix::libc;

use super::abi::{ABIS, AbiSpec};

/// Where `struct seccomp_data` has the number and the audit architecture.
const NUMBER: u32 = 0;
const AUDIT_ARCH: u32 = 4;

/// A program of classic BPF, and how it may be installed.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    program: Vec<libc::sock_filter>,
    no_new_privs: bool,
}

impl Filter {
    /// Without `CAP_SYS_ADMIN` a filter can only be installed with `no_new_privs`, which stays with all descendants.
    pub(super) fn new(no_new_privs: bool) -> Self {
        Self { program: program(), no_new_privs }
    }

    /// Whether the kernel has filters that can hand a call to a tracer.
    pub(super) fn is_available() -> bool {
        let action: u32 = libc::SECCOMP_RET_TRACE;
        // SAFETY: the kernel reads one integer from `action`, which outlives the call.
        let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
        result == 0
    }

    /// Puts the filter on the calling thread and its descendants. Allocates nothing: it is called in a forked child.
    pub(super) fn install(&self) -> Result<(), Errno> {
        if self.no_new_privs {
            // SAFETY: numbers only; the unused ones must be 0.
            Errno::result(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1_u64, 0_u64, 0_u64, 0_u64) })?;
        }
        // OK because the program has some ten instructions.
        let program = libc::sock_fprog { len: self.program.len() as u16, filter: self.program.as_ptr().cast_mut() };
        // The flag leaves the program's speculation as it was, which before 5.16 a filter restricted at a high cost.
        let flags = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
        // SAFETY: the kernel reads `program` and the instructions that it points to, which `self` keeps.
        let result =
            unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
        Errno::result(result).map(drop)
    }
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

fn program() -> Vec<libc::sock_filter> {
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let mut program = vec![step(LOAD, AUDIT_ARCH, 0, 0)];
    let mut arches: Vec<u32> = ABIS.iter().map(|spec| spec.audit_arch).collect();
    arches.dedup_by_key(|arch| *arch);
    arches.sort_unstable();
    arches.dedup();
    for arch in arches {
        let of_arch = ABIS.iter().filter(|spec| spec.audit_arch == arch);
        let calls: Vec<u32> = of_arch.flat_map(|spec: &AbiSpec| [spec.execve, spec.execveat]).collect();
        // Past the number's load, the comparisons, and the two ends of this architecture's part.
        let rest = calls.len() as u8;
        program.push(step(JUMP_IF_EQUAL, arch, 0, rest + 3));
        program.push(step(LOAD, NUMBER, 0, 0));
        for (index, call) in (0_u8..).zip(calls) {
            program.push(step(JUMP_IF_EQUAL, call, rest - index, 0));
        }
        program.push(step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0));
        program.push(step(RETURN, libc::SECCOMP_RET_TRACE, 0, 0));
    }
    program.push(step(RETURN, libc::SECCOMP_RET_TRACE, 0, 0));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel makes of the program: its answer, or `None` if it goes wrong.
    fn run(program: &[libc::sock_filter], number: u32, audit_arch: u32) -> Option<u32> {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let step = program.get(at)?;
            at += 1;
            match (step.code, step.k) {
                (LOAD, NUMBER) => accumulator = number,
                (LOAD, AUDIT_ARCH) => accumulator = audit_arch,
                (JUMP_IF_EQUAL, k) => at += usize::from(if accumulator == k { step.jt } else { step.jf }),
                (RETURN, k) => return Some(k),
                _ => return None,
            }
        }
    }

    /// Check that both calls are traced on every ABI, and no other number.
    #[test]
    fn execs_of_every_abi_are_traced_and_nothing_else() {
        let program = program();
        for spec in ABIS {
            let execs: Vec<u32> = ABIS
                .iter()
                .filter(|other| other.audit_arch == spec.audit_arch)
                .flat_map(|other| [other.execve, other.execveat])
                .collect();
            let numbers = (0..2048).chain(0x4000_0000..0x4000_0800).chain([u32::MAX, 1 << 31]);
            for number in numbers {
                let traced = execs.contains(&number);
                let answer = if traced { libc::SECCOMP_RET_TRACE } else { libc::SECCOMP_RET_ALLOW };
                assert_eq!(run(&program, number, spec.audit_arch), Some(answer), "{spec:?} {number:#x}");
            }
            assert!(execs.contains(&spec.execve) && execs.contains(&spec.execveat));
        }
    }

    /// Check that an ABI that is not known is traced at every call, and never refused.
    #[test]
    fn an_unknown_abi_is_traced() {
        let program = program();
        for arch in [0, 0x8000_0016, u32::MAX] {
            assert_eq!(run(&program, ABIS[0].execve, arch), Some(libc::SECCOMP_RET_TRACE));
            assert_eq!(run(&program, 1, arch), Some(libc::SECCOMP_RET_TRACE));
        }
    }
}

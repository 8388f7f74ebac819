//! What waitpid(2) says of a tracee, typed: [`Stop`]; and what the kernel says of a stop at a system call:
//! [`SyscallInfo`]. Both are decoded here, without any system call.

use nix::libc;

use crate::event::End;

/// What a tracee reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A thread is gone; the leader's goes last, with the process.
    Ended(End),
    /// At the entry to a system call, or at its exit.
    Syscall,
    /// At a system call that the filter wants traced.
    Seccomp,
    /// It has made a child process or thread.
    NewTask,
    /// Its exec has succeeded: the new program has its memory, and has not run yet.
    Exec,
    /// Stopped by job control, with this signal.
    Group(i32),
    /// A new tracee's first stop, an interruption that we asked for, or the end of a stop by job control.
    Trap,
    /// A signal is about to be delivered, real-time ones too.
    Signal(i32),
    /// None of those: nothing that we asked for.
    Unknown,
}

impl Stop {
    /// Of a status of `waitpid`, any number.
    pub(super) fn decode(status: i32) -> Self {
        let (signal, event) = ((status >> 8) & 0xff, status >> 16);
        if status & 0x7f == 0 {
            return Self::Ended(End::Code(signal));
        }
        if status & 0xff != 0x7f {
            // 0xffff would be "continued", which is not waited for.
            let end = End::Signal { number: status & 0x7f, core: status & 0x80 != 0 };
            return if status & 0x7f == 0x7f { Self::Unknown } else { Self::Ended(end) };
        }
        match (event, signal) {
            (0, signal) if signal == libc::SIGTRAP | 0x80 => Self::Syscall,
            (0, 0) => Self::Unknown,
            (0, signal) if signal < 0x80 => Self::Signal(signal),
            (libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE, _) => Self::NewTask,
            (libc::PTRACE_EVENT_EXEC, _) => Self::Exec,
            (libc::PTRACE_EVENT_SECCOMP, _) => Self::Seccomp,
            (PTRACE_EVENT_STOP, libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU) => Self::Group(signal),
            (PTRACE_EVENT_STOP, _) => Self::Trap,
            _ => Self::Unknown,
        }
    }
}

/// Not in libc for every C library.
const PTRACE_EVENT_STOP: i32 = 128;

/// What `PTRACE_GET_SYSCALL_INFO` says (Linux 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyscallInfo {
    /// Before a system call: at its entry, or where a filter wants it traced.
    Entry {
        /// `AUDIT_ARCH_*` of this call.
        audit_arch: u32,
        number: u64,
        args: [u64; 6],
    },
    /// After one, with its result: 0 or more, or -errno.
    Exit(i64),
    /// The stop is not at a system call.
    None,
}

impl SyscallInfo {
    /// The size of `struct ptrace_syscall_info` up to the end of the longest part that is read here.
    pub(super) const BYTES: usize = 80;

    /// Of as many bytes of the structure as the kernel has written; what is missing makes it `None`.
    pub(super) fn decode(bytes: &[u8]) -> Self {
        let long = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes);
        let entry = || {
            let audit_arch = u32::from_ne_bytes(bytes.get(4..8)?.try_into().ok()?);
            let mut args = [0; 6];
            for (index, arg) in args.iter_mut().enumerate() {
                *arg = long(32 + 8 * index)?;
            }
            Some(Self::Entry { audit_arch, number: long(24)?, args })
        };
        let decoded = match bytes.first() {
            // PTRACE_SYSCALL_INFO_ENTRY and _SECCOMP: the first seven numbers have the same places.
            Some(1 | 3) => entry(),
            // PTRACE_SYSCALL_INFO_EXIT.
            Some(2) => long(24).map(|result| Self::Exit(result.cast_signed())),
            _ => None,
        };
        decoded.unwrap_or(Self::None)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// Check each kind of status, those of real-time signals and of unknown events too.
    #[rstest]
    #[case(0x0300, Stop::Ended(End::Code(3)))]
    #[case(0x0009, Stop::Ended(End::Signal { number: 9, core: false }))]
    #[case(0x008b, Stop::Ended(End::Signal { number: 11, core: true }))]
    #[case(0x0040, Stop::Ended(End::Signal { number: 64, core: false }))]
    #[case(0x857f, Stop::Syscall)]
    #[case(0x057f, Stop::Signal(5))]
    #[case(0x407f, Stop::Signal(64))]
    #[case(0x137f, Stop::Signal(19))]
    #[case(0x1_057f, Stop::NewTask)]
    #[case(0x2_057f, Stop::NewTask)]
    #[case(0x3_057f, Stop::NewTask)]
    #[case(0x4_057f, Stop::Exec)]
    #[case(0x7_057f, Stop::Seccomp)]
    #[case(0x80_057f, Stop::Trap)]
    #[case(0x80_137f, Stop::Group(19))]
    #[case(0x80_147f, Stop::Group(20))]
    #[case(0x80_007f, Stop::Trap)]
    #[case(0x6_057f, Stop::Unknown)]
    #[case(0x63_057f, Stop::Unknown)]
    #[case(0xffff, Stop::Unknown)]
    #[case(0x007f, Stop::Unknown)]
    #[case(-1, Stop::Unknown)]
    fn each_status_is_decoded(#[case] status: i32, #[case] stop: Stop) {
        assert_eq!(Stop::decode(status), stop, "{status:#x}");
    }

    /// Check that no status panics.
    #[test]
    fn no_status_panics() {
        (0..=u16::MAX).for_each(|low| {
            for event in [0, 1, 7, 128, 0x7fff, 0xffff] {
                let _ = Stop::decode((event << 16 | u32::from(low)).cast_signed());
            }
        });
    }

    fn info(op: u8, numbers: [u64; 7]) -> Vec<u8> {
        let mut bytes = vec![op, 0, 0, 0];
        bytes.extend(0xc000_003e_u32.to_ne_bytes());
        bytes.extend([0; 16]);
        numbers.into_iter().for_each(|number| bytes.extend(number.to_ne_bytes()));
        bytes
    }

    /// Check that an entry, a filter's stop and an exit are what the kernel says they are, and short answers nothing.
    #[test]
    fn the_kernels_answer_is_decoded() {
        let numbers = [59, 1, 2, 3, 4, 5, 6];
        let entry = SyscallInfo::Entry { audit_arch: 0xc000_003e, number: 59, args: [1, 2, 3, 4, 5, 6] };
        assert_eq!(SyscallInfo::decode(&info(1, numbers)), entry);
        assert_eq!(SyscallInfo::decode(&info(3, numbers)), entry);
        assert_eq!(SyscallInfo::decode(&info(2, [(-2_i64).cast_unsigned(); 7])[..33]), SyscallInfo::Exit(-2));
        assert_eq!(SyscallInfo::decode(&info(0, numbers)), SyscallInfo::None);
        assert_eq!(SyscallInfo::decode(&info(9, numbers)), SyscallInfo::None);
        for op in 0..4 {
            (0..24).for_each(|len| assert_eq!(SyscallInfo::decode(&info(op, numbers)[..len]), SyscallInfo::None));
        }
    }
}

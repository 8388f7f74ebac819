//! The system calls of a tracer, with numbers for signals: real-time ones have no name.
//!
//! All of them fail with `ESRCH` when a tracee has been killed meanwhile, whatever it was doing.

use std::ptr;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use super::stop::SyscallInfo;

/// How a stopped tracee goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    /// To its next stop at a system call, or any other.
    Syscall,
    /// To its next stop other than at a system call.
    Continue,
    /// It stays stopped by job control, until that lets it go on.
    Listen,
    /// Without a tracer.
    Detach,
}

const fn pid(tid: u32) -> Pid {
    Pid::from_raw(tid.cast_signed())
}

/// Waits for a tracee or child of this very thread; those of other threads, and other children of the process, are
/// left alone.
pub(super) fn wait() -> Result<(u32, i32), Errno> {
    loop {
        let mut status = 0;
        // SAFETY: the kernel writes one integer to `status`, which outlives the call.
        let tid = unsafe { libc::waitpid(-1, &mut status, libc::__WALL | libc::__WNOTHREAD) };
        match Errno::result(tid) {
            Ok(tid) => return Ok((tid.cast_unsigned(), status)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Lets a stopped tracee go on, with the signal that it gets, or 0.
pub(super) fn resume(tid: u32, how: Resume, signal: i32) -> Result<(), Errno> {
    let request = match how {
        Resume::Syscall => libc::PTRACE_SYSCALL,
        Resume::Continue => libc::PTRACE_CONT,
        Resume::Listen => libc::PTRACE_LISTEN,
        Resume::Detach => libc::PTRACE_DETACH,
    };
    // SAFETY: none of these requests has the kernel read or write our memory; the address is ignored, and the last
    // argument is a number.
    let result =
        unsafe { libc::ptrace(request, tid.cast_signed(), ptr::null_mut::<libc::c_void>(), i64::from(signal)) };
    Errno::result(result).map(drop)
}

/// Attaches to a thread, which goes on running.
pub(super) fn seize(tid: u32, options: ptrace::Options) -> Result<(), Errno> {
    ptrace::seize(pid(tid), options)
}

/// Has a tracee stop soon.
pub(super) fn interrupt(tid: u32) -> Result<(), Errno> {
    ptrace::interrupt(pid(tid))
}

/// What came with the stop: the new task, or the former thread id of an exec.
pub(super) fn message(tid: u32) -> Result<u32, Errno> {
    // OK because it is a thread id, whatever its type.
    ptrace::getevent(pid(tid)).map(|message| message as u32)
}

/// What the kernel says of a stop at a system call.
///
/// # Errors
/// `EIO` before Linux 5.3.
pub(super) fn syscall_info(tid: u32) -> Result<SyscallInfo, Errno> {
    const PTRACE_GET_SYSCALL_INFO: u32 = 0x420e; // libc has it for glibc only
    let mut bytes = [0_u8; SyscallInfo::BYTES];
    // SAFETY: the kernel writes at most as many bytes as the third argument says, which is the size of the array.
    let result = unsafe {
        libc::ptrace(PTRACE_GET_SYSCALL_INFO as _, tid.cast_signed(), SyscallInfo::BYTES, bytes.as_mut_ptr())
    };
    let available = Errno::result(result)?;
    // It is the size of the whole answer, which may be more than was asked for.
    let len = usize::try_from(available).unwrap_or(0).min(bytes.len());
    Ok(SyscallInfo::decode(&bytes[..len]))
}

/// Whether a task is a thread of this process.
pub(super) fn is_thread_of(tid: u32, tgid: u32) -> bool {
    // SAFETY: numbers only; signal 0 is none.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, tgid.cast_signed(), tid.cast_signed(), 0) };
    // Not being permitted to is an answer too: the two were found together.
    Errno::result(result) != Err(Errno::ESRCH)
}

/// The time since boot, suspension included.
pub(super) fn boot_time() -> Duration {
    // OK because a clock that the kernel has always had cannot fail.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}

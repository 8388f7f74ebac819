//! Ends a tracer's wait for its tracees: [`Waker`].
//!
//! waitpid(2) cannot wait for anything but processes, and to break it off by a signal would take a handler in a program
//! that is not ours. So the tracer has one more child, which ends when it is told to, and waitpid reports that.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::libc;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::unistd::Pid;

/// A child of the thread that made it. It ends with that thread, whatever ends that.
pub(super) struct Waker {
    pub(super) pid: u32,
}

impl Waker {
    /// A child that ends when `told` is written to.
    pub(super) fn new(told: &Arc<EventFd>) -> Result<Self, Errno> {
        // Signals for the whole process group, those of a terminal, are not for it.
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut before))?;
        let parent = nix::unistd::getpid();
        // SAFETY: without a stack of its own and without CLONE_VM it is a fork; the child calls only what is
        // async-signal-safe. CLONE_FILES keeps it from holding files open that the rest of the process has closed.
        let pid = unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_FILES | libc::SIGCHLD, 0, 0, 0, 0) };
        if pid == 0 {
            sleep_until_told(told.as_raw_fd(), parent);
        }
        let pid = Errno::result(pid);
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
        // OK because it is a process id.
        Ok(Self { pid: pid? as u32 })
    }

    /// An eventfd for [`Waker::new`].
    pub(super) fn event() -> Result<Arc<EventFd>, Errno> {
        EventFd::from_flags(EfdFlags::EFD_CLOEXEC).map(Arc::new)
    }
}

impl Drop for Waker {
    /// Has it end, and waits for that. It must be the thread that made it.
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.pid.cast_signed());
        // It may have ended already, as it was told to.
        let _ = kill(pid, Signal::SIGKILL);
        let _ = nix::sys::wait::waitpid(pid, None);
    }
}

fn sleep_until_told(told: i32, parent: Pid) -> ! {
    let mut count = 0_u64;
    // SAFETY: the kernel writes eight bytes to `count`; the other calls take numbers, and a string with a NUL. `_exit`
    // runs nothing of this program's.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::prctl(libc::PR_SET_NAME, c"tracer-waker".as_ptr());
        // A parent that was killed before the first of these calls sends no signal.
        if libc::getppid() == parent.as_raw() {
            libc::read(told, (&raw mut count).cast(), 8);
        }
        libc::_exit(0)
    }
}

//! Attaching: to the command that waits for it, or to all threads of processes that run.

use nix::errno::Errno;
use nix::sys::ptrace::Options;

use super::engine::{Engine, no_syscall_info};
use super::stop::Stop;
use super::sys::{self, Resume};
use crate::error::{Error, ErrorKind, Result};

/// What is asked of the kernel for a tracee; its children have it too.
fn options(filtered: bool) -> Options {
    let always = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE;
    if filtered { always | Options::PTRACE_O_TRACESECCOMP | Options::PTRACE_O_EXITKILL } else { always }
}

/// Attaches to a command that waits for it, and finds out whether this kernel says enough.
pub(super) fn command(engine: &mut Engine, pid: u32, filtered: bool) -> Result<()> {
    sys::seize(pid, options(filtered)).map_err(|errno| refused(pid, errno))?;
    sys::interrupt(pid).map_err(|errno| refused(pid, errno))?;
    engine.add(pid, pid);
    engine.set_command(pid);
    loop {
        let (tid, status) = sys::wait().map_err(|err| Error::io("cannot wait for the command", err))?;
        let how = if filtered { Resume::Continue } else { Resume::Syscall };
        let signal = match Stop::decode(status) {
            // Something else before; the interruption is still to come.
            Stop::Signal(number) if tid == pid => number,
            Stop::Trap if tid == pid => return first_stop(pid, how),
            Stop::Group(_) if tid == pid => {
                sys::resume(pid, Resume::Listen, 0).map_err(|errno| refused(pid, errno))?;
                continue;
            }
            _ => return Err(Error::new(ErrorKind::Spawn, "the command was killed before it was started")),
        };
        sys::resume(pid, how, signal).map_err(|errno| refused(pid, errno))?;
    }
}

fn first_stop(pid: u32, how: Resume) -> Result<()> {
    sys::syscall_info(pid).map_err(|errno| no_syscall_info(pid, errno))?;
    sys::resume(pid, how, 0).map_err(|errno| refused(pid, errno))
}

/// Attaches to all threads of these processes, those too that they make meanwhile.
pub(super) fn processes(engine: &mut Engine, pids: &[u32]) -> Result<()> {
    for pid in pids {
        // A thread that is not attached to yet can make another one; one that is makes threads that are, too.
        while threads(engine, *pid)? > 0 {}
    }
    Ok(())
}

/// Attaches to the threads that are there and not attached to yet, and says how many they were.
fn threads(engine: &mut Engine, pid: u32) -> Result<usize> {
    let listed = std::fs::read_dir(format!("/proc/{pid}/task"));
    let listed = listed.map_err(|err| Error::io(format!("there is no process {pid}"), err))?;
    let mut count = 0;
    let mut refusal = None;
    for entry in listed {
        let name =
            entry.map_err(|err| Error::io(format!("cannot list the threads of process {pid}"), err))?.file_name();
        let Some(tid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        if engine.has(tid) {
            continue;
        }
        match sys::seize(tid, options(false)) {
            Ok(()) => {
                engine.add(tid, pid);
                count += 1;
                // It may have ended meanwhile; its end will be reported.
                let _ = sys::interrupt(tid);
            }
            // One that has ended is there, as a zombie, until all have; and one that another one of them made is traced
            // already, and will say so itself.
            Err(errno) => refusal = Some(refused(tid, errno)),
        }
    }
    match refusal {
        Some(err) if count == 0 && !engine.has_process(pid) => Err(err),
        _ => Ok(count),
    }
}

fn refused(pid: u32, errno: Errno) -> Error {
    let context = format!("cannot attach to process {pid}");
    if errno != Errno::EPERM {
        return Error::io(context, errno);
    }
    Error::new(ErrorKind::Privilege, context).with_source(errno).with_hint(hint())
}

/// What may be in the way.
fn hint() -> &'static str {
    let yama = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match yama.trim() {
        "1" => {
            "another tracer, another user's process, or Yama: run it as root, or set /proc/sys/kernel/yama/ptrace_scope to 0"
        }
        "2" => "Yama allows only CAP_SYS_PTRACE (kernel.yama.ptrace_scope is 2): run it as root",
        "3" => "Yama forbids it until the next boot (kernel.yama.ptrace_scope is 3)",
        _ => "it is another user's, or has another tracer: run it as root, or with CAP_SYS_PTRACE",
    }
}

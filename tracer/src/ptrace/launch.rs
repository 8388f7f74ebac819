//! The command's start: [`Command`] forks a child that waits until it is traced, and then executes.
//!
//! Not `std::process::Command`, which waits for its child to execute, on the thread that has to trace it meanwhile, and
//! which looks for a program in `PATH` by executing: those attempts would be in the trace.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{io, ptr};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::unistd::{Gid, Uid, User, getgrouplist, pipe2};

use super::seccomp::Filter;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Launch;

/// A command with all that it takes to start it.
pub(super) struct Command {
    path: CString,
    argv: Vec<CString>,
    env: Vec<CString>,
    cwd: Option<CString>,
    user: Option<Ids>,
    filter: Option<Filter>,
}

struct Ids {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

/// A child that waits for [`Waiting::go`].
pub(super) struct Waiting {
    pub(super) pid: u32,
    go: File,
    report: File,
}

/// What the child says when it cannot execute: two bytes of what it was doing, and the errno.
pub(super) struct Report(File);

impl Command {
    pub(super) fn new(launch: &Launch, filter: Option<Filter>) -> Result<Self> {
        let path = find(&launch.program, launch.cwd.as_deref())?;
        let words = std::iter::once(&launch.program).chain(&launch.args);
        let env = std::env::vars_os().map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            c_string(&name)
        });
        Ok(Self {
            path: c_string(path.as_os_str())?,
            argv: words.map(|word| c_string(word)).collect::<Result<_>>()?,
            env: env.collect::<Result<_>>()?,
            cwd: launch.cwd.as_ref().map(|cwd| c_string(cwd.as_os_str())).transpose()?,
            user: launch.user.as_deref().map(ids_of).transpose()?,
            filter,
        })
    }

    /// Forks the child; its parent, for ptrace and for waitpid, is the calling thread.
    pub(super) fn fork(&self) -> Result<Waiting> {
        let pipe = || pipe2(OFlag::O_CLOEXEC).map_err(|err| Error::io("cannot make a pipe", err));
        let (ready, go) = pipe()?;
        let (report, failed) = pipe()?;
        let pointers = |words: &[CString]| {
            words.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect::<Vec<*const libc::c_char>>()
        };
        let (argv, envp) = (pointers(&self.argv), pointers(&self.env));
        // SAFETY: the child calls only what is async-signal-safe, and nothing that allocates: it may have been forked
        // while another thread held a lock.
        let pid = Errno::result(unsafe { libc::fork() }).map_err(|err| Error::io("cannot fork", err))?;
        if pid == 0 {
            // Else the child would wait for itself, were the tracer killed now.
            drop(go);
            self.child(&ready, &failed, &argv, &envp);
        }
        Ok(Waiting { pid: pid.cast_unsigned(), go: go.into(), report: report.into() })
    }

    fn child(
        &self,
        ready: &OwnedFd,
        failed: &OwnedFd,
        argv: &[*const libc::c_char],
        envp: &[*const libc::c_char],
    ) -> ! {
        let (step, errno) = match self.become_the_command(ready, argv, envp) {
            Ok(never) => match never {},
            Err((step, errno)) => (step, errno),
        };
        let mut bytes = [step as u8, 0, 0, 0, 0];
        bytes[1..].copy_from_slice(&(errno as i32).to_ne_bytes());
        // SAFETY: the kernel reads five bytes of an array of five. `_exit` runs nothing of this program's.
        unsafe {
            libc::write(failed.as_raw_fd(), bytes.as_ptr().cast(), bytes.len());
            libc::_exit(127)
        }
    }

    fn become_the_command(
        &self,
        ready: &OwnedFd,
        argv: &[*const libc::c_char],
        envp: &[*const libc::c_char],
    ) -> Result<std::convert::Infallible, (Step, Errno)> {
        let at = |step| move |errno| (step, errno);
        // SAFETY: the set is filled before it is used, and lives here. The actions of signals are this process's own
        // copy. Rust's runtime ignores SIGPIPE, which an exec would keep.
        unsafe {
            let mut none = std::mem::zeroed();
            libc::sigemptyset(&mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        }
        let mut byte = 0_u8;
        loop {
            // SAFETY: the kernel writes at most one byte to `byte`.
            match Errno::result(unsafe { libc::read(ready.as_raw_fd(), (&raw mut byte).cast(), 1) }) {
                Ok(1) => break,
                Ok(_) => return Err((Step::Wait, Errno::EPIPE)),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err((Step::Wait, errno)),
            }
        }
        // Before the user changes: the filter may need what the user may not. It lets everything here pass.
        if let Some(filter) = &self.filter {
            filter.install().map_err(at(Step::Filter))?;
        }
        if let Some(user) = &self.user {
            nix::unistd::setgroups(&user.groups).map_err(at(Step::User))?;
            nix::unistd::setgid(user.gid).map_err(at(Step::User))?;
            nix::unistd::setuid(user.uid).map_err(at(Step::User))?;
        }
        if let Some(cwd) = &self.cwd {
            // SAFETY: a string with a NUL, which `self` keeps.
            Errno::result(unsafe { libc::chdir(cwd.as_ptr()) }).map_err(at(Step::Directory))?;
        }
        // SAFETY: arrays of pointers to strings, which `self` keeps, with a null pointer at the end.
        unsafe { libc::execve(self.path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
        Err((Step::Exec, Errno::last()))
    }
}

/// What the child may fail at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Step {
    Wait,
    Filter,
    User,
    Directory,
    Exec,
}

impl Waiting {
    /// Lets the child, which is traced now, execute.
    pub(super) fn go(mut self) -> Report {
        // If the child has been killed meanwhile, its end says so.
        let _ = self.go.write_all(b"!");
        Report(self.report)
    }
}

impl Report {
    /// Waits until the child has executed, or not.
    pub(super) fn read(mut self, launch: &Launch) -> Result<()> {
        let mut bytes = [0; 5];
        match self.0.read_exact(&mut bytes) {
            // It has executed, or has been killed before: the trace has it.
            Err(err) if err.kind() == IoErrorKind::UnexpectedEof => return Ok(()),
            result => result.map_err(|err| Error::io("cannot read what became of the command", err))?,
        }
        let errno = i32::from_ne_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
        let step = [Step::Wait, Step::Filter, Step::User, Step::Directory].into_iter().find(|s| *s as u8 == bytes[0]);
        let (kind, context) = match step {
            Some(Step::Wait) => (ErrorKind::Spawn, "the command was not let go".to_owned()),
            Some(Step::Filter) => (ErrorKind::Unsupported, "cannot install the seccomp filter".to_owned()),
            Some(Step::User) => {
                (ErrorKind::Spawn, format!("cannot become user `{}`", launch.user.as_deref().unwrap_or_default()))
            }
            Some(Step::Directory) => {
                let cwd = launch.cwd.as_deref().unwrap_or(Path::new(""));
                (ErrorKind::Spawn, format!("cannot change to the directory `{}`", cwd.display()))
            }
            Some(Step::Exec) | None => (ErrorKind::Spawn, cannot_start(&launch.program)),
        };
        Err(Error::new(kind, context).with_source(io::Error::from_raw_os_error(errno)))
    }
}

fn cannot_start(program: &OsStr) -> String {
    format!("cannot start `{}`", program.to_string_lossy())
}

/// The program's path: as it is if it has a `/`, else the first executable file of that name in `PATH`.
fn find(program: &OsStr, cwd: Option<&Path>) -> Result<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Ok(program.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    // An empty name is found nowhere: a directory is no file.
    let found = std::env::split_paths(&path).map(|directory| directory.join(program)).find(|candidate| {
        let from = cwd.map_or_else(|| candidate.clone(), |cwd| cwd.join(candidate));
        std::fs::metadata(from).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    });
    found.ok_or_else(|| {
        let missing = io::Error::from_raw_os_error(libc::ENOENT);
        Error::new(ErrorKind::Spawn, cannot_start(program)).with_source(missing)
    })
}

fn ids_of(name: &str) -> Result<Ids> {
    let by_id = || name.parse().ok().map(|uid| User::from_uid(Uid::from_raw(uid)));
    let found = match User::from_name(name) {
        Ok(None) => by_id().unwrap_or(Ok(None)),
        found => found,
    };
    let user =
        found.map_err(|err| Error::new(ErrorKind::Spawn, format!("cannot look up user `{name}`")).with_source(err))?;
    let user = user.ok_or_else(|| Error::new(ErrorKind::Spawn, format!("there is no user `{name}`")))?;
    let groups = getgrouplist(&c_string(user.name.as_ref())?, user.gid);
    let groups = groups.map_err(|err| Error::io(format!("cannot look up the groups of user `{name}`"), err))?;
    Ok(Ids { uid: user.uid, gid: user.gid, groups })
}

fn c_string(text: &OsStr) -> Result<CString> {
    CString::new(text.to_owned().into_vec())
        .map_err(|err| Error::new(ErrorKind::Spawn, cannot_start(text)).with_source(err))
}

//! What a trace consists of, whatever the backend: [`Event`].
//!
//! A field that may be missing is a [`Field`]: its value, or the reason why there is none. Strings of the traced programs
//! are bytes. Process and user ids are those of the initial namespaces.
//!
//! What is read when, so that the backends agree:
//!
//! - On entry to the call: `pid`, `comm`, `filename`, `call`, `cwd`, `fds`, and the caller's `argv[0]`.
//! - When it has succeeded: `argv` and `env` are the kernel's own copy, from the new program's memory, which nobody can
//!   have changed meanwhile. Of a script, the words that the kernel put in front are in `interpreter` instead, and
//!   `argv[0]` is the caller's.
//! - When it has failed: `argv` and `env` are read from the caller's memory, which the kernel has just read too.
//! - When it has ended, either way: `credentials`, `cgroup`.

use std::time::{Duration, SystemTime};

/// A value, or the reason why there is none.
pub type Field<T> = Result<T, Absent>;

/// Why a field has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absent {
    /// It was not asked for; see [`Collect`](crate::options::Collect).
    NotAsked,
    /// It has no meaning here: the interpreter of an exec that failed, for instance.
    NotApplicable,
    /// The backend cannot see it; the words say what is lacking.
    NotSeen(&'static str),
    /// The caller's memory was not resident, and a program of this tier cannot wait for it.
    NotResident,
    /// Reading it failed with this errno.
    Unreadable(i32),
    /// The process was gone before it could be read.
    Gone,
    /// There was no room for it on the way out of the kernel.
    Lost,
}

/// Why a value ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It is longer, or has more items, than is kept.
    TooLong,
    /// What follows was not resident, and a program of this tier cannot wait for it.
    NotResident,
    /// Reading what follows failed with this errno.
    Unreadable(i32),
    /// There was no room for the rest on the way out of the kernel.
    Lost,
}

/// A string of the traced program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// Its bytes, without NUL.
    pub bytes: Vec<u8>,
    /// Why it is not whole, if it is not.
    pub cut: Option<Cut>,
}

/// A list of which the end may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T> {
    /// Its items. If `cut` is set, the last one may be partial.
    pub items: Vec<T>,
    /// Why it is not whole, if it is not.
    pub cut: Option<Cut>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new(), cut: None }
    }
}

/// When something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// Since boot, suspension included (`CLOCK_BOOTTIME`).
    pub boot: Duration,
    /// The same on the wall clock, as that stood when the trace began.
    pub wall: SystemTime,
}

/// One thing that happened during a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number, unique in the trace and ascending.
    pub id: u64,
    /// The exec of the program that did it, if the trace has it.
    pub parent: Option<Parent>,
    /// When.
    pub time: Time,
    /// What.
    pub what: What,
}

/// The exec whose program did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The [`Event::id`] of that exec.
    pub id: u64,
    /// How the two hang together.
    pub relation: Relation,
}

/// How an event hangs together with its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The same process did both: the parent's program is replaced by an exec, or ended.
    Same,
    /// A child of the process did it, which had not executed anything of its own yet.
    Child,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// execve or execveat was called, and has returned or succeeded.
    Exec(Box<Exec>),
    /// A process got a child process (not a thread).
    Child(Child),
    /// A process ended, with its last thread.
    Exit(Exit),
    /// Something could not be recorded.
    Lost(Lost),
    /// Something that the reader of the trace should know; in words.
    Warning(String),
}

/// One call of execve or execveat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// Thread id of the caller, as it was before: after a success the kernel gives it the leader's.
    pub pid: u32,
    /// Process id.
    pub tgid: u32,
    /// Process id of the parent (of the real one, not of a debugger).
    pub ppid: u32,
    /// Process id in each pid namespace that the process is in, that of the tracer's own first.
    pub namespace_pids: Field<Vec<u32>>,
    /// The system call.
    pub call: Call,
    /// The ABI that it came by.
    pub abi: Abi,
    /// 0, or the errno.
    pub errno: i32,
    /// The caller's name (`comm`) before the exec: at most 15 bytes.
    pub comm: Field<Vec<u8>>,
    /// The path as it was given: for a script the script's.
    pub filename: Field<Text>,
    /// The arguments as the caller gave them.
    pub argv: Field<List<Vec<u8>>>,
    /// The environment as the caller gave it, in its order, duplicates and all.
    pub env: Field<List<Vec<u8>>>,
    /// The words that the kernel put in front of a script's path, of all levels of `#!`: `/usr/bin/env`, `python3`.
    /// Empty if the file is not a script.
    pub interpreter: Field<Vec<Vec<u8>>>,
    /// The working directory, from the root of the mount namespace.
    pub cwd: Field<Text>,
    /// The open files, by number.
    pub fds: Field<List<Fd>>,
    /// Who it runs as; after a success, as whom the new program runs.
    pub credentials: Field<Credentials>,
    /// The path in the cgroup v2 hierarchy, from its root: `/` or `/system.slice/…`.
    pub cgroup: Field<Text>,
}

/// The system call of an [`Exec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// execve(2).
    Execve,
    /// execveat(2).
    Execveat {
        /// The directory's descriptor, or `AT_FDCWD`.
        dirfd: i32,
        /// `AT_EMPTY_PATH`, `AT_SYMLINK_NOFOLLOW`, `AT_EXECVE_CHECK`.
        flags: i32,
    },
}

impl Call {
    /// It only asks whether an exec would be allowed (Linux 6.14), and replaces nothing when it succeeds.
    pub(crate) fn is_check(self) -> bool {
        const AT_EXECVE_CHECK: i32 = 0x10000;
        matches!(self, Self::Execveat { flags, .. } if flags & AT_EXECVE_CHECK != 0)
    }
}

/// The ABI of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// That of the machine: 64 bits.
    Native,
    /// 32 bits: ia32 on x86_64, AArch32 on aarch64, RV32 on riscv64.
    Compat,
    /// x32 on x86_64.
    X32,
}

/// An open file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fd {
    /// Its number.
    pub number: u32,
    /// As `/proc/PID/fd` shows it: a path from the root of the mount namespace, `pipe:[4026]`, `/memfd:x (deleted)`.
    pub path: Field<Text>,
    /// The flags of open(2) that it has now, without `O_CLOEXEC`.
    pub flags: u32,
    /// It will be closed by a successful exec.
    pub cloexec: bool,
    /// The file's position in bytes.
    pub offset: u64,
    /// The id of its mount, as in `/proc/PID/mountinfo`.
    pub mount_id: u32,
    /// Its inode's number.
    pub inode: Field<u64>,
}

/// Who a process runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User ids.
    pub uid: Ids,
    /// Group ids.
    pub gid: Ids,
    /// Supplementary groups.
    pub groups: List<u32>,
}

/// The four ids that a process has as a user, or as a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "credentials(7) has the words")]
pub struct Ids {
    pub real: u32,
    pub effective: u32,
    pub saved: u32,
    pub fs: u32,
}

/// A new process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    /// The process id of the parent that forked it.
    pub parent_tgid: u32,
    /// Its process id.
    pub tgid: u32,
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its process id.
    pub tgid: u32,
    /// How.
    pub end: End,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With an exit status.
    Code(i32),
    /// By a signal.
    Signal {
        /// Its number.
        number: i32,
        /// A core dump was made.
        core: bool,
    },
}

/// What could not be recorded, since the last event of this kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Execs.
    pub execs: u64,
    /// New processes and ends of processes.
    pub others: u64,
    /// Processes that should have been followed and were not, with all their descendants.
    pub untracked: u64,
}

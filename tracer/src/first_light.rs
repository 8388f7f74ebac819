//! What a trace consists of: [`Event`] and [`ExecEvent`].

use std::ffi::OsString;
use std::time::Duration;

use crate::first_light_skeleton::types::limits;

/// Bytes of argv that an [`ExecEvent`] holds at most, the NUL after each argument included.
pub const ARGV_CAP: usize = limits::ARGV_CAP.0 as usize;

/// One thing that happened during a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A program was executed.
    Exec(ExecEvent),
    /// Execs happened that could not be recorded in whole.
    Lost {
        /// How many, since the last event of this kind.
        count: u64,
    },
}

/// One successful exec. Process ids are those of the initial pid namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecEvent {
    /// Time since boot, suspension included (`CLOCK_BOOTTIME`).
    pub time: Duration,
    /// Thread id after the exec. The kernel gives the calling thread the leader's id, so it equals `tgid`.
    pub pid: u32,
    /// Process id.
    pub tgid: u32,
    /// Id of the thread that called exec, as it was before; differs from `pid` if that was not the leader.
    pub old_pid: u32,
    /// Process id of the parent; of the real one, when a debugger is attached.
    pub ppid: u32,
    /// Real user id, in the initial user namespace.
    pub uid: u32,
    /// Name of the thread after the exec: at most 15 bytes of the program's file name.
    pub comm: OsString,
    /// The path that was asked for: for a script the script's, as given to execve(2). `None` if it was not readable.
    pub filename: Option<OsString>,
    /// The arguments. For a script they are the interpreter's; if `argv_cut` is set, the last one may be partial.
    pub argv: Vec<OsString>,
    /// The number of arguments that the kernel counted, also if `argv` is cut.
    pub argc: u32,
    /// The true length of all arguments in bytes, the NUL after each included, also if `argv` is cut.
    pub argv_len: u64,
    /// Why `argv` is not whole, if it is not.
    pub argv_cut: Option<ArgvCut>,
}

/// Why an argv is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArgvCut {
    /// It is longer than [`ARGV_CAP`].
    TooLong,
    /// The memory after the part that is there was not resident, and a tracepoint cannot wait for it.
    NotResident,
}

//! What is traced, and how: [`Target`] and [`Options`].

use std::ffi::OsString;
use std::path::PathBuf;

use globset::GlobSet;

/// Whose execs are traced.
#[derive(Clone, Debug)]
pub enum Target {
    /// Everybody's; eBPF only.
    System,
    /// Those of a command and all its descendants.
    Command(Launch),
    /// Those of processes that run already, by process id, and of all their descendants from now on.
    Processes(Vec<u32>),
}

/// A command to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program, searched for in `PATH` if it has no `/`.
    pub program: OsString,
    /// Its arguments, without the first, which is the program.
    pub args: Vec<OsString>,
    /// Where it starts, if not here.
    pub cwd: Option<PathBuf>,
    /// As whom it runs, if not as the tracer: user, group and the user's supplementary groups are set.
    pub user: Option<String>,
}

/// How to trace. All fields have a default.
#[derive(Clone, Debug)]
pub struct Options {
    /// What sees the execs.
    pub backend: BackendChoice,
    /// Whether ptrace is helped by a seccomp filter; for [`BackendChoice::Ptrace`] and `Auto`.
    pub seccomp: SeccompChoice,
    /// Whom the end of the trace waits for.
    pub wait: Wait,
    /// What is collected of an exec.
    pub collect: Collect,
    /// Which execs are handed out.
    pub filter: Filter,
    /// The size of the eBPF ring buffer in bytes, rounded up to what the kernel takes. Default: 8 MiB.
    pub ring_bytes: u32,
    /// How many processes eBPF can follow at a time. Default: 32,768, the usual `pid_max`.
    pub max_processes: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            backend: BackendChoice::Auto,
            seccomp: SeccompChoice::Auto,
            wait: Wait::All,
            collect: Collect::default(),
            filter: Filter::default(),
            ring_bytes: 8 << 20,
            max_processes: 32 << 10,
        }
    }
}

/// What sees the execs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendChoice {
    /// eBPF for the whole system; else eBPF where it may and can be loaded, and ptrace with seccomp where not.
    #[default]
    Auto,
    /// ptrace(2), with or without a seccomp filter.
    Ptrace,
    /// ptrace(2) with a seccomp filter, or an error.
    Seccomp,
    /// eBPF.
    Ebpf,
}

/// Whether a seccomp filter spares ptrace the stops at other system calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SeccompChoice {
    /// Where it changes nothing that the command could see.
    #[default]
    Auto,
    /// Or an error.
    On,
    /// Never.
    Off,
}

/// Whom the end of a trace waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// All processes, daemons too.
    #[default]
    All,
    /// The command itself; what survives it goes on untraced.
    Root,
}

/// What is collected of an exec, besides what it always has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the fields of Exec")]
pub struct Collect {
    pub namespace_pids: bool,
    pub argv: bool,
    pub env: bool,
    pub interpreter: bool,
    pub cwd: bool,
    pub fds: bool,
    pub credentials: bool,
    pub cgroup: bool,
}

impl Default for Collect {
    fn default() -> Self {
        Self {
            namespace_pids: true,
            argv: true,
            env: true,
            interpreter: true,
            cwd: true,
            fds: true,
            credentials: true,
            cgroup: true,
        }
    }
}

/// Which execs are handed out: those that match every part that is not empty. A backend may apply parts of it early, and
/// the rest is applied to what it hands out.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Process ids.
    pub pids: Vec<u32>,
    /// Real user ids.
    pub uids: Vec<u32>,
    /// Names of callers (`comm`), whole.
    pub comms: Vec<Vec<u8>>,
    /// Paths of cgroups; one matches with all below it.
    pub cgroups: Vec<Vec<u8>>,
    /// Paths that were executed.
    pub paths: Option<GlobSet>,
    /// Only those that succeeded, or only those that failed.
    pub outcome: Outcome,
}

/// Which ends of an exec are of interest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Outcome {
    #[default]
    Any,
    Success,
    Failure,
}

//! How a hook can be had, and where: [`Tier`] and [`Hook`].

use serde::Serialize;

/// The ways to see a system call's entry and return, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Tier {
    /// fentry and fexit, which may wait for a page of the caller's memory. Kernels from 7.1 up, and earlier ones with
    /// CONFIG_FUNCTION_ERROR_INJECTION.
    #[serde(rename = "fentry (sleepable)")]
    FentrySleepable,
    /// fentry and fexit: they need direct calls from ftrace (x86_64 5.5, aarch64 6.4, riscv64 6.8).
    #[serde(rename = "fentry")]
    Fentry,
    /// kprobe and kretprobe.
    #[serde(rename = "kprobe")]
    Kprobe,
    /// The tracepoints of all system calls, `sys_enter` and `sys_exit`.
    #[serde(rename = "tracepoint")]
    Tracepoint,
}

impl Tier {
    /// All, best first.
    pub const ALL: [Self; 4] = [Self::FentrySleepable, Self::Fentry, Self::Kprobe, Self::Tracepoint];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::FentrySleepable => "fentry (sleepable)",
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::Tracepoint => "tracepoint",
        }
    }
}

/// A system call that is hooked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hook {
    /// Its name in reports.
    pub(crate) name: &'static str,
    /// Functions of the kernel that may be it: at most one is there.
    pub(crate) functions: &'static [&'static str],
    /// The end of its programs' names in `tracer.bpf.c`.
    pub(crate) suffix: &'static str,
    /// A trace without it is no trace.
    pub(crate) native: bool,
}

#[cfg(target_arch = "x86_64")]
macro_rules! functions {
    (native $call:literal) => {
        &[concat!("__x64_sys_", $call)]
    };
    (compat $call:literal) => {
        &[concat!("__ia32_compat_sys_", $call)]
    };
    (x32 $call:literal) => {
        &[concat!("__x64_compat_sys_", $call), concat!("__x32_compat_sys_", $call)]
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! functions {
    (native $call:literal) => {
        &[concat!("__arm64_sys_", $call)]
    };
    (compat $call:literal) => {
        &[concat!("__arm64_compat_sys_", $call)]
    };
    (x32 $call:literal) => {
        &[]
    };
}
#[cfg(target_arch = "riscv64")]
macro_rules! functions {
    (native $call:literal) => {
        &[concat!("__riscv_sys_", $call)]
    };
    (compat $call:literal) => {
        &[concat!("__riscv_compat_sys_", $call)]
    };
    (x32 $call:literal) => {
        &[]
    };
}

/// All hooks. The functions take the caller's registers: kernels without such wrappers (riscv64 before 6.6) have the
/// tracepoints.
pub(crate) const HOOKS: [Hook; 6] = [
    Hook { name: "execve", functions: functions!(native "execve"), suffix: "ve", native: true },
    Hook { name: "execveat", functions: functions!(native "execveat"), suffix: "at", native: true },
    Hook { name: "execve (compat)", functions: functions!(compat "execve"), suffix: "cve", native: false },
    Hook { name: "execveat (compat)", functions: functions!(compat "execveat"), suffix: "cat", native: false },
    Hook { name: "execve (x32)", functions: functions!(x32 "execve"), suffix: "xve", native: false },
    Hook { name: "execveat (x32)", functions: functions!(x32 "execveat"), suffix: "xat", native: false },
];

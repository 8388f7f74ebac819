//! Names of errnos, signals and of the reasons why something is not there.

use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::event::{Abi, Absent, Cut, Relation};

/// `ENOENT`, or `errno 999`.
pub(super) fn errno(number: i32) -> String {
    match Errno::from_raw(number) {
        Errno::UnknownErrno => format!("errno {number}"),
        known => format!("{known:?}"),
    }
}

/// `SIGKILL`, `SIGRT_2` (as the kernel counts, which strace shows too), or `signal 99`.
pub(super) fn signal(number: i32) -> String {
    /// The kernel's: glibc keeps the first two for itself, and counts from 34.
    const KERNEL_RTMIN: i32 = 32;
    const KERNEL_RTMAX: i32 = 64;
    match Signal::try_from(number) {
        Ok(signal) => signal.as_str().into(),
        Err(_) if (KERNEL_RTMIN..=KERNEL_RTMAX).contains(&number) => format!("SIGRT_{}", number - KERNEL_RTMIN),
        Err(_) => format!("signal {number}"),
    }
}

/// A word for scripts, with what is known after a colon.
pub(super) fn absent(reason: &Absent) -> String {
    match reason {
        Absent::NotAsked => "not_asked".into(),
        Absent::NotApplicable => "not_applicable".into(),
        Absent::NotSeen(lacking) => format!("not_seen: {lacking}"),
        Absent::NotResident => "not_resident".into(),
        Absent::Unreadable(number) => format!("unreadable: {}", errno(*number)),
        Absent::Gone => "gone".into(),
        Absent::Lost => "lost".into(),
    }
}

/// A word for scripts, with what is known after a colon.
pub(super) fn cut(reason: Cut) -> String {
    match reason {
        Cut::TooLong => "too_long".into(),
        Cut::NotResident => "not_resident".into(),
        Cut::Unreadable(number) => format!("unreadable: {}", errno(number)),
        Cut::Lost => "lost".into(),
    }
}

/// A word for scripts.
pub(super) fn abi(abi: Abi) -> &'static str {
    match abi {
        Abi::Native => "native",
        Abi::Compat => "compat",
        Abi::X32 => "x32",
    }
}

/// A word for scripts.
pub(super) fn relation(relation: Relation) -> &'static str {
    match relation {
        Relation::Same => "same",
        Relation::Child => "child",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check the names, and that what has none keeps its number.
    #[test]
    fn numbers_have_names() {
        assert_eq!([errno(2), errno(40), errno(5000)], ["ENOENT", "ELOOP", "errno 5000"]);
        assert_eq!([signal(9), signal(34), signal(64), signal(65)], ["SIGKILL", "SIGRT_2", "SIGRT_32", "signal 65"]);
        assert_eq!(absent(&Absent::Unreadable(13)), "unreadable: EACCES");
        assert_eq!(cut(Cut::Unreadable(14)), "unreadable: EFAULT");
    }
}

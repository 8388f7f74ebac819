//! Why the kernel did not take the BPF object, and what libbpf said about it.

use std::cell::RefCell;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use libbpf_rs::PrintLevel;

use crate::error::{Error, ErrorKind};

thread_local! {
    static LOG: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `load` and returns what libbpf would have printed to stderr meanwhile. The printer is global to the process,
/// hence the lock, and the one that was set before comes back.
pub(super) fn capture_log<T>(load: impl FnOnce() -> T) -> (T, String) {
    static PRINTER: Mutex<()> = Mutex::new(());
    let _one_at_a_time = PRINTER.lock().unwrap_or_else(PoisonError::into_inner);
    LOG.take();
    let before =
        libbpf_rs::set_print(Some((PrintLevel::Warn, |_, line| LOG.with_borrow_mut(|log| log.push_str(&line)))));
    let result = load();
    libbpf_rs::set_print(before);
    (result, LOG.take())
}

/// What can be seen of a failed load, and of the machine that it failed on.
#[derive(Clone, Copy, Debug)]
struct Seen<'a> {
    /// The error is EPERM or EACCES.
    denied: bool,
    root: bool,
    /// The kernel's list of lockdown modes, with brackets around the current one.
    lockdown: &'a str,
    /// The kernel shows BTF of itself.
    btf: bool,
    /// What libbpf said.
    log: &'a str,
}

/// Finds the likely cause.
pub(super) fn classify(doing: &str, err: libbpf_rs::Error, log: String) -> Error {
    let (kind, hint) = cause(Seen {
        denied: err.kind() == libbpf_rs::ErrorKind::PermissionDenied,
        root: nix::unistd::Uid::effective().is_root(),
        lockdown: &std::fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default(),
        btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
        log: &log,
    });
    // The kernel's own error is a riddle then: ESRCH, "no such process".
    let lack = if kind == ErrorKind::MissingBtf { ", because the kernel has no BTF" } else { "" };
    Error::new(kind, format!("{doing}{lack}")).with_source(err).with_hint(hint).with_log(log)
}

fn cause(seen: Seen<'_>) -> (ErrorKind, &'static str) {
    // The verifier speaks only after the caller's privileges were found to suffice, and its refusal may be EACCES too. But it is also
    // who says that a kernel which is locked down has not got the helpers that read.
    if seen.lockdown.contains("[confidentiality]") {
        (ErrorKind::Privilege, "the kernel is locked down (confidentiality): BPF programs may not read its memory")
    } else if seen.log.contains("requires BPF JIT compiler") {
        (ErrorKind::Unsupported, "this kernel cannot interpret the programs: sysctl net.core.bpf_jit_enable=1")
    } else if seen.log.contains("-- BEGIN PROG LOAD LOG --") {
        (ErrorKind::Unsupported, "the verifier refused a program: please report this kernel, with the log")
    } else if seen.denied && !seen.root {
        (ErrorKind::Privilege, "run it as root, or with CAP_BPF and CAP_PERFMON")
    } else if seen.denied {
        // Kernels before 5.11 count maps and programs as locked memory.
        let hint = "root of a container is not enough: it needs CAP_BPF and CAP_PERFMON on the host, and before Linux 5.11 \
                    CAP_SYS_RESOURCE or more locked memory (ulimit -l)";
        (ErrorKind::Privilege, hint)
    } else if !seen.btf {
        let hint = "/sys/kernel/btf/vmlinux is missing: mount /sys, or use a kernel with CONFIG_DEBUG_INFO_BTF=y";
        (ErrorKind::MissingBtf, hint)
    } else {
        (ErrorKind::Unsupported, "tracer serves kernels from 5.10 up; please report this one, with the log")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const VERIFIER: &str = "libbpf: prog 'tracer_exec': BPF program load failed: -EACCES
libbpf: prog 'tracer_exec': -- BEGIN PROG LOAD LOG --
0: (79) r7 = *(u64 *)(r1 +16)
invalid mem access 'scalar'
-- END PROG LOAD LOG --
";
    /// As 7.2 says it.
    const NO_JIT: &str = "libbpf: prog 'tracer_exec': -- BEGIN PROG LOAD LOG --
program requires BPF JIT compiler but it is not available
-- END PROG LOAD LOG --
";
    const DENIED: &str = "libbpf: prog 'tracer_exec': BPF program load failed: -EPERM\n";

    /// A load that failed although the machine has all that it takes.
    const FAILED: Seen<'_> = Seen { denied: false, root: true, lockdown: "", btf: true, log: "" };

    /// Check that each cause is told from the others, and that the verifier's refusal is never put down to privileges.
    #[rstest]
    #[case::verifier(Seen { log: VERIFIER, ..FAILED }, ErrorKind::Unsupported, "verifier")]
    #[case::verifier_with_eacces(Seen { denied: true, log: VERIFIER, ..FAILED }, ErrorKind::Unsupported, "verifier")]
    #[case::no_jit(Seen { log: NO_JIT, ..FAILED }, ErrorKind::Unsupported, "bpf_jit_enable=1")]
    #[case::user(Seen { denied: true, root: false, log: DENIED, ..FAILED }, ErrorKind::Privilege, "as root")]
    #[case::container(Seen { denied: true, log: DENIED, ..FAILED }, ErrorKind::Privilege, "container")]
    #[case::lockdown(Seen { lockdown: "none integrity [confidentiality]", log: VERIFIER, ..FAILED }, ErrorKind::Privilege, "locked")]
    #[case::lockdown_of_less(Seen { lockdown: "none [integrity] confidentiality", ..FAILED }, ErrorKind::Unsupported, "5.10")]
    #[case::no_btf(Seen { btf: false, ..FAILED }, ErrorKind::MissingBtf, "CONFIG_DEBUG_INFO_BTF")]
    #[case::other(FAILED, ErrorKind::Unsupported, "5.10")]
    fn the_cause_is_found_in_what_is_seen(#[case] seen: Seen<'_>, #[case] kind: ErrorKind, #[case] hint: &str) {
        let (found, said) = cause(seen);
        assert_eq!(found, kind);
        assert!(said.contains(hint), "{said}");
    }

    /// Check that an error with a verifier's log shows its last lines.
    #[test]
    fn the_verifiers_last_words_are_shown() {
        let error = classify("cannot load", libbpf_rs::Error::from_raw_os_error(13), VERIFIER.into());
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(format!("{error:?}").contains("invalid mem access 'scalar'"), "{error:?}");
    }
}

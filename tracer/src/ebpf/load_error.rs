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

/// Finds the likely cause in what can be seen of this machine.
pub(super) fn classify(doing: &str, err: libbpf_rs::Error) -> Error {
    let denied = err.kind() == libbpf_rs::ErrorKind::PermissionDenied;
    let lockdown = std::fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    let (kind, hint) = if denied && !nix::unistd::Uid::effective().is_root() {
        (ErrorKind::Privilege, "run it as root, or with CAP_BPF and CAP_PERFMON")
    } else if lockdown.contains("[confidentiality]") {
        (ErrorKind::Privilege, "the kernel is locked down (confidentiality): BPF programs may not read its memory")
    } else if denied {
        (ErrorKind::Privilege, "root of a container is not enough: it needs CAP_BPF and CAP_PERFMON on the host")
    } else if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        let hint = "/sys/kernel/btf/vmlinux is missing: mount /sys, or use a kernel with CONFIG_DEBUG_INFO_BTF=y";
        (ErrorKind::MissingBtf, hint)
    } else {
        (ErrorKind::Unsupported, "tracer serves kernels from 5.10 up; please report this one, with the log")
    };
    Error::new(kind, doing).with_source(err).with_hint(hint)
}

//! A kernel that interprets programs.

use std::fs;

use serial_test::serial;

use super::{Tier, all_of, command, execs, start_with, strings};
use crate::ErrorKind;
use crate::options::Options;

const JIT: &str = "/proc/sys/net/core/bpf_jit_enable";

/// The JIT off, until it is dropped.
struct Off(String);

impl Off {
    fn switch() -> Self {
        let before = fs::read_to_string(JIT).expect("readable");
        fs::write(JIT, "0").expect("written");
        Self(before)
    }
}

impl Drop for Off {
    fn drop(&mut self) {
        // OK because it was written before.
        let _ = fs::write(JIT, self.0.trim());
    }
}

/// Check that a trace has its events with the JIT off; or, on arm64, that what to do is said: from 6.10 on its JIT compiles the helper
/// for the current task inline, and an interpreted program that calls it is refused, or crashes whoever executes (6.12 to 7.1).
#[test]
#[ignore = "root: loads BPF programs, and switches the JIT off"]
#[serial]
fn a_trace_works_with_the_jit_off() {
    let _off = Off::switch();
    let target = command(&["/bin/sh", "-c", "/no/such/thing a b; /bin/true x y; exit 3"]);
    let running = match start_with(&target, &Options::default(), Tier::FentrySleepable) {
        Ok(running) => running,
        Err(err) => {
            assert_eq!((std::env::consts::ARCH, err.kind()), ("aarch64", ErrorKind::Unsupported), "{err:?}");
            assert!(format!("{err:?}").contains("net.core.bpf_jit_enable=1"), "{err:?}");
            return;
        }
    };
    let (all, ended) = all_of(running);
    let execs = execs(&all);
    assert_eq!(execs.iter().map(|exec| exec.errno).collect::<Vec<_>>(), [0, 2, 0], "{all:?}");
    assert_eq!(strings(&execs[1].argv), ["/no/such/thing", "a", "b"]);
    assert_eq!(strings(&execs[2].argv), ["/bin/true", "x", "y"]);
    assert_eq!(execs[2].ppid, execs[0].tgid);
    assert!(execs.iter().all(|exec| exec.cwd.is_ok() && exec.fds.is_ok() && exec.credentials.is_ok()), "{execs:?}");
    assert_eq!(ended.status.and_then(|status| status.code()), Some(3));
}

//! The whole system, and a trace that ends in the middle.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;

use nix::libc;
use serial_test::serial;

use super::actor::{self, Actor, MISSING};
use super::{Tier, all_of, start_with};
use crate::event::{Absent, Call, Cut, Exec, What};
use crate::options::{Options, Target};
use crate::running::Running;

/// Check that a trace of the whole system has the execs, and the children, of a process that ran before it; that it has an
/// exec that was under way when it began, without what only the entry shows, and four MiB of lists that are longer; and
/// that it ends when it is stopped, without
/// harm to those who live.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn the_whole_system_is_traced_until_the_trace_is_stopped() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = dir.path().join("script");
    let held = Held::exec(&script);
    let [early, large, late] = ["fail 1 spawn 1", "large fails large succeeds", "fail 1"].map(Actor::start);
    let (early_pid, large_pid) = (early.pid, large.pid);

    let mut running = start_with(&Target::System, &Options::default(), Tier::FentrySleepable).expect("starts");
    let mut child = held.release();
    let under_way = next_exec(&mut running, |exec| exec.tgid == child.id());
    let path = script.to_str().expect("UTF-8");
    assert_eq!(under_way.filename.as_ref().expect("there").bytes, path.as_bytes());
    assert_eq!((under_way.errno, under_way.call), (0, Call::Execve));
    assert!(matches!(under_way.comm, Err(Absent::NotSeen(_))), "{under_way:?}");
    assert!(matches!(under_way.cwd, Err(Absent::NotSeen(_))), "{under_way:?}");
    assert_eq!(super::strings(&under_way.env), ["OF=it"]);
    assert!(child.wait().expect("ends").success());

    early.act();
    let failed = next_exec(&mut running, |exec| exec.tgid == early_pid);
    assert_eq!((failed.errno, failed.filename.expect("there").bytes), (2, MISSING.as_bytes().to_vec()));
    let spawned = next_exec(&mut running, |exec| exec.ppid == early_pid);
    assert_eq!((spawned.errno, spawned.filename.expect("there").bytes), (0, b"/bin/true".to_vec()));

    large.act();
    for (name, list) in ["argv", "env"].map(|name| (name, next_exec(&mut running, |exec| exec.tgid == large_pid))) {
        let list = if name == "argv" { list.argv } else { list.env }.expect("there");
        assert_eq!(list.cut, Some(Cut::TooLong), "{name}");
        let bytes: usize = list.items.iter().map(|item| item.len() + 1).sum();
        let (longest, count) = actor::LARGE;
        assert!((4 << 20) - longest <= bytes && bytes < longest * count, "{bytes} bytes of {name}");
        assert!(list.items.iter().all(|item| item.iter().all(|byte| *byte == b'L')), "{name}");
    }

    (running.stop)();
    let (rest, ended) = all_of(running);
    assert!(rest.iter().any(|what| matches!(what, What::Exit(exit) if exit.tgid == large_pid)), "{rest:?}");
    assert!(ended.status.is_none());
    late.act();
}

#[track_caller]
fn next_exec(running: &mut Running, is_it: impl Fn(&Exec) -> bool) -> Exec {
    let exec = running.observed.find_map(|observed| match observed.what {
        What::Exec(exec) if is_it(&exec) => Some(*exec),
        _ => None,
    });
    exec.expect("the exec is seen")
}

/// An exec that waits in the kernel: for a lease on the file.
struct Held {
    lease: File,
    child: thread::JoinHandle<std::io::Result<Child>>,
}

impl Held {
    /// Executes a script at this path, and comes back when that waits.
    fn exec(path: &Path) -> Self {
        /// Of the kernel's `asm-generic/fcntl.h`.
        const F_SETSIG: libc::c_int = 10;
        fs::write(path, "#!/bin/true\n").expect("written");
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode is set");
        let lease = File::open(path).expect("opened");
        // SAFETY: numbers only. Who has a lease gets SIGIO when it is wanted back, unless another signal is named: this one
        // is ignored.
        unsafe {
            assert_eq!(libc::fcntl(lease.as_raw_fd(), F_SETSIG, libc::SIGURG), 0);
            let taken = libc::fcntl(lease.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK);
            assert_eq!(taken, 0, "{}", std::io::Error::last_os_error());
        }
        let mut command = Command::new(path);
        command.env_clear().env("OF", "it");
        // Whoever spawns waits for the exec, too.
        let child = thread::spawn(move || command.spawn());
        // SAFETY: numbers only. While someone waits, the lease is what it shall become.
        while unsafe { libc::fcntl(lease.as_raw_fd(), libc::F_GETLEASE) } == libc::F_WRLCK {
            thread::yield_now();
        }
        Self { lease, child }
    }

    /// Lets it go on, and comes back when it has executed.
    fn release(self) -> Child {
        // SAFETY: numbers only.
        assert_eq!(unsafe { libc::fcntl(self.lease.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) }, 0);
        self.child.join().expect("no panic").expect("starts")
    }
}

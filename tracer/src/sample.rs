//! Events for the tests of this crate's modules.

use std::time::{Duration, SystemTime};

use crate::event::{Abi, Absent, Call, Child, Credentials, End, Event, Exec, Exit, Fd, Ids, List, Text, Time, What};

/// Bytes as a whole text.
pub(crate) fn text(bytes: impl AsRef<[u8]>) -> Text {
    Text { bytes: bytes.as_ref().to_vec(), cut: None }
}

/// A whole list of strings.
pub(crate) fn list<T: AsRef<[u8]>>(items: &[T]) -> List<Vec<u8>> {
    List { items: items.iter().map(|item| item.as_ref().to_vec()).collect(), cut: None }
}

/// A successful exec of `/usr/bin/true` by the process.
pub(crate) fn exec(tgid: u32) -> Exec {
    let ids = Ids { real: 1000, effective: 1000, saved: 1000, fs: 1000 };
    Exec {
        pid: tgid,
        tgid,
        ppid: 1,
        namespace_pids: Ok(vec![tgid]),
        call: Call::Execve,
        abi: Abi::Native,
        errno: 0,
        comm: Ok(b"sh".to_vec()),
        filename: Ok(text("/usr/bin/true")),
        argv: Ok(list(&["true", "a b"])),
        env: Ok(list(&["PATH=/usr/bin", "HOME=/root"])),
        interpreter: Ok(Vec::new()),
        cwd: Ok(text("/home/me")),
        fds: Ok(List { items: (0..3).map(|number| fd(number, "/dev/pts/1")).collect(), cut: None }),
        credentials: Ok(Credentials { uid: ids, gid: ids, groups: List { items: vec![27, 1000], cut: None } }),
        cgroup: Ok(text("/user.slice/a")),
    }
}

/// An open file that an exec leaves open.
pub(crate) fn fd(number: u32, path: &str) -> Fd {
    Fd { number, path: Ok(text(path)), flags: 2, cloexec: false, offset: 0, mount_id: 25, inode: Ok(4) }
}

/// An exec with nothing but what it always has.
pub(crate) fn bare_exec(tgid: u32, absent: Absent) -> Exec {
    Exec {
        namespace_pids: Err(absent.clone()),
        comm: Err(absent.clone()),
        filename: Err(absent.clone()),
        argv: Err(absent.clone()),
        env: Err(absent.clone()),
        interpreter: Err(absent.clone()),
        cwd: Err(absent.clone()),
        fds: Err(absent.clone()),
        credentials: Err(absent.clone()),
        cgroup: Err(absent),
        ..exec(tgid)
    }
}

/// Something that happened 1.5 s after boot, in 1970.
pub(crate) fn event(id: u64, what: What) -> Event {
    let boot = Duration::from_millis(1500);
    Event { id, parent: None, time: Time { boot, wall: SystemTime::UNIX_EPOCH + boot }, what }
}

/// The process was forked.
pub(crate) fn child(parent_tgid: u32, tgid: u32) -> What {
    What::Child(Child { parent_tgid, tgid })
}

/// The process ended.
pub(crate) fn exit(tgid: u32, code: i32) -> What {
    What::Exit(Exit { tgid, end: End::Code(code) })
}

/// An exec, as something that happened.
pub(crate) fn what(exec: Exec) -> What {
    What::Exec(Box::new(exec))
}

/// A trace of `make` by ptrace that began 1 s after boot, whose baseline is the sample's own environment and files.
pub(crate) fn about(show: crate::show::Show) -> crate::output::About {
    let boot = Duration::from_secs(1);
    let stdio = |number| crate::baseline::Stdio { number, path: b"/dev/pts/1".to_vec(), inode: 4 };
    crate::output::About {
        started: Time { boot, wall: SystemTime::UNIX_EPOCH + boot },
        backend: crate::trace::Backend { name: "ptrace", tier: None, degraded: None },
        fallback: Some("needs root".into()),
        command: vec!["make".into()],
        attached: Vec::new(),
        baseline: crate::baseline::Baseline {
            env: list(&["PATH=/usr/bin", "HOME=/root"]).items,
            cwd: Some(b"/home/me".to_vec()),
            stdio: (0..3).map(stdio).collect(),
        },
        redact: crate::redact::Redact::default(),
        show,
    }
}

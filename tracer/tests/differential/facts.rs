//! An exec as [`Facts`]: field by field in text, so that what the workload says of itself and what a backend says can be
//! compared, and a difference can be read.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use tracer::event::{Abi, Absent, Call, Credentials, Cut, Exec, Fd, Field, List, Text};

/// Field → value.
pub(crate) type Facts = BTreeMap<String, String>;

/// One exec of the workload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Said {
    /// The case that it belongs to.
    pub(crate) case: String,
    /// The process.
    pub(crate) tgid: u32,
    /// What it did.
    pub(crate) facts: Facts,
}

/// How a process of the workload ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// The process.
    pub(crate) tgid: u32,
    /// `code 0`, `signal 9`.
    pub(crate) end: String,
}

/// A line of what the workload says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Line {
    /// It is about to execute something.
    Exec(Said),
    /// The last exec of this process has failed with this errno.
    Failed(u32, i32),
    /// A child has ended.
    Ended(Ended),
}

/// Bytes as text, short: long ones as their length and a hash.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    if bytes.len() > 300 {
        format!("{} bytes, hash {:x}", bytes.len(), hash(bytes))
    } else {
        bytes.escape_ascii().to_string()
    }
}

/// A list of byte strings as text; a long one as its length and a hash.
pub(crate) fn strings<T: AsRef<[u8]>>(items: &[T]) -> String {
    let all: Vec<&[u8]> = items.iter().map(AsRef::as_ref).collect();
    if all.len() > 8 {
        format!("{} items, hash {:x}", all.len(), hash(&all))
    } else {
        format!("[{}]", all.iter().map(|item| format!("\"{}\"", bytes(item))).collect::<Vec<_>>().join(", "))
    }
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The facts of an exec that a backend saw.
pub(crate) fn of(exec: &Exec) -> Facts {
    let facts = [
        ("pid", exec.pid.to_string()),
        ("tgid", exec.tgid.to_string()),
        ("ppid", exec.ppid.to_string()),
        ("call", call(exec.call)),
        ("abi", if exec.abi == Abi::Native { "native".into() } else { format!("{:?}", exec.abi) }),
        ("errno", exec.errno.to_string()),
        ("comm", field(&exec.comm, |comm| bytes(comm))),
        ("filename", field(&exec.filename, text)),
        ("argv", field(&exec.argv, list)),
        ("env", field(&exec.env, list)),
        ("interpreter", field(&exec.interpreter, |words| strings(words))),
        ("cwd", field(&exec.cwd, text)),
        ("fds", field(&exec.fds, fds)),
        ("credentials", field(&exec.credentials, credentials)),
        ("cgroup", field(&exec.cgroup, text)),
        ("namespace_pids", field(&exec.namespace_pids, |pids| format!("{pids:?}"))),
    ];
    facts.map(|(name, value)| (name.to_owned(), value)).into()
}

fn call(call: Call) -> String {
    match call {
        Call::Execve => "execve".into(),
        Call::Execveat { dirfd, flags } => execveat(dirfd, flags),
    }
}

/// execveat(2) with its own arguments.
pub(crate) fn execveat(dirfd: i32, flags: i32) -> String {
    format!("execveat dirfd={dirfd} flags={flags:#x}")
}

fn field<T>(field: &Field<T>, show: impl Fn(&T) -> String) -> String {
    match field {
        Ok(value) => show(value),
        Err(Absent::NotApplicable) => NOT_APPLICABLE.into(),
        Err(reason) => format!("absent: {reason:?}"),
    }
}

/// What a field that has no meaning is shown as.
pub(crate) const NOT_APPLICABLE: &str = "not applicable";

fn text(text: &Text) -> String {
    bytes(&text.bytes) + &cut(text.cut)
}

fn list(list: &List<Vec<u8>>) -> String {
    strings(&list.items) + &cut(list.cut)
}

fn cut(cut: Option<Cut>) -> String {
    cut.map(|reason| format!(" cut: {reason:?}")).unwrap_or_default()
}

fn fds(list: &List<Fd>) -> String {
    let items = list.items.iter().map(|fd| {
        let inode = field(&fd.inode, u64::to_string);
        self::fd(fd.number, &field(&fd.path, text), fd.flags, fd.cloexec, fd.offset, fd.mount_id, &inode)
    });
    items.collect::<Vec<_>>().join("; ") + &cut(list.cut)
}

/// One open file.
pub(crate) fn fd(number: u32, path: &str, flags: u32, cloexec: bool, offset: u64, mount: u32, inode: &str) -> String {
    let cloexec = if cloexec { " cloexec" } else { "" };
    format!("{number} {path} flags={flags:o}{cloexec} offset={offset} mount={mount} inode={inode}")
}

fn credentials(who: &Credentials) -> String {
    let ids = |ids: tracer::event::Ids| [ids.real, ids.effective, ids.saved, ids.fs];
    self::ids(&ids(who.uid), &ids(who.gid), &who.groups.items) + &cut(who.groups.cut)
}

/// Real, effective, saved and file system ids, and the groups in the order of their numbers.
pub(crate) fn ids(uid: &[u32], gid: &[u32], groups: &[u32]) -> String {
    let mut groups = groups.to_vec();
    groups.sort_unstable();
    format!("uid={uid:?} gid={gid:?} groups={groups:?}")
}

//! Events as the JSON objects of schema 1, for the JSON and the Perfetto form: [`record`].
//!
//! Names are stable: they are added to, never changed. A field without a value is `null`, and `absent` has the reason
//! under its name; `cut` has the reason why one is not whole. Bytes that are not UTF-8 are `{"hex": "..."}`.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::{About, names};
use crate::baseline::{EnvDiff, stdio_changes};
use crate::event::{Absent, Call, Credentials, Cut, End, Event, Exec, Fd, Field, Ids, List, Lost, Text, What};
use crate::show::Item;

/// The version of what is written.
pub(super) const SCHEMA: u32 = 1;

/// Bytes: a string if they are UTF-8, else `{"hex": "..."}`, so that nothing is guessed or lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
                serializer.collect_map([("hex", hex)])
            }
        }
    }
}

/// A value of bytes.
pub(super) fn bytes(bytes: impl AsRef<[u8]>) -> Value {
    json!(Bytes(bytes.as_ref()))
}

/// Values of a list of bytes.
pub(super) fn all<T: AsRef<[u8]>>(items: impl IntoIterator<Item = T>) -> Value {
    items.into_iter().map(bytes).collect()
}

/// Nanoseconds since 1970.
pub(super) fn unix_ns(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}

/// The object of an event.
pub(super) fn record(event: &Event, about: &About) -> Value {
    let mut object = match &event.what {
        What::Exec(exec) => exec_record(exec, about),
        What::Child(child) => json!({ "event": "child", "parent_tgid": child.parent_tgid, "tgid": child.tgid }),
        What::Exit(exit) => {
            let (code, signal, core) = match exit.end {
                End::Code(code) => (Some(code), None, None),
                End::Signal { number, core } => (None, Some(number), Some(core)),
            };
            let name = signal.map(names::signal);
            json!({
                "event": "exit", "tgid": exit.tgid, "code": code, "signal": signal, "signal_name": name,
                "core_dumped": core,
            })
        }
        What::Lost(lost) => lost_record(*lost),
        What::Warning(words) => json!({ "event": "warning", "text": words }),
    };
    object["id"] = event.id.into();
    object["parent"] =
        event.parent.map(|parent| json!({ "id": parent.id, "relation": names::relation(parent.relation) })).into();
    object["boot_ns"] = (event.time.boot.as_nanos() as u64).into();
    object["wall_ns"] = (unix_ns(event.time.wall) as i64).into();
    object
}

/// The object of a loss.
pub(super) fn lost_record(lost: Lost) -> Value {
    json!({ "event": "lost", "execs": lost.execs, "others": lost.others, "untracked": lost.untracked })
}

/// Why fields are not there, or not whole; they are gathered while the fields are written.
#[derive(Debug, Default)]
struct Marks {
    absent: BTreeMap<String, String>,
    cut: BTreeMap<String, String>,
}

impl Marks {
    /// The value of a field, or `null` and a mark.
    fn field<T>(&mut self, name: &str, field: &Field<T>, show: impl FnOnce(&mut Self, &T) -> Value) -> Value {
        match field {
            Ok(value) => show(self, value),
            Err(reason) => {
                self.absent.insert(name.into(), names::absent(reason));
                Value::Null
            }
        }
    }

    fn cut(&mut self, name: &str, cut: Option<Cut>) {
        if let Some(cut) = cut {
            self.cut.insert(name.into(), names::cut(cut));
        }
    }

    fn text(&mut self, name: &str, field: &Field<Text>) -> Value {
        self.field(name, field, |marks, text| {
            marks.cut(name, text.cut);
            bytes(&text.bytes)
        })
    }

    fn list<T>(&mut self, name: &str, field: &Field<List<T>>, show: impl FnOnce(&mut Self, &[T]) -> Value) -> Value {
        self.field(name, field, |marks, list| {
            marks.cut(name, list.cut);
            show(marks, &list.items)
        })
    }
}

fn exec_record(exec: &Exec, about: &About) -> Value {
    let mut marks = Marks::default();
    let (call, dirfd, flags) = match exec.call {
        Call::Execve => ("execve", None, None),
        Call::Execveat { dirfd, flags } => ("execveat", Some(dirfd), Some(flags)),
    };
    let mut object = json!({
        "event": "exec",
        "pid": exec.pid,
        "tgid": exec.tgid,
        "ppid": exec.ppid,
        "namespace_pids": marks.field("namespace_pids", &exec.namespace_pids, |_, pids| json!(pids)),
        "call": call,
        "dirfd": dirfd,
        "flags": flags,
        "abi": names::abi(exec.abi),
        "errno": exec.errno,
        "error": (exec.errno != 0).then(|| names::errno(exec.errno)),
        "comm": marks.field("comm", &exec.comm, |_, comm| bytes(comm)),
        "filename": marks.text("filename", &exec.filename),
        "argv": marks.list("argv", &exec.argv, |_, argv| all(argv)),
        "env": env(exec, about, &mut marks),
        "env_diff": env_diff(exec, about, &mut marks),
        "interpreter": marks.field("interpreter", &exec.interpreter, |_, words| all(words)),
        "cwd": marks.text("cwd", &exec.cwd),
        "fds": fds(exec, about, &mut marks),
        "fd_diff": fd_diff(exec, about, &mut marks),
        "credentials": marks.field("credentials", &exec.credentials, credentials),
        "cgroup": marks.text("cgroup", &exec.cgroup),
    });
    object["absent"] = json!(marks.absent);
    object["cut"] = json!(marks.cut);
    object
}

/// The field, unless it was collected only for another.
fn shown<T: Clone>(field: &Field<T>, about: &About, item: Item) -> Field<T> {
    if about.show.has(item) { field.clone() } else { Err(Absent::NotAsked) }
}

fn env(exec: &Exec, about: &About, marks: &mut Marks) -> Value {
    marks.list("env", &shown(&exec.env, about, Item::Env), |_, env| {
        all(env.iter().map(|entry| about.redact.entry(entry)))
    })
}

fn env_diff(exec: &Exec, about: &About, marks: &mut Marks) -> Value {
    marks.field("env_diff", &shown(&exec.env, about, Item::EnvDiff), |marks, env| {
        marks.cut("env_diff", env.cut);
        let diff = EnvDiff::new(env, &about.baseline.env);
        let entry = |entry: &crate::baseline::Entry<'_>| [entry.name, about.redact.value(*entry)].join(&b'=');
        json!({
            "added": all(diff.added.iter().map(entry)),
            "changed": all(diff.changed.iter().map(entry)),
            "removed": diff.removed.map(all),
            "extra": all(diff.extra.iter().map(|bytes| about.redact.entry(bytes))),
            "reordered": diff.reordered,
        })
    })
}

fn fds(exec: &Exec, about: &About, marks: &mut Marks) -> Value {
    marks.list("fds", &shown(&exec.fds, about, Item::Fds), |marks, fds| {
        fds.iter().map(|fd| fd_record(fd, marks)).collect()
    })
}

fn fd_record(fd: &Fd, marks: &mut Marks) -> Value {
    let name = |field| format!("fds.{}.{field}", fd.number);
    json!({
        "number": fd.number,
        "path": marks.text(&name("path"), &fd.path),
        "flags": fd.flags,
        "cloexec": fd.cloexec,
        "offset": fd.offset,
        "mount_id": fd.mount_id,
        "inode": marks.field(&name("inode"), &fd.inode, |_, inode| (*inode).into()),
    })
}

/// `now` is the path of what the stream is; `null` if it is closed, or if the path could not be read.
fn fd_diff(exec: &Exec, about: &About, marks: &mut Marks) -> Value {
    marks.field("fd_diff", &shown(&exec.fds, about, Item::FdDiff), |marks, fds| {
        marks.cut("fd_diff", fds.cut);
        let changes = stdio_changes(exec, &about.baseline.stdio).unwrap_or_default();
        let record = |change: crate::baseline::StdioChange<'_>| {
            let path = change.now.and_then(|fd| fd.path.as_ref().ok());
            json!({
                "number": change.number,
                "was": change.was.map(Bytes),
                "now": path.map(|path| Bytes(&path.bytes)),
                "closed": change.now.is_none(),
            })
        };
        changes.into_iter().map(record).collect()
    })
}

fn credentials(marks: &mut Marks, credentials: &Credentials) -> Value {
    marks.cut("credentials.groups", credentials.groups.cut);
    json!({ "uid": ids(credentials.uid), "gid": ids(credentials.gid), "groups": credentials.groups.items })
}

fn ids(ids: Ids) -> Value {
    json!({ "real": ids.real, "effective": ids.effective, "saved": ids.saved, "fs": ids.fs })
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;

//! Tests of the records.

use globset::{Glob, GlobSet};
use serde_json::json;

use super::*;
use crate::event::{Abi, Exit, Parent, Relation};
use crate::redact::Redact;
use crate::sample::{about, bare_exec, child, event, exec, exit, fd, list, what};
use crate::show::Show;

fn of(exec: Exec) -> Value {
    record(&event(2, what(exec)), &about(Show::records()))
}

/// Check the whole record of an exec: scripts rely on these names.
#[test]
fn an_exec_has_these_fields() {
    let ids = json!({ "real": 1000, "effective": 1000, "saved": 1000, "fs": 1000 });
    let fd = |number| {
        json!({
            "number": number, "path": "/dev/pts/1", "flags": 2, "cloexec": false, "offset": 0, "mount_id": 25, "inode": 4,
        })
    };
    let expected = json!({
        "event": "exec", "id": 2, "parent": null, "boot_ns": 1_500_000_000, "wall_ns": 1_500_000_000,
        "pid": 7, "tgid": 7, "ppid": 1, "namespace_pids": [7],
        "call": "execve", "dirfd": null, "flags": null, "abi": "native", "errno": 0, "error": null,
        "comm": "sh", "filename": "/usr/bin/true", "argv": ["true", "a b"],
        "env": ["PATH=/usr/bin", "HOME=/root"],
        "env_diff": { "added": [], "changed": [], "removed": [], "extra": [], "reordered": false },
        "interpreter": [], "cwd": "/home/me", "fds": [fd(0), fd(1), fd(2)], "fd_diff": [],
        "credentials": { "uid": ids, "gid": ids, "groups": [27, 1000] },
        "cgroup": "/user.slice/a", "absent": {}, "cut": {},
    });
    assert_eq!(of(exec(7)), expected);
}

/// Check that the same names are there when nothing could be read, each with the reason.
#[test]
fn what_is_absent_is_null_with_the_reason() {
    let bare = of(bare_exec(7, Absent::Unreadable(13)));
    let whole = of(exec(7));
    let names = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&bare), names(&whole));
    let fields = [
        "namespace_pids",
        "comm",
        "filename",
        "argv",
        "env",
        "env_diff",
        "interpreter",
        "cwd",
        "fds",
        "fd_diff",
        "credentials",
        "cgroup",
    ];
    for field in fields {
        assert_eq!(bare[field], Value::Null, "{field}");
        assert_eq!(bare["absent"][field], "unreadable: EACCES", "{field}");
    }
    assert_eq!(bare["absent"].as_object().map(serde_json::Map::len), Some(fields.len()));
}

/// Check that what is not whole says so under its name, down to the path of a single file.
#[test]
fn what_is_cut_says_why() {
    let mut exec = exec(7);
    exec.argv.as_mut().expect("the sample has it").cut = Some(Cut::TooLong);
    exec.env.as_mut().expect("the sample has it").cut = Some(Cut::NotResident);
    exec.cwd.as_mut().expect("the sample has it").cut = Some(Cut::Lost);
    exec.credentials.as_mut().expect("the sample has it").groups.cut = Some(Cut::TooLong);
    let fds = exec.fds.as_mut().expect("the sample has it");
    fds.cut = Some(Cut::Unreadable(14));
    fds.items[1].path.as_mut().expect("the sample has it").cut = Some(Cut::TooLong);
    fds.items[2].inode = Err(Absent::NotSeen("ino"));
    let record = of(exec);
    let expected = json!({
        "argv": "too_long", "env": "not_resident", "env_diff": "not_resident", "cwd": "lost",
        "credentials.groups": "too_long", "fds": "unreadable: EFAULT", "fd_diff": "unreadable: EFAULT",
        "fds.1.path": "too_long",
    });
    assert_eq!(record["cut"], expected);
    assert_eq!(record["env_diff"]["removed"], Value::Null);
    assert_eq!(record["absent"], json!({ "fds.2.inode": "not_seen: ino" }));
}

/// Check that bytes which are not UTF-8 are marked, and strings are not.
#[test]
fn what_is_not_utf8_is_hex() {
    let mut exec = exec(7);
    exec.argv = Ok(list(&["\u{fc}\n".as_bytes(), b"\xff\x00z", b""]));
    assert_eq!(of(exec)["argv"], json!(["\u{fc}\n", { "hex": "ff007a" }, ""]));
}

/// Check a failed execveat of another ABI.
#[test]
fn a_failure_has_its_name() {
    let mut exec = exec(7);
    (exec.errno, exec.abi) = (2, Abi::X32);
    exec.call = Call::Execveat { dirfd: -100, flags: 0x1000 };
    let record = of(exec);
    let fields = ["call", "dirfd", "flags", "abi", "errno", "error"].map(|name| record[name].clone());
    assert_eq!(json!(fields), json!(["execveat", -100, 4096, "x32", 2, "ENOENT"]));
}

/// Check the differences from the baseline, and that a redacted value is nowhere in the record.
#[test]
fn differences_are_shown_without_secrets() {
    let mut exec = exec(7);
    exec.env = Ok(list(&["PATH=/bin", "MY_TOKEN=hunter2", "MY_TOKEN=hunter2", "junk"]));
    exec.fds.as_mut().expect("the sample has it").items[1] = fd(1, "/tmp/log");
    exec.fds.as_mut().expect("the sample has it").items.pop();
    let set = GlobSet::builder().add(Glob::new("*TOKEN*").expect("a glob")).build().expect("a set");
    let about = About { redact: Redact(set), ..about(Show::records()) };
    let record = record(&event(1, what(exec)), &about);
    let diff = json!({
        "added": ["MY_TOKEN=<redacted>"], "changed": ["PATH=/bin"], "removed": ["HOME"],
        "extra": ["MY_TOKEN=<redacted>", "junk"], "reordered": false,
    });
    assert_eq!(record["env_diff"], diff);
    assert!(!record.to_string().contains("hunter2"));
    let fds = json!([
        { "number": 1, "was": "/dev/pts/1", "now": "/tmp/log", "closed": false },
        { "number": 2, "was": "/dev/pts/1", "now": null, "closed": true },
    ]);
    assert_eq!(record["fd_diff"], fds);
}

/// Check that what was collected only for another item is not shown.
#[test]
fn a_hidden_item_is_not_shown() {
    let about = about(Show::only(&[Item::EnvDiff, Item::FdDiff]));
    let record = record(&event(1, what(exec(7))), &about);
    assert_eq!(record["absent"], json!({ "env": "not_asked", "fds": "not_asked" }));
    assert!(record["env_diff"].is_object() && record["fd_diff"].is_array());
}

/// Check the records of other events.
#[test]
fn other_events_have_these_fields() {
    let about = about(Show::records());
    let of = |what| {
        let mut event = event(9, what);
        event.parent = Some(Parent { id: 4, relation: Relation::Child });
        record(&event, &about)
    };
    let common = json!({
        "id": 9, "parent": { "id": 4, "relation": "child" }, "boot_ns": 1_500_000_000, "wall_ns": 1_500_000_000,
    });
    let with = |mut record: Value| {
        record.as_object_mut().expect("an object").extend(common.as_object().expect("an object").clone());
        record
    };
    assert_eq!(of(child(7, 8)), with(json!({ "event": "child", "parent_tgid": 7, "tgid": 8 })));
    let exited = json!({
        "event": "exit", "tgid": 8, "code": 3, "signal": null, "signal_name": null, "core_dumped": null,
    });
    assert_eq!(of(exit(8, 3)), with(exited));
    let killed = json!({
        "event": "exit", "tgid": 8, "code": null, "signal": 9, "signal_name": "SIGKILL", "core_dumped": true,
    });
    assert_eq!(of(What::Exit(Exit { tgid: 8, end: End::Signal { number: 9, core: true } })), with(killed));
    let lost = Lost { execs: 1, others: 2, untracked: 3 };
    assert_eq!(of(What::Lost(lost)), with(json!({ "event": "lost", "execs": 1, "others": 2, "untracked": 3 })));
    assert_eq!(of(What::Warning("w".into())), with(json!({ "event": "warning", "text": "w" })));
}

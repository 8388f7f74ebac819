//! What the kernel side says of a process is what `/proc` says, while that process waits for its exec.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rstest::rstest;
use serial_test::serial;

use crate::ebpf::start;
use crate::event::{Credentials, Cut, Exec, Fd, Field, Ids, List, Text, What};
use crate::options::{Collect, Options, Target};

mod zoo;
use zoo::{Animal, Waiting};

/// Traces the exec of a process that waits for it, in the best tier that this kernel has.
fn trace(waiting: Waiting) -> Exec {
    let collect = Collect { argv: false, env: false, interpreter: false, ..Collect::default() };
    let target = Target::Processes(vec![waiting.pid]);
    let running = start(&target, &Options { collect, ..Options::default() }).expect("starts");
    let pid = waiting.pid;
    waiting.finish();
    let exec = running.observed.iter().find_map(|observed| match observed.what {
        What::Exec(exec) if exec.tgid == pid => Some(exec),
        _ => None,
    });
    (running.stop)();
    // Until the backend has ended, it may wait for somebody to take what happened.
    drop(running.observed);
    running.thread.join().expect("no panic").expect("no error");
    *exec.expect("its exec is seen")
}

/// A directory for an animal to live in.
fn home() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("tracer-zoo").tempdir().expect("a directory")
}

fn whole(bytes: &[u8]) -> Field<Text> {
    Ok(Text { bytes: bytes.to_vec(), cut: None })
}

fn link(path: impl AsRef<Path>) -> Field<Text> {
    let path = path.as_ref();
    let target = fs::read_link(path).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
    whole(target.as_os_str().as_bytes())
}

/// What `/proc` says of the open files.
fn proc_fds(proc: &Path) -> Vec<Fd> {
    let numbers = fs::read_dir(proc.join("fd")).expect("it lives");
    let numbers: BTreeMap<u32, PathBuf> = numbers
        .map(|entry| entry.expect("readable").path())
        .map(|path| (path.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("a number"), path))
        .collect();
    let fd = |(number, path): (u32, PathBuf)| {
        let info = fs::read_to_string(proc.join(format!("fdinfo/{number}"))).expect("it is open");
        let value = |key: &str| info.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t")).map(str::trim);
        let flags = u32::from_str_radix(value("flags").expect("there"), 8).expect("octal");
        // fdinfo has the inode since 5.14.
        let inode = value("ino").map(|ino| ino.parse().expect("a number"));
        Fd {
            number,
            path: link(&path),
            flags: flags & !0o2_000_000,
            cloexec: flags & 0o2_000_000 != 0,
            offset: value("pos").expect("there").parse::<i64>().expect("a number").cast_unsigned(),
            mount_id: value("mnt_id").expect("there").parse().expect("a number"),
            inode: Ok(inode.unwrap_or_else(|| fs::metadata(&path).expect("it is open").ino())),
        }
    };
    numbers.into_iter().map(fd).collect()
}

/// What `/proc` says of the credentials.
fn proc_credentials(proc: &Path) -> Credentials {
    let status = fs::read_to_string(proc.join("status")).expect("it lives");
    let numbers = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).expect("a line of it");
        line.split_whitespace().map(|number| number.parse().expect("a number")).collect::<Vec<u32>>()
    };
    let ids = |key| match numbers(key)[..] {
        [real, effective, saved, fs] => Ids { real, effective, saved, fs },
        ref other => panic!("{other:?}"),
    };
    Credentials { uid: ids("Uid"), gid: ids("Gid"), groups: List { items: numbers("Groups"), cut: None } }
}

fn proc_cgroup(proc: &Path) -> Field<Text> {
    let groups = fs::read_to_string(proc.join("cgroup")).expect("it lives");
    let path = groups.lines().find_map(|line| line.strip_prefix("0::")).expect("a cgroup of version 2");
    whole(path.as_bytes())
}

#[track_caller]
fn assert_same_fds(seen: &Field<List<Fd>>, expected: &[Fd]) {
    let List { items, cut } = seen.as_ref().expect("there");
    assert_eq!(*cut, None);
    for (seen, expected) in items.iter().zip(expected) {
        assert_eq!(seen, expected, "\nseen {}", path_of(seen));
    }
    assert_eq!(items.len(), expected.len());
}

fn path_of(fd: &Fd) -> String {
    fd.path.as_ref().map_or_else(|err| format!("{err:?}"), |path| String::from_utf8_lossy(&path.bytes).into_owned())
}

/// Check that one of each kind of descriptor is described as `/proc` does it: path, flags, position, mount, inode; that
/// of a table of a million all are found; and that beyond the limit the list is marked.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn open_files_are_as_proc_shows_them() {
    for animal in [Animal::Collector, Animal::Jumper] {
        let home = home();
        let waiting = Waiting::start(animal, home.path());
        let expected = proc_fds(&waiting.proc);
        assert!(expected.len() >= 5, "{expected:?}");
        assert_same_fds(&trace(waiting).fds, &expected);
    }
    let home = home();
    let waiting = Waiting::start(Animal::Hoarder, home.path());
    let expected = proc_fds(&waiting.proc);
    let seen = trace(waiting).fds.expect("there");
    assert_eq!((seen.items.len(), seen.cut), (1_024, Some(Cut::TooLong)));
    assert_eq!(seen.items, expected[..1_024]);
}

/// Check that the working directory has the path that `/proc` shows: deep, across mounts, deleted, in a chroot, on a mount
/// that is nowhere any more; and the path that there is where `/proc` has none, because it is too long.
#[rstest]
#[case::diver(Animal::Diver)]
#[case::homeless(Animal::Homeless)]
#[case::caged(Animal::Caged)]
#[case::adrift(Animal::Adrift)]
#[case::abyssal(Animal::Abyssal)]
#[ignore = "root: loads BPF programs"]
#[serial]
fn the_working_directory_is_as_proc_shows_it(#[case] animal: Animal) {
    let home = home();
    let waiting = Waiting::start(animal, home.path());
    let fds = proc_fds(&waiting.proc);
    let (expected, ending) = if animal == Animal::Abyssal {
        let path = format!("{}{}", home.path().display(), format!("/{}", "x".repeat(255)).repeat(30));
        (whole(path.as_bytes()), "x")
    } else {
        let ending = match animal {
            Animal::Homeless => "/parent/child (deleted)",
            Animal::Caged => "/bin",
            Animal::Adrift => "/beach",
            _ => "/eleven byte/eleven byte",
        };
        (link(waiting.proc.join("cwd")), ending)
    };
    let seen = trace(waiting);
    assert_eq!(seen.cwd, expected);
    assert!(expected.expect("there").bytes.ends_with(ending.as_bytes()), "{:?}", seen.cwd);
    assert_same_fds(&seen.fds, &fds);
}

/// Check that all ids and groups are those of `/proc` when an exec fails; that they are those of the new program when it
/// succeeds; and that beyond the limit the groups are marked.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn credentials_are_those_at_the_end_of_the_exec() {
    let home = home();
    let waiting = Waiting::start(Animal::Chameleon, home.path());
    let expected = proc_credentials(&waiting.proc);
    assert_eq!(expected.uid, Ids { real: 1_001, effective: 1_002, saved: 1_003, fs: 1_003 });
    assert_eq!(expected.gid, Ids { real: 2_001, effective: 2_002, saved: 2_003, fs: 2_004 });
    assert_eq!(expected.groups.items.len(), 100);
    assert_eq!(trace(waiting).credentials.as_ref(), Ok(&expected));

    // Saved and file system ids become the effective ones.
    let seen = trace(Waiting::start(Animal::Disguised, home.path())).credentials.expect("there");
    assert_eq!(seen.uid, Ids { real: 1_001, effective: 1_002, saved: 1_002, fs: 1_002 });
    assert_eq!(seen.gid, Ids { real: 2_001, effective: 2_002, saved: 2_002, fs: 2_002 });
    assert_eq!(seen.groups, expected.groups);

    let seen = trace(Waiting::start(Animal::Sociable, home.path())).credentials.expect("there");
    assert_eq!(seen.groups, List { items: (0..1_024).collect(), cut: Some(Cut::TooLong) });
}

/// Check that the cgroup is the one of `/proc`: the root, and one deep down.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn the_cgroup_is_as_proc_shows_it() {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
    let mount = mounts.lines().find_map(|line| line.split(' ').nth(1).filter(|_| line.contains(" cgroup2 ")));
    let root = Path::new(mount.expect("version 2 is mounted")).join(format!("tracer-test-{}", std::process::id()));
    let mut path = root.clone();
    fs::create_dir(&path).expect("root may");
    for name in ["deep", &"n".repeat(200), "deeper"] {
        path.push(name);
        fs::create_dir(&path).expect("root may");
    }
    let waiting = Waiting::start(Animal::Herded, &path);
    let expected = proc_cgroup(&waiting.proc);
    let seen = trace(waiting).cgroup;
    assert!(expected.as_ref().is_ok_and(|path| path.bytes.ends_with(b"n/deeper")), "{expected:?}");
    for path in path.ancestors().take(4) {
        fs::remove_dir(path).expect("empty");
    }
    assert_eq!(seen, expected);

    let home = home();
    let waiting = Waiting::start(Animal::Homeless, home.path());
    let expected = proc_cgroup(&waiting.proc);
    assert_eq!(trace(waiting).cgroup, expected);
}

/// Check that a process in nested pid namespaces has its id in each, and one in the initial one alone has one.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn process_ids_are_those_of_each_namespace() {
    let home = home();
    for animal in [Animal::Nested, Animal::Homeless] {
        let waiting = Waiting::start(animal, home.path());
        // Of the process, not of the thread.
        let status = fs::read_to_string(format!("/proc/{}/status", waiting.pid)).expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).expect("there");
        let expected: Vec<u32> = line.split_whitespace().map(|number| number.parse().expect("a number")).collect();
        assert_eq!(expected.len(), if animal == Animal::Nested { 3 } else { 1 });
        assert_eq!(trace(waiting).namespace_pids, Ok(expected));
    }
}

//! What the kernel side says of a process is what `/proc` says, while that process waits for its exec.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::libc;
use serial_test::serial;

use crate::ebpf::start;
use crate::event::{Absent, Credentials, Cut, Exec, Fd, Field, Ids, List, Text, What};
use crate::options::{Collect, Options, Target};

mod zoo;
use zoo::{Animal, Waiting};

/// Traces the execs of processes that wait for them, in the best tier that this kernel has. All in one trace, because
/// loading the programs is most of what a test costs in a guest.
fn trace<const N: usize>(waiting: [Waiting; N]) -> [Exec; N] {
    let collect = Collect { argv: false, env: false, interpreter: false, ..Collect::default() };
    let target = Target::Processes(waiting.iter().map(|waiting| waiting.pid).collect());
    let mut running = start(&target, &Options { collect, ..Options::default() }).expect("starts");
    let execs = waiting.map(|waiting| {
        let pid = waiting.pid;
        waiting.finish();
        let exec = running.observed.find_map(|observed| match observed.what {
            What::Exec(exec) if exec.tgid == pid => Some(exec),
            _ => None,
        });
        *exec.expect("its exec is seen")
    });
    (running.stop)();
    // Until the backend has ended, it may wait for somebody to take what happened.
    drop(running.observed);
    running.thread.join().expect("no panic").expect("no error");
    execs
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
        let value =
            |key: &str| info.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t")).map(str::trim);
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
    let animals = [Animal::Collector, Animal::Jumper, Animal::Hoarder].map(|animal| (animal, home()));
    let waiting = animals.each_ref().map(|(animal, home)| Waiting::start(*animal, home.path()));
    let expected = waiting.each_ref().map(|waiting| proc_fds(&waiting.proc));
    let [collector, jumper, hoarder] = trace(waiting).map(|exec| exec.fds);
    assert!(expected[0].len() > 40 && expected[1].len() >= 5, "{expected:?}");
    assert_same_fds(&collector, &expected[0]);
    assert_same_fds(&jumper, &expected[1]);
    let cut = List { items: expected[2][..1_024].to_vec(), cut: Some(Cut::TooLong) };
    assert_eq!(hoarder, Ok(cut));
}

/// Check that the working directory has the path that `/proc` shows: deep, across mounts, deleted, in a chroot, on a mount
/// that is nowhere any more, moved out of its mount; and the path that there is where `/proc` has none, because it is too
/// long, but for one of more names than are sent.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn the_working_directory_is_as_proc_shows_it() {
    let cases = [
        (Animal::Diver, "/eleven byte/eleven byte"),
        (Animal::Homeless, "/parent/child (deleted)"),
        (Animal::Caged, "/bin"),
        (Animal::Adrift, "/beach"),
        (Animal::Evicted, "/"),
        (Animal::Bottomless, "/d"),
        (Animal::Abyssal, "/xxx"),
    ];
    let cases = cases.map(|(animal, ending)| (animal, home(), ending));
    let waiting = cases.each_ref().map(|(animal, home, _)| Waiting::start(*animal, home.path()));
    let expected = waiting.each_ref().map(|waiting| (fs::read_link(waiting.proc.join("cwd")), proc_fds(&waiting.proc)));
    for ((seen, (cwd, fds)), (animal, home, ending)) in trace(waiting).into_iter().zip(expected).zip(&cases) {
        let cwd = cwd.map_err(|err| err.raw_os_error());
        if *animal == Animal::Bottomless {
            assert_eq!(cwd, Err(Some(libc::ENAMETOOLONG)));
            assert_eq!(seen.cwd, Err(Absent::Unreadable(libc::ENAMETOOLONG)));
        } else if *animal == Animal::Abyssal {
            assert_eq!(cwd, Err(Some(libc::ENAMETOOLONG)));
            let path = format!("{}{}", home.path().display(), format!("/{}", "x".repeat(255)).repeat(30));
            assert_eq!(seen.cwd, whole(path.as_bytes()));
        } else {
            let cwd = cwd.expect("readable");
            assert!(cwd.as_os_str().as_bytes().ends_with(ending.as_bytes()), "{animal:?}: {}", cwd.display());
            assert_eq!(seen.cwd, whole(cwd.as_os_str().as_bytes()), "{animal:?}");
        }
        assert_same_fds(&seen.fds, &fds);
    }
}

/// Check that all ids and groups are those of `/proc` when an exec fails; that they are those of the new program when it
/// succeeds; and that beyond the limit the groups are marked. That the cgroup is the one of `/proc`: the root, and one
/// deep down. That a process in nested pid namespaces has its id in each, and one in the initial one alone has one.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn who_a_process_is_is_as_proc_shows_it() {
    let herd = Herd::new();
    let animals = [Animal::Chameleon, Animal::Disguised, Animal::Sociable, Animal::Nested, Animal::Homeless];
    let animals = animals.map(|animal| (animal, home()));
    let [chameleon, disguised, sociable, nested, homeless] =
        animals.each_ref().map(|(animal, home)| Waiting::start(*animal, home.path()));
    let herded = Waiting::start(Animal::Herded, &herd.path);

    let expected = proc_credentials(&chameleon.proc);
    assert_eq!(expected.uid, Ids { real: 1_001, effective: 1_002, saved: 1_003, fs: 1_003 });
    assert_eq!(expected.gid, Ids { real: 2_001, effective: 2_002, saved: 2_003, fs: 2_004 });
    assert_eq!(expected.groups.items.len(), 100);
    let cgroups = [&herded, &homeless].map(|waiting| proc_cgroup(&waiting.proc));
    assert!(cgroups[0].as_ref().is_ok_and(|path| path.bytes.ends_with(b"n/deeper")), "{cgroups:?}");
    let pids = [&nested, &homeless].map(|waiting| proc_namespace_pids(waiting.pid));
    assert_eq!(pids.each_ref().map(Vec::len), [3, 1]);

    let [chameleon, disguised, sociable, nested, homeless, herded] =
        trace([chameleon, disguised, sociable, nested, homeless, herded]);
    assert_ne!(chameleon.errno, 0);
    assert_eq!(chameleon.credentials.as_ref(), Ok(&expected));
    // Saved and file system ids become the effective ones.
    let disguised = disguised.credentials.expect("there");
    assert_eq!(disguised.uid, Ids { real: 1_001, effective: 1_002, saved: 1_002, fs: 1_002 });
    assert_eq!(disguised.gid, Ids { real: 2_001, effective: 2_002, saved: 2_002, fs: 2_002 });
    assert_eq!(disguised.groups, expected.groups);
    let groups = sociable.credentials.expect("there").groups;
    assert_eq!(groups, List { items: (0..1_024).collect(), cut: Some(Cut::TooLong) });
    assert_eq!([herded.cgroup, homeless.cgroup], cgroups);
    assert_eq!([nested.namespace_pids, homeless.namespace_pids], pids.map(Ok));
}

/// What `/proc` says of a process's ids. Of the process, not of a thread.
fn proc_namespace_pids(pid: u32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).expect("there");
    line.split_whitespace().map(|number| number.parse().expect("a number")).collect()
}

/// A cgroup deep below others, of which one has a long name.
struct Herd {
    path: PathBuf,
}

/// The cgroups with that.
const HERD_LEVELS: usize = 24;

impl Herd {
    fn new() -> Self {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
        let mount = mounts.lines().find_map(|line| line.split(' ').nth(1).filter(|_| line.contains(" cgroup2 ")));
        let root = Path::new(mount.expect("version 2 is mounted")).join(format!("tracer-test-{}", std::process::id()));
        let path = root.join("deep/".repeat(HERD_LEVELS - 3)).join("n".repeat(200)).join("deeper");
        fs::create_dir_all(&path).expect("root may");
        Self { path }
    }
}

impl Drop for Herd {
    fn drop(&mut self) {
        for path in self.path.ancestors().take(HERD_LEVELS) {
            // OK because a test that fails may leave a process in it.
            let _ = fs::remove_dir(path);
        }
    }
}

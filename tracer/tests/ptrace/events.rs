//! What an event has, field by field.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rstest::rstest;
use tracer::event::{Abi, Absent, Call, End, Relation};
use tracer::options::{Collect, Options};

use crate::common::*;

/// Check an exec in all its fields, and that of the command itself.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
fn an_exec_has_all_its_fields(#[case] way: Way) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().canonicalize().expect("it is there");
    fs::write(path.join("in"), "0123456789").expect("written");
    let script = format!(
        "cd {}; export ADDED='x y'; exec 3<in 4>>out; read line <&3; /bin/true '' 'b c' \"$(printf '\\377')\"; exit 3",
        path.display()
    );
    let traced = way.sh(&script);
    traced.is_complete();
    assert_eq!(traced.code(), Some(3));
    let shell = traced.only(SH);
    assert_eq!(argv(shell), [SH, "-c", &script]);
    assert_eq!(shell.ppid, std::process::id());
    let exec = traced.only("/bin/true");
    let items = &exec.argv.as_ref().expect("argv").items;
    assert_eq!(*items, [b"/bin/true".to_vec(), b"".to_vec(), b"b c".to_vec(), b"\xff".to_vec()]);
    assert_eq!((exec.ppid, exec.pid, exec.errno), (shell.tgid, exec.tgid, 0));
    assert_eq!((exec.call, exec.abi), (Call::Execve, Abi::Native));
    assert_eq!(exec.comm.as_deref(), Ok(b"sh".as_slice()));
    assert_eq!(exec.interpreter, Ok(vec![]));
    assert_eq!(exec.cwd.as_ref().expect("cwd").bytes, path.as_os_str().as_encoded_bytes());
    let env = strings(exec.env.as_ref().expect("env"));
    assert!(env.contains(&"ADDED=x y".to_owned()), "{env:?}");
    assert_eq!(exec.namespace_pids.as_ref().expect("pids")[0], exec.tgid);

    let fds = &exec.fds.as_ref().expect("fds").items;
    let fd = |number| fds.iter().find(|fd| fd.number == number).unwrap_or_else(|| panic!("no {number} in {fds:?}"));
    let (read, append) = (fd(3), fd(4));
    assert_eq!(read.path.as_ref().expect("path").bytes, path.join("in").as_os_str().as_encoded_bytes());
    let flags = |flags: u32| flags.cast_signed() & (nix::libc::O_ACCMODE | nix::libc::O_APPEND);
    assert_eq!((flags(read.flags), read.cloexec), (nix::libc::O_RDONLY, false));
    assert_eq!(flags(append.flags), nix::libc::O_WRONLY | nix::libc::O_APPEND);
    assert_eq!(read.inode, Ok(fs::metadata(path.join("in")).expect("there").ino()));
    // The shell may read more than the line that is not there; the position is at the end either way.
    assert_eq!(read.offset, 10);

    let credentials = exec.credentials.as_ref().expect("credentials");
    let (uid, gid) = (nix::unistd::getuid().as_raw(), nix::unistd::getegid().as_raw());
    assert_eq!((credentials.uid.real, credentials.uid.fs, credentials.gid.effective), (uid, uid, gid));
    let groups: Vec<u32> = nix::unistd::getgroups().expect("groups").into_iter().map(|group| group.as_raw()).collect();
    let mut theirs = credentials.groups.items.clone();
    theirs.sort_unstable();
    assert_eq!(theirs, {
        let mut groups = groups;
        groups.sort_unstable();
        groups
    });
    let own = fs::read_to_string("/proc/self/cgroup").expect("readable");
    let own = own.lines().find_map(|line| line.strip_prefix("0::"));
    assert_eq!(exec.cgroup.as_ref().ok().map(|text| text.bytes.as_slice()), own.map(str::as_bytes));
}

/// Check the order and the parents of a process's events: it is made, executes, and ends.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
fn a_process_is_made_executes_and_ends(#[case] way: Way) {
    let traced = way.sh("/bin/sh -c 'kill -9 $$'; exit 0");
    traced.is_complete();
    let inner = traced.execs().nth(1).expect("two execs");
    let at = |wanted: &dyn Fn(&tracer::event::What) -> bool| {
        traced.events.iter().position(|event| wanted(&event.what)).expect("an event")
    };
    use tracer::event::What;
    let made = at(&|what| matches!(what, What::Child(child) if child.tgid == inner.tgid));
    let executed = at(&|what| matches!(what, What::Exec(exec) if exec.tgid == inner.tgid));
    let ended = at(&|what| matches!(what, What::Exit(exit) if exit.tgid == inner.tgid));
    assert!(made < executed && executed < ended, "{made} {executed} {ended}");
    let parent = traced.events[executed].parent.expect("a parent");
    assert_eq!((parent.id, parent.relation), (traced.events[0].id, Relation::Child));
    let end = traced.exits().find(|exit| exit.tgid == inner.tgid).expect("it ended").end;
    assert_eq!(end, End::Signal { number: 9, core: false });
    assert!(traced.events.is_sorted_by_key(|event| event.time.boot));
}

/// Check that only what is asked for is read.
#[test]
fn what_is_not_asked_for_is_not_there() {
    let none = Collect {
        namespace_pids: false,
        argv: false,
        env: false,
        interpreter: false,
        cwd: false,
        fds: false,
        credentials: false,
        cgroup: false,
    };
    let traced = traced(launch(&["/bin/true"]), Options { collect: none, ..Way::Filter.options() });
    let exec = traced.only("/bin/true");
    assert_eq!((exec.argv.clone(), exec.env.clone()), (Err(Absent::NotAsked), Err(Absent::NotAsked)));
    assert_eq!((exec.interpreter.clone(), exec.cwd.clone()), (Err(Absent::NotAsked), Err(Absent::NotAsked)));
    assert_eq!((exec.fds.clone(), exec.credentials.clone()), (Err(Absent::NotAsked), Err(Absent::NotAsked)));
    assert_eq!((exec.cgroup.clone(), exec.namespace_pids.clone()), (Err(Absent::NotAsked), Err(Absent::NotAsked)));
}

/// Check that a script's interpreters are told from its arguments, two levels deep, and that one whose interpreter is
/// missing fails without any.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
fn a_script_has_its_interpreters(#[case] way: Way) {
    let dir = tempfile::tempdir().expect("a directory");
    let script = |name: &str, first: &str| {
        let path = dir.path().join(name);
        fs::write(&path, format!("#!{first}\nexit 0\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
        path.to_str().expect("UTF-8").to_owned()
    };
    let inner = script("inner", "/bin/sh -e");
    let outer = script("outer", &inner);
    let broken = script("broken", "/no/such/interpreter");
    let traced = way.sh(&format!("{outer} a b; {broken} c; {inner}"));
    let exec = traced.only(&outer);
    assert_eq!(argv(exec), [outer.as_str(), "a", "b"]);
    let words: Vec<_> = exec.interpreter.iter().flatten().map(|word| String::from_utf8_lossy(word)).collect();
    assert_eq!(words, ["/bin/sh", "-e", inner.as_str()]);
    let exec = traced.only(&inner);
    assert_eq!(exec.interpreter.as_ref().map(Vec::len), Ok(2));
    let exec = traced.only(&broken);
    assert_eq!((exec.errno, &exec.interpreter), (nix::libc::ENOENT, &Err(Absent::NotApplicable)));
    assert_eq!(argv(exec), [broken.as_str(), "c"]);
}

/// Check large argvs: many words, and one word as long as the kernel takes.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
fn a_large_argv_is_whole(#[case] way: Way) {
    let traced = way.sh("w=0123456789abcdef; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do w=$w$w; done
        /bin/true $(seq 200000); /bin/true ${w%?} ${w%?}; /bin/true $w");
    let execs: Vec<_> = traced.execs().filter(|exec| filename(exec) == "/bin/true").collect();
    let (many, long, longer) = (execs[0], execs[1], execs[2]);
    let words = argv(many);
    assert_eq!((words.len(), words[200_000].as_str()), (200_001, "200000"));
    assert_eq!(argv(long).iter().map(String::len).collect::<Vec<_>>(), [9, 131_071, 131_071]);
    assert_eq!(longer.errno, nix::libc::E2BIG);
    // One byte more than the kernel takes is still read: what it refused can be seen.
    let whole = longer.argv.as_ref().expect("argv");
    assert_eq!((whole.items[1].len(), whole.cut), (131_072, None));
}

/// Check a working directory that is no more.
#[test]
fn a_deleted_working_directory_is_shown_as_such() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().canonicalize().expect("it is there");
    let traced = Way::Filter.sh(&format!("mkdir {0}/d; cd {0}/d; rmdir {0}/d; /bin/true", path.display()));
    let cwd = traced.only("/bin/true").cwd.as_ref().expect("cwd").bytes.clone();
    assert_eq!(String::from_utf8_lossy(&cwd), format!("{}/d (deleted)", path.display()));
}

/// Check an argv without a single word: new kernels make it one of an empty word.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
fn an_argv_without_words_is_the_kernels(#[case] way: Way) {
    let traced = way.program("no-argv");
    let exec = traced.only("/bin/true");
    let words = argv(exec);
    assert!(words.is_empty() || words == [""], "{words:?}");
    assert_eq!(strings(exec.env.as_ref().expect("env")), [""; 0]);
}

/// Check that words in memory that is not resident are there: the tracer can wait for it.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
fn words_that_are_not_resident_are_read(#[case] way: Way) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("cold");
    fs::write(&file, "from a file\0").expect("written");
    let traced = way.program(&format!("cold-argv {}", file.display()));
    assert_eq!(argv(traced.only("/bin/true")), ["first", "from a file"]);
}

/// Check execveat: of a file in memory, of a path from a directory, and one that is not allowed.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
fn execveat_has_its_directory_and_flags(#[case] way: Way) {
    let traced = way.program("memfd");
    let exec = traced.execs().last().expect("an exec");
    // What the kernel says of it is what it says without a tracer.
    let untraced = crate::program::command("memfd").status().expect("starts");
    assert_eq!((traced.summary.status, Some(exec.errno)), (Some(untraced), untraced.code()));
    assert_eq!((filename(exec).as_str(), argv(exec)), ("", vec!["true".to_owned(), "in memory".to_owned()]));
    let Call::Execveat { dirfd, flags } = exec.call else { panic!("{exec:?}") };
    assert_eq!(flags, nix::libc::AT_EMPTY_PATH);
    let fds = &exec.fds.as_ref().expect("fds").items;
    let fd = fds.iter().find(|fd| fd.number == dirfd.cast_unsigned()).expect("it is open");
    assert_eq!(
        (fd.path.as_ref().expect("path").bytes.as_slice(), fd.cloexec),
        (b"/memfd:named (deleted)".as_slice(), true)
    );

    let traced = way.program("execveat 0");
    let exec = traced.only("true");
    assert!(matches!(exec.call, Call::Execveat { flags: 0, .. }), "{exec:?}");
    let traced = way.program("execveat 1");
    assert_eq!(traced.only("true").errno, nix::libc::EINVAL);
}

/// Check that a question whether an exec would be allowed, which replaces nothing, is an exec with its words.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
fn a_check_is_an_exec_that_replaces_nothing(#[case] way: Way) {
    let traced = way.program("check");
    let exec = traced.only("/bin/true");
    // Kernels before 6.14 do not know the flag.
    let errno = traced.code().expect("it ends by itself");
    assert!([0, nix::libc::EINVAL].contains(&errno), "{errno}");
    assert_eq!((exec.errno, argv(exec)), (errno, vec!["true".to_owned(), "asked".to_owned()]));
}

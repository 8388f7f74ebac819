//! What the workload does, case by case; each runs in a process of its own, in a directory of its own.

use std::ffi::{CString, OsStr};
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;

use nix::libc;

#[cfg(target_arch = "x86_64")]
use crate::abi;
use crate::facts;
use crate::workload::{Call, END, Teller, WORKLOAD, fails, nowhere, own, own_path, pointers};

/// A case: its name, and what its process does.
type Case = (&'static str, fn(Teller<'_>));

/// Those of other ABIs than the machine's.
#[cfg(target_arch = "x86_64")]
const OTHER_ABIS: &[Case] = &[
    ("execve of 32 bits", |teller| abi::execve(teller, &own_path())),
    ("ENOENT of execve of 32 bits", |teller| abi::execve(teller, b"/no/such/file")),
    ("execveat of 32 bits", |teller| abi::execveat(teller, libc::AT_FDCWD, 0)),
    ("EBADF of execveat of 32 bits", |teller| abi::execveat(teller, 77, libc::AT_EMPTY_PATH)),
    ("ENOSYS of x32", abi::x32),
];
#[cfg(not(target_arch = "x86_64"))]
const OTHER_ABIS: &[Case] = &[];

/// All of them. Those behind [`NEEDS_ROOT`] need root.
const CASES: &[Case] = &[
    ("argv of no items", |teller| exec(teller, vec![])),
    ("argv of 1 item", |teller| exec(teller, vec![b"only".to_vec()])),
    ("argv of 1,000 items", |teller| exec(teller, items(1_000))),
    ("argv of 200,000 items", |teller| exec(teller, items(200_000))),
    ("a string of 128 KiB", |teller| exec(teller, vec![b"x".to_vec(), vec![b'y'; (128 << 10) - 1]])),
    ("an environment of 1 MiB", large_environment),
    ("bytes that are not UTF-8", not_utf8),
    ("empty strings and newlines", |teller| {
        exec(teller, [&b""[..], b"a\nb", b"", b" ", b"\t"].map(<[u8]>::to_vec).into())
    }),
    ("an argv page that is not resident", cold_page),
    ("open files of many kinds", open_files),
    ("a working directory 300 deep", deep_directory),
    ("a working directory that is deleted", deleted_directory),
    ("a script", |teller| script(teller, 1)),
    ("a script of a script", |teller| script(teller, 2)),
    ("a memfd by execveat", memfd),
    ("a path from a directory by execveat", from_directory),
    ("a thread that is not the leader", |teller| from_thread(teller, false)),
    ("a thread whose leader is gone", |teller| from_thread(teller, true)),
    ("vfork", vfork),
    ("an exec after an exec that failed", after_failure),
    ("ENOENT", |teller| fail(teller, b"/no/such/file")),
    ("ENOENT of an empty name", |teller| fail(teller, b"")),
    ("ENOENT with empty strings, and some of which just fit into what is read at once", |teller| {
        fail_with(teller, b"/no/such/file", vec![Vec::new(), vec![b'x'; 255], Vec::new(), vec![b'y'; 510], Vec::new()]);
    }),
    ("ENOTDIR", |teller| fail(teller, b"/proc/version/x")),
    ("ENAMETOOLONG", |teller| fail(teller, &[b"/".as_slice(), &[b'n'; 300]].concat())),
    ("EACCES", |teller| failing_file(teller, 0o644, b"#!/bin/sh\n")),
    ("ENOEXEC", |teller| failing_file(teller, 0o755, b"neither a script nor a program\n")),
    ("ELOOP", symlink_loop),
    ("E2BIG", |teller| fail_with(teller, &own_path(), vec![b"x".to_vec(), vec![b'y'; 128 << 10]])),
    ("ETXTBSY", busy),
    ("EFAULT of the path", bad_path),
    ("EFAULT of argv", bad_argv),
    ("EFAULT of argv's end", argv_without_end),
    ("EFAULT of all of argv", no_argv),
    ("E2BIG of 1,000 items", |teller| {
        fail_with(teller, &own_path(), [items(1_000), vec![vec![b'y'; 128 << 10]]].concat());
    }),
    ("a path of 4,000 bytes", long_path),
    ("a question whether it might", question),
    ("EBADF", |teller| failing_at(teller, 77, 0)),
    ("EINVAL", |teller| failing_at(teller, libc::AT_FDCWD, 0x4000_0000)),
];

/// The cases that need root.
const NEEDS_ROOT: &[Case] = &[
    ("another user", other_user),
    ("100 groups", many_groups),
    ("a set-user-ID program", set_user_id),
    ("another root directory", other_root),
    ("a working directory across mounts", across_mounts),
    ("a new pid namespace", pid_namespace),
];

/// Runs all cases, one after the other; `said` is the file that they are written to.
pub(crate) fn run(said: &Path) {
    // SAFETY: no arguments.
    let root = unsafe { libc::geteuid() } == 0;
    let home = said.parent().expect("the file is in a directory");
    for (number, (name, case)) in CASES.iter().chain(OTHER_ABIS).chain(NEEDS_ROOT.iter().filter(|_| root)).enumerate() {
        let teller = Teller { said, case: name };
        teller.child(|| {
            let directory = home.join(format!("case{number}"));
            fs::create_dir(&directory).expect("a directory");
            std::env::set_current_dir(directory).expect("a directory");
            case(teller);
        });
    }
}

/// Executes this executable with `argv`.
fn exec(teller: Teller<'_>, argv: Vec<Vec<u8>>) {
    let own = own_path();
    // From 5.18 on, the kernel makes one empty argument of none; what the caller gave are none.
    teller.exec(&Call { filename: Some(&own), argv, ..Call::default() });
}

fn items(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| (number % 10).to_string().into_bytes()).collect()
}

fn large_environment(teller: Teller<'_>) {
    let env = (0..16).map(|number| [format!("V{number}=").as_bytes(), &[b'v'; 65_000]].concat()).collect();
    teller.exec(&Call { filename: Some(&own_path()), argv: vec![b"x".to_vec()], env, ..Call::default() });
}

fn not_utf8(teller: Teller<'_>) {
    let file = [b"./".as_slice(), b"\xff\xfe"].concat();
    std::os::unix::fs::symlink(OsStr::from_bytes(&own_path()), OsStr::from_bytes(&file)).expect("a link");
    fs::create_dir(OsStr::from_bytes(b"d\x80")).expect("a directory");
    let argv = vec![b"\xff".to_vec(), (1..=255).collect()];
    std::env::set_current_dir(OsStr::from_bytes(b"d\x80")).expect("a directory");
    let file = b"../\xff\xfe";
    teller.exec(&Call { filename: Some(file), argv, env: vec![b"N=\xff\x01".to_vec()], ..Call::default() });
}

/// The string is in a file's page that nobody has touched in this process.
fn cold_page(teller: Teller<'_>) {
    fs::write("page", b"cold\0".repeat(1_000)).expect("written");
    let file = File::open("page").expect("opened");
    // SAFETY: a new private mapping of a file that is larger than a page.
    let page =
        unsafe { libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0) };
    assert_ne!(page, libc::MAP_FAILED);
    drop(file);
    let mut facts = own();
    let env = [CString::new(format!("{WORKLOAD}={END}")).expect("no NUL")];
    let path = CString::new(own_path()).expect("no NUL");
    facts.insert("call".into(), "execve".into());
    facts.insert("filename".into(), facts::bytes(path.as_bytes()));
    facts.insert("argv".into(), facts::strings(&["cold"]));
    facts.insert("env".into(), facts::strings(&[env[0].as_bytes()]));
    let argv = [page.cast_const().cast(), std::ptr::null()];
    teller.exec_raw(facts, Some(&path), &argv, &pointers(&env), None);
}

/// Pipes, sockets, an eventfd, an epoll, a namespace, a pidfd, a memfd, a deleted file, a directory; with offsets, with and
/// without O_CLOEXEC.
fn open_files(teller: Teller<'_>) {
    let mut file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open("file").expect("a file");
    file.write_all(b"0123456789").expect("written");
    file.seek(SeekFrom::Start(7)).expect("sought");
    let keep = |file: File| file.into_raw_fd();
    keep(file.try_clone().expect("a copy"));
    keep(File::open(".").expect("opened"));
    keep(File::open("/dev/null").expect("opened"));
    keep(File::open("/proc/self/ns/mnt").expect("opened"));
    keep(OpenOptions::new().append(true).open("file").expect("opened"));
    let deleted = File::create("deleted").expect("a file");
    fs::remove_file("deleted").expect("removed");
    keep(deleted);
    // SAFETY: none of the calls takes a pointer but to arrays and strings that live.
    unsafe {
        let mut ends = [0; 2];
        libc::pipe2(ends.as_mut_ptr(), 0);
        libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, ends.as_mut_ptr());
        libc::eventfd(1, libc::EFD_CLOEXEC);
        libc::epoll_create1(0);
        libc::memfd_create(c"of memory".as_ptr(), 0);
        libc::syscall(libc::SYS_pidfd_open, process::id(), 0);
        // A gap, and a number in another word of the table.
        libc::dup2(0, 200);
    }
    exec(teller, vec![b"files".to_vec()]);
}

fn deep_directory(teller: Teller<'_>) {
    descend(300);
    exec(teller, vec![b"deep".to_vec()]);
}

fn descend(depth: usize) {
    for _ in 0..depth {
        fs::create_dir("ten-bytes-").expect("a directory");
        std::env::set_current_dir("ten-bytes-").expect("a directory");
    }
}

fn deleted_directory(teller: Teller<'_>) {
    let here = std::env::current_dir().expect("a directory").join("gone");
    fs::create_dir(&here).expect("a directory");
    std::env::set_current_dir(&here).expect("a directory");
    fs::remove_dir(&here).expect("removed");
    exec(teller, vec![b"deleted".to_vec()]);
}

/// `levels` scripts, each the interpreter of the next, the innermost with this executable as its own.
fn script(teller: Teller<'_>, levels: usize) {
    let mut interpreter = own_path();
    let mut words: Vec<Vec<u8>> = Vec::new();
    let here = std::env::current_dir().expect("a directory");
    for level in 0..levels {
        let path = here.join(format!("script{level}"));
        let argument = format!("argument {level}").into_bytes();
        executable(&path, &[b"#!", &interpreter[..], b" ", &argument, b"\n"].concat(), 0o755);
        words = [vec![std::mem::take(&mut interpreter), argument], words].concat();
        interpreter = path.as_os_str().as_bytes().to_vec();
    }
    let argv = vec![b"argv zero".to_vec(), b"one".to_vec()];
    // The kernel puts the outermost interpreter first: the program, then the script that it interprets, and so on.
    let differs = vec![("interpreter", facts::strings(&in_kernel_order(&words)))];
    teller.exec(&Call { filename: Some(&interpreter), argv, differs, ..Call::default() });
}

/// Pairs of interpreter and argument, the innermost script's first.
fn in_kernel_order(words: &[Vec<u8>]) -> Vec<Vec<u8>> {
    words.rchunks(2).flatten().cloned().collect()
}

#[track_caller]
fn executable(path: &Path, content: &[u8], mode: u32) {
    fs::write(path, content).expect("written");
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("its mode is set");
}

fn memfd(teller: Teller<'_>) {
    // SAFETY: the name is a string that lives.
    let fd = unsafe { libc::memfd_create(c"program".as_ptr(), 0) };
    assert!(fd >= 0, "a memfd");
    let mut own = File::open(OsStr::from_bytes(&own_path())).expect("opened");
    let mut copy = OpenOptions::new().write(true).open(format!("/proc/self/fd/{fd}")).expect("opened");
    std::io::copy(&mut own, &mut copy).expect("copied");
    drop((own, copy));
    let at = Some((fd, libc::AT_EMPTY_PATH));
    teller.exec(&Call { filename: Some(b""), argv: vec![b"in memory".to_vec()], at, ..Call::default() });
}

fn from_directory(teller: Teller<'_>) {
    let own = PathBuf::from(OsStr::from_bytes(&own_path()));
    let directory = File::open(own.parent().expect("a directory")).expect("opened").into_raw_fd();
    let name = own.file_name().expect("a name").as_bytes();
    let at = Some((directory, 0));
    teller.exec(&Call { filename: Some(name), argv: vec![b"from a directory".to_vec()], at, ..Call::default() });
}

fn from_thread(teller: Teller<'_>, leader_ends: bool) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            if leader_ends {
                // The leader is a zombie when its only thread-mate is this one.
                while !fs::read_to_string("/proc/self/stat").is_ok_and(|stat| stat.contains(") Z ")) {
                    std::thread::yield_now();
                }
            }
            exec(teller, vec![b"from a thread".to_vec()]);
        });
        if leader_ends {
            // SAFETY: the call does not come back; nothing of this thread is used by the other one but `teller`, whose
            // place stays, because the process does.
            unsafe { libc::syscall(libc::SYS_exit, 0) };
        }
    });
}

fn vfork(teller: Teller<'_>) {
    extern "C" fn child(teller: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the parent waits until this process has executed, so its `teller` lives.
        let teller = unsafe { *teller.cast::<Teller<'_>>() };
        exec(teller, vec![b"from vfork".to_vec()]);
        1
    }
    let mut stack = vec![0_u8; 256 << 10];
    let top = stack.as_mut_ptr().wrapping_add(stack.len());
    let mut teller_copy = teller;
    // SAFETY: the stack is writable, aligned and large; the child shares this memory and runs while this thread waits.
    let pid = unsafe {
        libc::clone(
            child,
            top.map_addr(|address| address & !15).cast(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
            (&raw mut teller_copy).cast(),
        )
    };
    teller.await_child(pid);
}

fn after_failure(teller: Teller<'_>) {
    fail(teller, b"/no/such/file");
    fail(teller, b"/");
    exec(teller, vec![b"at last".to_vec()]);
}

fn fail(teller: Teller<'_>, filename: &[u8]) {
    fail_with(teller, filename, vec![b"fails".to_vec(), b"with two".to_vec()]);
}

fn fail_with(teller: Teller<'_>, filename: &[u8], argv: Vec<Vec<u8>>) {
    teller.exec(&Call { filename: Some(filename), argv, differs: fails(), ..Call::default() });
}

fn failing_file(teller: Teller<'_>, mode: u32, content: &[u8]) {
    executable(Path::new("file"), content, mode);
    fail(teller, b"./file");
}

fn symlink_loop(teller: Teller<'_>) {
    std::os::unix::fs::symlink("loop", "loop").expect("a link");
    fail(teller, b"./loop");
}

fn busy(teller: Teller<'_>) {
    executable(Path::new("busy"), b"#!/bin/sh\n", 0o755);
    let open = OpenOptions::new().write(true).open("busy").expect("opened");
    fail(teller, b"./busy");
    drop(open);
}

fn bad_path(teller: Teller<'_>) {
    teller.exec(&Call { filename: None, argv: vec![b"x".to_vec()], differs: fails(), ..Call::default() });
}

/// The second argument is nowhere: what is before it can be read.
fn bad_argv(teller: Teller<'_>) {
    let mut facts = own();
    let path = CString::new(own_path()).expect("no NUL");
    let env = [CString::new(format!("{WORKLOAD}={END}")).expect("no NUL")];
    facts.insert("call".into(), "execve".into());
    facts.insert("filename".into(), facts::bytes(path.as_bytes()));
    facts.insert("argv".into(), facts::strings(&["first"]) + " cut: Unreadable(14)");
    facts.insert("env".into(), facts::strings(&[env[0].as_bytes()]));
    facts.extend(fails().into_iter().map(|(name, value)| (name.to_owned(), value)));
    let argv = [c"first".as_ptr(), nowhere(), std::ptr::null()];
    teller.exec_raw(facts, Some(&path), &argv, &pointers(&env), None);
}

/// The pointers end with the memory.
fn argv_without_end(teller: Teller<'_>) {
    let words = [c"first".as_ptr(), c"second".as_ptr()];
    let argv = before_a_hole(size_of_val(&words)).cast::<[*const libc::c_char; 2]>();
    // SAFETY: there is just as much room, aligned because it ends with a page.
    unsafe { argv.write(words) };
    fail_raw(teller, argv.cast_const().cast(), facts::strings(&["first", "second"]) + " cut: Unreadable(14)");
}

fn no_argv(teller: Teller<'_>) {
    fail_raw(teller, nowhere().cast(), "absent: Unreadable(14)".into());
}

/// Executes this executable with pointers to arguments that lead nowhere; `shown` is what can be read of them.
fn fail_raw(teller: Teller<'_>, argv: *const *const libc::c_char, shown: String) {
    let mut facts = own();
    let path = CString::new(own_path()).expect("no NUL");
    let env = [CString::new(format!("{WORKLOAD}={END}")).expect("no NUL")];
    facts.insert("call".into(), "execve".into());
    facts.insert("filename".into(), facts::bytes(path.as_bytes()));
    facts.insert("argv".into(), shown);
    facts.insert("env".into(), facts::strings(&[env[0].as_bytes()]));
    facts.extend(fails().into_iter().map(|(name, value)| (name.to_owned(), value)));
    teller.exec_by(facts, || {
        // SAFETY: the kernel checks every pointer itself and answers EFAULT.
        unsafe { libc::syscall(libc::SYS_execve, path.as_ptr(), argv, pointers(&env).as_ptr()) };
    });
}

/// Memory of `len` bytes with nothing behind it.
fn before_a_hole(len: usize) -> *mut u8 {
    const PAGE: usize = 64 << 10;
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, of which the second half is taken away again; the result is in the first.
    unsafe {
        let map = libc::mmap(std::ptr::null_mut(), 2 * PAGE, rights, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
        assert_ne!(map, libc::MAP_FAILED);
        assert_eq!(libc::munmap(map.byte_add(PAGE), PAGE), 0);
        map.byte_add(PAGE - len).cast()
    }
}

fn long_path(teller: Teller<'_>) {
    let own = own_path();
    let path = [&b"/.".repeat((4_000 - own.len()) / 2), &own[..]].concat();
    teller.exec(&Call { filename: Some(&path), argv: vec![b"far away".to_vec()], ..Call::default() });
}

/// AT_EXECVE_CHECK (Linux 6.14): the kernel says whether it would execute this, and does not.
fn question(teller: Teller<'_>) {
    let at = Some((libc::AT_FDCWD, 0x10000));
    let argv = vec![b"might I".to_vec(), b"?".to_vec()];
    teller.exec(&Call { filename: Some(&own_path()), argv, at, differs: fails(), ..Call::default() });
}

fn failing_at(teller: Teller<'_>, dirfd: i32, flags: i32) {
    let at = Some((dirfd, flags));
    let argv = vec![b"fails".to_vec()];
    teller.exec(&Call { filename: Some(b"file"), argv, at, differs: fails(), ..Call::default() });
}

fn other_user(teller: Teller<'_>) {
    // SAFETY: no pointers.
    unsafe {
        libc::setresgid(100, 101, 102);
        libc::setresuid(0, 0, 1_002);
    }
    exec(teller, vec![b"other".to_vec()]);
}

fn many_groups(teller: Teller<'_>) {
    let groups: Vec<libc::gid_t> = (2_000..2_100).collect();
    // SAFETY: the array lives and has that length.
    unsafe { libc::setgroups(groups.len(), groups.as_ptr()) };
    exec(teller, vec![b"groups".to_vec()]);
}

fn set_user_id(teller: Teller<'_>) {
    fs::copy(OsStr::from_bytes(&own_path()), "set-id").expect("copied");
    std::os::unix::fs::chown("set-id", Some(1_001), Some(0)).expect("owned");
    fs::set_permissions("set-id", PermissionsExt::from_mode(0o4755)).expect("its mode is set");
    let who = own()["credentials"].replace("uid=[0, 0, 0, 0]", "uid=[0, 1001, 1001, 1001]");
    let differs = vec![("credentials", who)];
    teller.exec(&Call { filename: Some(b"./set-id"), argv: vec![b"x".to_vec()], differs, ..Call::default() });
}

/// Its path in there is another than outside, where a tracer would look.
fn other_root(teller: Teller<'_>) {
    fs::create_dir_all("root/inner").expect("a directory");
    fs::copy(OsStr::from_bytes(&own_path()), "root/program").expect("copied");
    std::env::set_current_dir("root/inner").expect("a directory");
    // Before, because there is no /proc in there.
    let mut facts = own();
    let env = [CString::new(format!("{WORKLOAD}={END}")).expect("no NUL")];
    let argv = [CString::new("in there").expect("no NUL")];
    facts.insert("call".into(), "execve".into());
    facts.insert("filename".into(), "/no/program".into());
    facts.insert("argv".into(), facts::strings(&["in there"]));
    facts.insert("env".into(), facts::strings(&[env[0].as_bytes()]));
    facts.extend(fails().into_iter().map(|(name, value)| (name.to_owned(), value)));
    // The file that is written to must be reachable from in there.
    fs::hard_link(teller.said, "../said").expect("a link");
    std::os::unix::fs::chroot("..").expect("a root directory");
    let teller = Teller { said: Path::new("/said"), case: teller.case };
    teller.exec_raw(facts, Some(c"/no/program"), &pointers(&argv), &pointers(&env), None);
}

fn across_mounts(teller: Teller<'_>) {
    descend(3);
    mount("tmpfs");
    descend(3);
    mount("tmpfs");
    descend(2);
    exec(teller, vec![b"across".to_vec()]);
}

/// A file system in a directory `mounted`, which becomes the working directory; in a mount namespace of this process.
fn mount(kind: &str) {
    fs::create_dir("mounted").expect("a directory");
    let kind = CString::new(kind).expect("no NUL");
    // SAFETY: the strings live; the data is null.
    unsafe {
        libc::unshare(libc::CLONE_NEWNS);
        libc::mount(
            c"none".as_ptr(),
            c"/".as_ptr(),
            std::ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            std::ptr::null(),
        );
        let mounted = libc::mount(c"none".as_ptr(), c"mounted".as_ptr(), kind.as_ptr(), 0, std::ptr::null());
        assert_eq!(mounted, 0, "mounted: {}", std::io::Error::last_os_error());
    }
    std::env::set_current_dir("mounted").expect("a directory");
}

/// The first process of a pid namespace; /proc still shows it as the outside sees it.
fn pid_namespace(teller: Teller<'_>) {
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWPID) }, 0, "a pid namespace");
    // SAFETY: this process has one thread.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        exec(teller, vec![b"first".to_vec()]);
    }
    teller.await_child(pid);
}

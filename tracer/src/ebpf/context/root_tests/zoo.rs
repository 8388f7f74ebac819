//! Processes in circumstances that are hard to describe, for the root tests: [`Animal`]. This executable again, with what
//! it shall do in an environment variable, because a guest has no other program of ours.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::libc;

const ANIMAL: &str = "TRACER_TEST_ANIMAL";
const HOME: &str = "TRACER_TEST_ANIMAL_HOME";

/// What becomes of the process before it executes /bin/true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Animal {
    /// It has one of each kind of descriptor.
    Collector,
    /// It has a descriptor in a table of a million, and otherwise few.
    Jumper,
    /// It has more descriptors than are sent.
    Hoarder,
    /// Its working directory is 300 levels deep, below a bind mount in a tmpfs.
    Diver,
    /// The path of its working directory is longer than the kernel shows.
    Abyssal,
    /// Its working directory is deleted.
    Homeless,
    /// It is in a chroot, in a directory of it, with a file from outside.
    Caged,
    /// The mount of its working directory is detached.
    Adrift,
    /// Its working directory was moved out of the bind mount that it was reached by.
    Evicted,
    /// Its working directory has more levels than are sent.
    Bottomless,
    /// It has all ids different, and 100 groups. Its exec fails.
    Chameleon,
    /// As that, and its exec succeeds.
    Disguised,
    /// It has more groups than are sent.
    Sociable,
    /// It is in a cgroup below a cgroup with a name of 200 bytes.
    Herded,
    /// It is in a pid namespace in a pid namespace.
    Nested,
}

const ANIMALS: [Animal; 15] = [
    Animal::Collector,
    Animal::Jumper,
    Animal::Hoarder,
    Animal::Diver,
    Animal::Abyssal,
    Animal::Homeless,
    Animal::Caged,
    Animal::Adrift,
    Animal::Evicted,
    Animal::Bottomless,
    Animal::Chameleon,
    Animal::Disguised,
    Animal::Sociable,
    Animal::Herded,
    Animal::Nested,
];

/// A process that is ready for its exec, and waits.
pub(super) struct Waiting {
    pub(super) child: Child,
    go: ChildStdin,
    /// Its process id, in our namespace.
    pub(super) pid: u32,
    /// The directory in `/proc` of the thread that will exec.
    pub(super) proc: PathBuf,
}

impl Waiting {
    pub(super) fn start(animal: Animal, home: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("/proc is mounted"));
        let name = "ebpf::context::root_tests::zoo::an_animal_lives_when_asked_to";
        command.args(["--exact", name, "--nocapture", "--quiet"]).env(ANIMAL, format!("{animal:?}")).env(HOME, home);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this executable starts");
        let go = child.stdin.take().expect("piped");
        let mut text = Vec::new();
        // It says `ready PID TID.` on stdout, after what the test's runner says.
        while !text.ends_with(b".") {
            let mut byte = [0];
            let stdout = child.stdout.as_mut().expect("piped");
            stdout.read_exact(&mut byte).expect("it says that it is ready");
            text.push(byte[0]);
        }
        let text = String::from_utf8(text).expect("the runner prints UTF-8");
        let (_, ids) = text.trim_end_matches('.').rsplit_once("ready ").expect("it is ready");
        let (pid, task) = ids.split_once('/').expect("as /proc has it");
        Self { child, go, pid: pid.parse().expect("a process id"), proc: Path::new("/proc").join(pid).join(task) }
    }

    /// Lets it exec, and waits for its end.
    pub(super) fn finish(mut self) {
        self.go.write_all(b".").expect("it waits");
        assert!(self.child.wait().expect("ends").success());
    }
}

/// Not a test of its own: the process that [`Waiting::start`] wants.
#[test]
fn an_animal_lives_when_asked_to() {
    let Ok(name) = std::env::var(ANIMAL) else { return };
    let home = PathBuf::from(std::env::var_os(HOME).expect("set with the other one"));
    let animal = ANIMALS.into_iter().find(|animal| format!("{animal:?}") == name).expect("a known animal");
    std::env::set_current_dir(&home).expect("its home");
    if animal == Animal::Nested {
        nest();
        nest();
    }
    // As the initial namespace has it, whose /proc is mounted: `PID/task/TID`.
    let thread = fs::read_link("/proc/thread-self").expect("/proc is mounted");
    let thread = thread.to_str().expect("two numbers").to_owned();
    // What must stay open until the exec.
    let _kept = live(animal, &home);
    write!(std::io::stdout(), "ready {thread}.").and_then(|()| std::io::stdout().flush()).expect("someone listens");
    std::io::stdin().read_exact(&mut [0]).expect("someone says go");
    if animal == Animal::Chameleon {
        let error = Command::new("/no/such/program").exec();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        return;
    }
    panic!("exec failed: {}", Command::new("/bin/true").exec());
}

fn live(animal: Animal, home: &Path) -> Vec<OwnedFd> {
    match animal {
        Animal::Collector => collect(home),
        Animal::Jumper => {
            let file: OwnedFd = File::open("/dev/null").expect("opens").into();
            let far = dup_to(&file, raise_file_limit());
            vec![file, far]
        }
        Animal::Hoarder => {
            raise_file_limit();
            (0..1_100).map(|_| File::open("/dev/null").expect("opens").into()).collect()
        }
        Animal::Diver => {
            private_mounts();
            mkdir("tmpfs");
            mkdir("bound");
            mount("tmpfs", "tmpfs", Some("tmpfs"), 0);
            dive("tmpfs", 100, "eleven bytes".trim_end_matches('s'));
            let middle = std::env::current_dir().expect("it is short enough");
            std::env::set_current_dir(home).expect("still there");
            mount(middle.to_str().expect("UTF-8"), "bound", None, libc::MS_BIND);
            dive("bound", 300, "eleven byte");
            Vec::new()
        }
        Animal::Abyssal => {
            dive(".", 30, &"x".repeat(255));
            Vec::new()
        }
        Animal::Homeless => {
            mkdir("parent");
            mkdir("parent/child");
            std::env::set_current_dir("parent/child").expect("just made");
            fs::remove_dir(home.join("parent/child")).expect("empty");
            Vec::new()
        }
        Animal::Caged => {
            private_mounts();
            let outside = File::open("/dev/null").expect("opens");
            mkdir("cage");
            mount("/", "cage", None, libc::MS_BIND);
            std::os::unix::fs::chroot("cage").expect("root may");
            std::env::set_current_dir("/bin").expect("there");
            vec![outside.into()]
        }
        Animal::Adrift => {
            private_mounts();
            mkdir("island");
            mount("tmpfs", "island", Some("tmpfs"), 0);
            mkdir("island/beach");
            std::env::set_current_dir("island/beach").expect("just made");
            umount_lazily(&home.join("island"));
            Vec::new()
        }
        Animal::Evicted => {
            private_mounts();
            mkdir("flat");
            fs::create_dir_all("house/inner/room").expect("root may");
            mount("house/inner", "flat", None, libc::MS_BIND);
            std::env::set_current_dir("flat/room").expect("just made");
            fs::rename(home.join("house/inner/room"), home.join("house/room")).expect("renamed");
            Vec::new()
        }
        Animal::Bottomless => {
            private_mounts();
            mkdir("tmpfs");
            mount("tmpfs", "tmpfs", Some("tmpfs"), 0);
            dive("tmpfs", 2_100, "d");
            Vec::new()
        }
        Animal::Chameleon | Animal::Disguised => {
            let groups: Vec<_> = (0..100).map(|group| nix::unistd::Gid::from_raw(3_000 + group * 7)).collect();
            nix::unistd::setgroups(&groups).expect("root may");
            let gid = nix::unistd::Gid::from_raw;
            nix::unistd::setresgid(gid(2_001), gid(2_002), gid(2_003)).expect("root may");
            nix::unistd::setfsgid(gid(2_004));
            let uid = nix::unistd::Uid::from_raw;
            nix::unistd::setresuid(uid(1_001), uid(1_002), uid(1_003)).expect("root may");
            nix::unistd::setfsuid(uid(1_003));
            Vec::new()
        }
        Animal::Sociable => {
            let groups: Vec<_> = (0..1_100).map(nix::unistd::Gid::from_raw).collect();
            nix::unistd::setgroups(&groups).expect("root may");
            Vec::new()
        }
        Animal::Herded => {
            fs::write(home.join("cgroup.procs"), b"0").expect("root may");
            Vec::new()
        }
        Animal::Nested => Vec::new(),
    }
}

fn mkdir(path: &str) {
    fs::create_dir(path).expect("not there yet");
}

/// Makes directories of this name in each other, and goes to the last.
fn dive(from: &str, levels: usize, name: &str) {
    std::env::set_current_dir(from).expect("there");
    for _ in 0..levels {
        mkdir(name);
        std::env::set_current_dir(name).expect("just made");
    }
}

/// One of each kind, some to be closed by an exec, some with a position.
fn collect(home: &Path) -> Vec<OwnedFd> {
    let mut fds: Vec<OwnedFd> = Vec::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    fds.extend([reader.into(), writer.into()]);
    let (one, other) = UnixStream::pair().expect("a pair of sockets");
    fds.extend([one.into(), other.into()]);
    fds.push(UnixListener::bind("socket").expect("bound").into());
    fds.push(std::net::UdpSocket::bind("127.0.0.1:0").expect("bound").into());

    // SAFETY: these calls take and return numbers, and strings that outlive them.
    let made = unsafe {
        [
            libc::eventfd(3, 0),
            libc::epoll_create1(libc::EPOLL_CLOEXEC),
            libc::timerfd_create(libc::CLOCK_MONOTONIC, 0),
            libc::inotify_init1(libc::IN_CLOEXEC),
            libc::memfd_create(c"name of memory".as_ptr(), 0),
            libc::memfd_create(c"".as_ptr(), libc::MFD_CLOEXEC),
            // pidfd_open(2) has this number everywhere.
            libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) as RawFd,
        ]
    };
    fds.extend(made.map(owned));
    for namespace in ["mnt", "pid", "pid_for_children", "net", "user", "uts", "ipc", "cgroup"] {
        fds.push(File::open(format!("/proc/self/ns/{namespace}")).expect("it has one").into());
    }

    let mut file = OpenOptions::new().read(true).append(true).create(true).open("file").expect("created");
    file.write_all(b"0123456789").expect("written");
    file.seek(SeekFrom::Start(7)).expect("seekable");
    fds.push(file.into());
    let far = File::create("sparse").expect("created");
    (&far).seek(SeekFrom::Start(5 << 32)).expect("seekable");
    fds.push(far.into());
    fds.push(File::create("gone").expect("created").into());
    fs::remove_file("gone").expect("removed");
    fs::write("renamed", b"").expect("written");
    fds.push(File::open("renamed").expect("opens").into());
    fs::rename("renamed", "renamed since").expect("renamed");
    fds.push(File::open(home).expect("opens").into());
    fds.push(File::open("/").expect("opens").into());
    for device in ["/dev/null", "/dev/zero", "/dev/ptmx"] {
        fds.push(OpenOptions::new().read(true).write(true).open(device).expect("opens").into());
    }
    fds.push(File::open("/proc/self/status").expect("opens").into());
    fds.push(File::open("/sys/kernel/notes").expect("opens").into());
    symlink("file", "link").expect("made");
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    fds.push(OpenOptions::new().read(true).custom_flags(flags).open("link").expect("opens").into());
    fds.push(OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open("/dev/shm").expect("opens").into());
    fds.push(File::create("/dev/shm/tracer-test").expect("created").into());
    fs::remove_file("/dev/shm/tracer-test").expect("removed");

    let names: [&[u8]; 4] = [&[b'n'; 255], b"line\nfeed", b"not \xff UTF-8", b"is not (deleted)"];
    for name in names {
        fds.push(File::create(std::ffi::OsStr::from_bytes(name)).expect("created").into());
    }

    private_mounts();
    mkdir("tree");
    mkdir("tree/twig");
    mkdir("other");
    fs::write("other file", b"").expect("written");
    fs::write("tree/twig/leaf", b"").expect("written");
    mount("tree/twig", "other", None, libc::MS_BIND);
    mount("tree/twig/leaf", "other file", None, libc::MS_BIND);
    mount("/proc/self/ns/uts", "tree/twig/leaf", None, libc::MS_BIND);
    for path in ["other", "other/leaf", "other file", "tree/twig/leaf", "tree/twig"] {
        fds.push(File::open(path).expect("opens").into());
    }
    umount_lazily(&home.join("other file"));

    // std opens all with O_CLOEXEC: half of them shall stay.
    for fd in fds.iter().step_by(2) {
        // SAFETY: both are numbers.
        assert_eq!(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) }, 0);
    }
    let far = dup_to(&fds[0], 200);
    fds.push(far);
    fds
}

fn owned(fd: RawFd) -> OwnedFd {
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the kernel has just given it to us.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn dup_to(fd: &OwnedFd, number: RawFd) -> OwnedFd {
    // SAFETY: all are numbers; nothing else has this one.
    owned(unsafe { libc::dup3(fd.as_raw_fd(), number, libc::O_CLOEXEC) })
}

/// To a million, or as far as it goes: then it is that of the machine. Returns the highest number.
fn raise_file_limit() -> RawFd {
    let mut limit = libc::rlimit { rlim_cur: 1_000_000, rlim_max: 1_000_000 };
    // SAFETY: the pointers are to a whole `rlimit`.
    unsafe {
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) != 0 {
            assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
            limit.rlim_cur = limit.rlim_max;
            assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
        }
    }
    RawFd::try_from(limit.rlim_cur).expect("a number of descriptors") - 1
}

/// Mounts that nobody else sees, and that go with the process.
fn private_mounts() {
    // SAFETY: takes a number.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0, "{}", std::io::Error::last_os_error());
    mount("none", "/", None, libc::MS_REC | libc::MS_PRIVATE);
}

fn mount(source: &str, target: &str, kind: Option<&str>, flags: libc::c_ulong) {
    let text = |text: &str| std::ffi::CString::new(text).expect("without NUL");
    let (source, target, kind) = (text(source), text(target), kind.map(text));
    let kind = kind.as_ref().map_or(std::ptr::null(), |kind| kind.as_ptr());
    // SAFETY: strings that outlive the call, or null, which the kernel takes for "none".
    let err = unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind, flags, std::ptr::null()) };
    assert_eq!(err, 0, "{source:?} on {target:?}: {}", std::io::Error::last_os_error());
}

fn umount_lazily(path: &Path) {
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).expect("without NUL");
    // SAFETY: a string that outlives the call.
    let err = unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    assert_eq!(err, 0, "{path:?}: {}", std::io::Error::last_os_error());
}

/// Goes on in a child that is the first process of a new pid namespace; the parent waits for it and ends as it does.
#[expect(clippy::exit, reason = "the parent is nothing but a frame for its child")]
fn nest() {
    // SAFETY: takes a number.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWPID) }, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the child has only this thread, and what it uses from now on is in a state that this thread has left.
    match unsafe { nix::unistd::fork() }.expect("a process") {
        nix::unistd::ForkResult::Child => {}
        nix::unistd::ForkResult::Parent { child } => {
            let status = nix::sys::wait::waitpid(child, None);
            std::process::exit(i32::from(!matches!(status, Ok(nix::sys::wait::WaitStatus::Exited(_, 0)))));
        }
    }
}

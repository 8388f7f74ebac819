//! A process that does what it is told, word by word: [`Actor`]. This executable again, with the words in an environment
//! variable, because a guest has no other program of ours.

use std::ffi::CString;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::{fs, ptr};

use nix::libc;

const PART: &str = "TRACER_TEST_ACTOR";
const ARGS: [&str; 4] = ["--exact", "ebpf::root_tests::actor::an_actor_acts_when_asked_to", "--nocapture", "--quiet"];

/// The program that an exec fails with.
pub(super) const MISSING: &str = "/no/such/program";

/// A process that waits until it may begin.
pub(super) struct Actor {
    child: Child,
    go: ChildStdin,
    /// Its process id.
    pub(super) pid: u32,
    /// The thread that will do all the rest.
    pub(super) thread: u32,
}

impl Actor {
    /// What it does after it has waited: see [`an_actor_acts_when_asked_to`].
    pub(super) fn start(part: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("/proc is mounted"));
        command.args(ARGS).env(PART, format!("wait {part}")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this executable starts");
        let go = child.stdin.take().expect("piped");
        let mut text = Vec::new();
        // It says `ready TID.` after what the test's runner says.
        while !text.ends_with(b".") {
            let mut byte = [0];
            child.stdout.as_mut().expect("piped").read_exact(&mut byte).expect("it says that it is ready");
            text.push(byte[0]);
        }
        let text = String::from_utf8(text).expect("the runner prints UTF-8");
        let (_, thread) = text.trim_end_matches('.').rsplit_once("ready ").expect("it is ready");
        Self { pid: child.id(), thread: thread.parse().expect("a number"), child, go }
    }

    /// Lets it act, and waits for its end.
    #[track_caller]
    pub(super) fn act(mut self) {
        self.go.write_all(b".").expect("it waits");
        assert!(self.child.wait().expect("ends").success());
    }
}

/// A command that makes an actor of itself, which does not wait.
pub(super) fn command(part: &str) -> Vec<String> {
    let exe = std::env::current_exe().expect("/proc is mounted");
    let exe = exe.to_str().expect("UTF-8");
    [&["/usr/bin/env", &format!("{PART}={part}"), exe], &ARGS[..]].concat().into_iter().map(str::to_owned).collect()
}

/// Not a test of its own: the process that is wanted.
#[test]
fn an_actor_acts_when_asked_to() {
    let Ok(part) = std::env::var(PART) else { return };
    let mut words = part.split_ascii_whitespace();
    while let Some(word) = words.next() {
        let mut argument = || words.next().expect("an argument");
        match word {
            "wait" => wait(),
            "name" => nix::sys::prctl::set_name(&CString::new(argument()).expect("no NUL")).expect("set"),
            "user" => become_user(argument().parse().expect("a number")),
            "fail" => fail(argument().parse().expect("a number")),
            "spawn" => spawn(argument().parse().expect("a number")),
            "tell" => fs::write(argument(), b"told").expect("someone listens"),
            "large" => large(argument() == "succeeds"),
            "become" => panic!("{}", Command::new(argument()).exec()),
            word => panic!("no word {word}"),
        }
    }
}

fn wait() {
    let thread = fs::read_link("/proc/thread-self").expect("/proc is mounted");
    let thread = thread.file_name().and_then(|name| name.to_str()).expect("a number");
    write!(std::io::stdout(), "ready {thread}.").and_then(|()| std::io::stdout().flush()).expect("someone listens");
    std::io::stdin().read_exact(&mut [0]).expect("someone says go");
}

fn become_user(uid: u32) {
    let uid = nix::unistd::Uid::from_raw(uid);
    nix::unistd::setresuid(uid, uid, uid).expect("root may");
}

/// The arguments of an exec that fails.
pub(super) const ARGV: [&[u8]; 2] = [b"argument zero", b"an argument"];

/// Execs on this thread that fail.
pub(super) fn fail(count: usize) {
    let words = [MISSING.as_bytes(), ARGV[0], ARGV[1]].map(|word| CString::new(word).expect("no NUL"));
    let argv = [words[1].as_ptr(), words[2].as_ptr(), ptr::null()];
    let env = [c"VARIABLE=value".as_ptr(), ptr::null()];
    for _ in 0..count {
        // SAFETY: the strings live, and the arrays end with null.
        unsafe { libc::execve(words[0].as_ptr(), argv.as_ptr(), env.as_ptr()) };
    }
}

/// The largest string that the kernel takes, with its NUL, and how many of it are more than the kernel side sends.
pub(super) const LARGE: (usize, usize) = (128 << 10, 36);

/// An exec that fails, or succeeds, with more in its argv, or its environment, than the kernel side sends.
fn large(succeeds: bool) {
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the pointer is to a whole `rlimit`.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_STACK, &raw const unlimited) }, 0, "root may");
    let string = CString::new(vec![b'L'; LARGE.0 - 1]).expect("no NUL");
    let mut many = vec![string.as_ptr(); LARGE.1];
    many.push(ptr::null());
    // An applet is found by it.
    let few = [c"true".as_ptr(), ptr::null()];
    // SAFETY: the strings live, and the arrays end with null.
    unsafe {
        if succeeds {
            libc::execve(c"/bin/true".as_ptr(), few.as_ptr(), many.as_ptr());
        } else {
            libc::execve(c"/no/such/program".as_ptr(), many.as_ptr(), few.as_ptr());
        }
    }
}

/// Processes, one after the other, that each execute something.
pub(super) fn spawn(count: usize) {
    for _ in 0..count {
        assert!(Command::new("/bin/true").status().expect("starts").success());
    }
}

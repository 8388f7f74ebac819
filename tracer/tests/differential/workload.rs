//! What is traced: a process that runs the cases of `cases.rs`, each in a child, and writes down what it does.
//!
//! It runs before `main`, in the test executable started again with [`WORKLOAD`] in its environment: so it is alone in its
//! process, on the leading thread, and needs no second executable.

use std::ffi::{CStr, CString};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process;
use std::{env, fs, io, ptr};

use nix::libc;

use crate::facts::{self, Ended, Facts, Line, NOT_APPLICABLE, Said};
use crate::{cases, storm};

/// What this process is: [`END`], or the file that the workload writes to.
pub(crate) const WORKLOAD: &str = "TRACER_WORKLOAD";

/// Which workload: `cases`, or `storm` or `kill` and a number of processes.
pub(crate) const KIND: &str = "TRACER_WORKLOAD_KIND";

/// A process that ends at once: what the workload executes.
pub(crate) const END: &str = "end";

/// Run by the C library before `main`, which the test harness has taken.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    let Some(what) = env::var_os(WORKLOAD) else { return };
    let said = Path::new(&what);
    let kind = env::var(KIND).unwrap_or_default();
    let (kind, count) = kind.split_once(' ').unwrap_or((&kind, "0"));
    let count = count.parse().expect("a number");
    let teller = Teller { said, case: kind };
    match kind {
        _ if what == END => {}
        "storm" => storm::storm(teller, count),
        "kill" => storm::kill(teller, count),
        _ => cases::run(said),
    }
    end(0);
}

#[expect(clippy::exit, reason = "this process is not the test harness's")]
fn end(status: i32) -> ! {
    process::exit(status)
}

/// The status of a child that came back from its case: it did not execute anything, or a child of its own did.
const NOT_EXECUTED: i32 = 7;

/// The workload's view of its own execs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Teller<'a> {
    /// The file that it writes to.
    pub(crate) said: &'a Path,
    /// The case that it is in.
    pub(crate) case: &'a str,
}

/// What is executed, and how.
#[derive(Debug, Default)]
pub(crate) struct Call<'a> {
    /// `None`: a pointer to nowhere.
    pub(crate) filename: Option<&'a [u8]>,
    /// The arguments.
    pub(crate) argv: Vec<Vec<u8>>,
    /// The environment; [`WORKLOAD`] is put in front, so that an execution of this executable ends at once.
    pub(crate) env: Vec<Vec<u8>>,
    /// execveat(2)'s directory and flags.
    pub(crate) at: Option<(i32, i32)>,
    /// What differs from what the caller can see of itself before the call.
    pub(crate) differs: Vec<(&'static str, String)>,
}

impl Teller<'_> {
    /// Appends a line. The file is open no longer than that: the execs' open files are part of what is compared.
    pub(crate) fn say(&self, line: &Line) {
        let json = serde_json::to_string(line).expect("a line is JSON") + "\n";
        let mut file = OpenOptions::new().append(true).open(self.said).expect("the file is there");
        file.write_all(json.as_bytes()).expect("written");
    }

    /// Executes, having said so; comes back only if that failed, having said that too.
    pub(crate) fn exec(&self, call: &Call<'_>) -> io::Error {
        let mark = format!("{WORKLOAD}={END}").into_bytes();
        let env: Vec<Vec<u8>> = std::iter::once(mark).chain(call.env.iter().cloned()).collect();
        let mut facts = own();
        let shown = call.filename.map_or_else(|| "absent: Unreadable(14)".into(), facts::bytes);
        facts.insert("call".into(), call.at.map_or_else(|| "execve".into(), |(fd, flags)| facts::execveat(fd, flags)));
        facts.insert("filename".into(), shown);
        facts.insert("argv".into(), facts::strings(&call.argv));
        facts.insert("env".into(), facts::strings(&env));
        facts.extend(call.differs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let strings = |items: &[Vec<u8>]| -> Vec<CString> {
            items.iter().map(|item| CString::new(item.as_slice()).expect("no NUL")).collect()
        };
        let (argv, env) = (strings(&call.argv), strings(&env));
        let filename = call.filename.map(|name| CString::new(name).expect("no NUL"));
        self.exec_raw(facts, filename.as_deref(), &pointers(&argv), &pointers(&env), call.at)
    }

    /// As [`Teller::exec`], with pointers that may lead nowhere.
    pub(crate) fn exec_raw(
        &self,
        facts: Facts,
        filename: Option<&CStr>,
        argv: &[*const libc::c_char],
        env: &[*const libc::c_char],
        at: Option<(i32, i32)>,
    ) -> io::Error {
        let filename = filename.map_or(nowhere(), CStr::as_ptr);
        self.exec_by(facts, || {
            // SAFETY: the kernel checks every pointer itself and answers EFAULT; this process has nothing to lose.
            unsafe {
                match at {
                    None => libc::syscall(libc::SYS_execve, filename, argv.as_ptr(), env.as_ptr()),
                    Some((fd, flags)) => {
                        libc::syscall(libc::SYS_execveat, fd, filename, argv.as_ptr(), env.as_ptr(), flags)
                    }
                }
            };
        })
    }

    /// As [`Teller::exec_raw`], with a system call that leaves its error in errno.
    pub(crate) fn exec_by(&self, facts: Facts, call: impl FnOnce()) -> io::Error {
        let tgid = facts["tgid"].parse().expect("a number");
        self.say(&Line::Exec(Said { case: self.case.to_owned(), tgid, facts }));
        nix::errno::Errno::clear();
        call();
        let error = io::Error::last_os_error();
        self.say(&Line::Failed(tgid, error.raw_os_error().unwrap_or(0)));
        error
    }

    /// Runs `child` in a child process and says how that ended.
    pub(crate) fn child(&self, child: impl FnOnce()) {
        let pid = fork(child);
        self.await_child(pid);
    }

    /// Waits for some child and says how it ended.
    pub(crate) fn await_any(&self) {
        self.await_child(-1);
    }

    /// Waits for a child and says how it ended.
    pub(crate) fn await_child(&self, pid: libc::pid_t) {
        let mut status = 0;
        // SAFETY: `status` is writable.
        let ended = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        assert!(ended > 0, "cannot wait: {}", io::Error::last_os_error());
        let end = if libc::WIFSIGNALED(status) {
            format!("signal {}", libc::WTERMSIG(status))
        } else {
            format!("code {}", libc::WEXITSTATUS(status))
        };
        self.say(&Line::Ended(Ended { tgid: ended as u32, end }));
    }
}

/// Runs `child` in a child process, which ends with it.
pub(crate) fn fork(child: impl FnOnce()) -> libc::pid_t {
    // SAFETY: this process has one thread, so nothing is locked in the child.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "cannot fork: {}", io::Error::last_os_error());
    if pid == 0 {
        child();
        end(NOT_EXECUTED);
    }
    pid
}

/// Executes this executable as a process that ends at once, without a word.
pub(crate) fn become_end() {
    let env = [CString::new(format!("{WORKLOAD}={END}")).expect("no NUL")];
    let argv = [c"end".as_ptr(), ptr::null()];
    // SAFETY: the strings live, the arrays end with null.
    unsafe { libc::execve(c"/proc/self/exe".as_ptr(), argv.as_ptr(), pointers(&env).as_ptr()) };
}

/// An address at which nothing is mapped.
pub(crate) fn nowhere() -> *const libc::c_char {
    ptr::without_provenance(8)
}

/// Pointers to the strings, with the null at the end.
pub(crate) fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// What this thread can see of itself.
pub(crate) fn own() -> Facts {
    let status = fs::read_to_string("/proc/thread-self/status").expect("/proc is mounted");
    let numbers = |key: &str| -> Vec<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    };
    let comm = fs::read("/proc/thread-self/comm").expect("/proc is mounted");
    let cwd = fs::read_link("/proc/thread-self/cwd").expect("a working directory");
    let cgroup = fs::read_to_string("/proc/thread-self/cgroup").unwrap_or_default();
    let cgroup = cgroup.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("none").to_owned();
    // As /proc shows them, also to a process in a pid namespace of its own: `TGID/task/TID`.
    let ids = fs::read_link("/proc/thread-self").expect("/proc is mounted");
    let (tgid, tid) = ids.to_str().and_then(|ids| ids.split_once("/task/")).expect("two ids");
    let facts = [
        ("pid", tid.to_owned()),
        ("tgid", tgid.to_owned()),
        ("ppid", numbers("PPid:")[0].to_string()),
        ("abi", "native".to_owned()),
        ("errno", "0".to_owned()),
        ("comm", facts::bytes(comm.trim_ascii_end())),
        ("interpreter", "[]".to_owned()),
        ("cwd", facts::bytes(cwd.as_os_str().as_bytes())),
        ("fds", own_fds()),
        ("credentials", facts::ids(&after(&numbers("Uid:")), &after(&numbers("Gid:")), &numbers("Groups:"))),
        ("cgroup", cgroup),
        ("namespace_pids", format!("{:?}", numbers("NStgid:"))),
    ];
    facts.map(|(name, value)| (name.to_owned(), value)).into()
}

/// An exec makes the saved id and that of the file system the effective one (credentials(7)).
fn after(ids: &[u32]) -> [u32; 4] {
    [ids[0], ids[1], ids[1], ids[1]]
}

fn own_fds() -> String {
    let listed = fs::read_dir("/proc/thread-self/fd").expect("/proc is mounted");
    // All names before anything is opened; the listing's own descriptor is closed by then.
    let mut numbers: Vec<i32> = listed.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    let open = numbers.into_iter().filter_map(|number| {
        // SAFETY: no pointers; a number that is not open gives an error.
        let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
        if flags < 0 {
            return None;
        }
        let path = fs::read_link(format!("/proc/thread-self/fd/{number}")).ok()?;
        let info = fs::read_to_string(format!("/proc/thread-self/fdinfo/{number}")).ok()?;
        let value = |key: &str| info.lines().find_map(|line| line.strip_prefix(key)).map_or("", str::trim).to_owned();
        let open_flags = u32::from_str_radix(&value("flags:"), 8).ok()? & !(libc::O_CLOEXEC as u32);
        let inode = inode(number)?;
        let path = facts::bytes(path.as_os_str().as_bytes());
        let cloexec = flags & libc::FD_CLOEXEC != 0;
        let (offset, mount) = (value("pos:").parse().ok()?, value("mnt_id:").parse().ok()?);
        Some(facts::fd(number as u32, &path, open_flags, cloexec, offset, mount, &inode))
    });
    open.collect::<Vec<_>>().join("; ")
}

fn inode(number: i32) -> Option<String> {
    // SAFETY: all zeros is a valid stat, and the kernel fills it.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is writable.
    (unsafe { libc::fstat(number, &raw mut stat) } == 0).then(|| stat.st_ino.to_string())
}

/// For an exec that fails: nothing was put in front of anything.
pub(crate) fn fails() -> Vec<(&'static str, String)> {
    vec![("interpreter", NOT_APPLICABLE.to_owned())]
}

/// This executable.
pub(crate) fn own_path() -> Vec<u8> {
    // Not `current_exe`, which reads the leading thread's: that may be gone.
    let path = fs::read_link("/proc/thread-self/exe").expect("/proc is mounted");
    path.into_os_string().into_encoded_bytes()
}

//! Programs that do something particular: this executable again, with the program's name in an environment variable. So
//! there is no second executable, and they run in a guest too.

use std::ffi::{CStr, CString};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicI32, Ordering};
use std::{fs, io, ptr, thread};

use nix::libc;
use tracer::options::Target;
use tracer::trace::Trace;

use crate::common::{SH, Way, launch};

const PROGRAM: &str = "TRACER_PTRACE_PROGRAM";
const TRUE: &CStr = c"/bin/true";
const PAGE: usize = 64 << 10; // the largest page of the architectures that we serve

/// The line of a shell that becomes the program.
pub(crate) fn line(name: &str) -> String {
    let exe = std::env::current_exe().expect("/proc is mounted");
    let exe = exe.to_str().expect("the target directory is UTF-8");
    format!("{PROGRAM}='{name}' exec '{exe}' --exact program::runs_when_asked_to --nocapture --test-threads=1")
}

/// The program, not traced.
pub(crate) fn command(name: &str) -> Command {
    let mut command = Command::new(SH);
    command.args(["-c", &line(name)]);
    command
}

/// Not a test of its own: the programs, for the other tests.
#[test]
#[expect(clippy::exit, reason = "the exit status is what the other tests look at")]
fn runs_when_asked_to() {
    if let Ok(program) = std::env::var(PROGRAM) {
        std::process::exit(run(&program));
    }
}

fn run(program: &str) -> i32 {
    let (name, argument) = program.split_once(' ').unwrap_or((program, ""));
    match name {
        "no-argv" => execve(TRUE, ptr::null(), ptr::null()),
        "bad-filename" => execve_at(ptr::without_provenance(8), ptr::null()),
        "bad-argv" => execve(TRUE, ptr::without_provenance(8), ptr::null()),
        "argv-that-ends-unmapped" => execve(TRUE, argv_before_a_hole(), ptr::null()),
        "string-that-ends-unmapped" => {
            execve(TRUE, [c"first".as_ptr(), string_before_a_hole(), ptr::null()].as_ptr(), ptr::null())
        }
        "cold-argv" => execve(TRUE, [c"first".as_ptr(), cold_string(argument), ptr::null()].as_ptr(), ptr::null()),
        "memfd" => memfd(),
        "execveat" => execveat(argument),
        "check" => check(),
        "thread" => in_a_thread(|| {
            execve(TRUE, [c"true".as_ptr(), c"from a thread".as_ptr(), ptr::null()].as_ptr(), ptr::null())
        }),
        "without-a-leader" => without_a_leader(),
        "spawn" => Command::new("/bin/true").arg("spawned").status().map_or(100, |status| status.code().unwrap_or(101)),
        "threads-then-exec" => threads_then_exec(),
        "real-time-signal" => signal_to_itself(libc::SIGRTMIN() + 3),
        "trap-signal" => signal_to_itself(libc::SIGTRAP),
        "stop-and-continue" => stop_and_continue(),
        "own-filter" => own_filter(),
        "tracer-before-5.3" => tracer_before_5_3(),
        "tracer-without-vm-readv" => tracer_without_vm_readv(),
        "untraced-clone" => untraced_clone(),
        "kill-while-executing" => kill_while_executing(),
        "compat" => compat(),
        "x32" => x32(),
        "tracer-of-a-sleeper" => tracer_of_a_sleeper(argument),
        "wait-in-threads" => wait_in_threads(),
        name => panic!("no program {name}"),
    }
}

type Strings = *const *const libc::c_char;

/// Executes; on failure the errno is the program's exit status.
fn execve(path: &CStr, argv: Strings, envp: Strings) -> i32 {
    execve_raw(path.as_ptr(), argv, envp)
}

fn execve_at(path: *const libc::c_char, argv: Strings) -> i32 {
    execve_raw(path, argv, ptr::null())
}

fn execve_raw(path: *const libc::c_char, argv: Strings, envp: Strings) -> i32 {
    // SAFETY: the kernel reads what the pointers point to, and says EFAULT of those that point nowhere.
    unsafe { libc::syscall(libc::SYS_execve, path, argv, envp) };
    errno()
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// The end of memory that has nothing behind it.
fn before_a_hole(len: usize) -> *mut u8 {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping of two pages, of which the second is taken away again; the result is inside the first.
    unsafe {
        let map = libc::mmap(ptr::null_mut(), 2 * PAGE, rights, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
        assert_ne!(map, libc::MAP_FAILED);
        let hole = map.byte_add(PAGE);
        assert_eq!(libc::munmap(hole, PAGE), 0);
        hole.cast::<u8>().sub(len)
    }
}

fn argv_before_a_hole() -> Strings {
    let words: [*const libc::c_char; 2] = [c"one".as_ptr(), c"two".as_ptr()];
    let place: *mut [*const libc::c_char; 2] = before_a_hole(size_of_val(&words)).cast();
    // SAFETY: there is just as much room, aligned because it ends with a page.
    unsafe { place.write(words) };
    place.cast_const().cast()
}

fn string_before_a_hole() -> *const libc::c_char {
    let place = before_a_hole(5);
    // SAFETY: there is room for five bytes.
    unsafe { ptr::copy_nonoverlapping(b"no-nu".as_ptr(), place, 5) };
    place.cast_const().cast()
}

/// A string in a page of a file that the process has not read.
fn cold_string(path: &str) -> *const libc::c_char {
    let file = fs::File::open(path).expect("the file is there");
    // SAFETY: a new private mapping, which the kernel alone reads.
    let map = unsafe {
        libc::mmap(ptr::null_mut(), PAGE, libc::PROT_READ, libc::MAP_PRIVATE, std::os::fd::AsRawFd::as_raw_fd(&file), 0)
    };
    assert_ne!(map, libc::MAP_FAILED);
    map.cast_const().cast()
}

fn memfd() -> i32 {
    let program = fs::read("/bin/true").expect("/bin/true is readable");
    // SAFETY: a string with a NUL; a descriptor or -1 comes back.
    let fd = unsafe { libc::memfd_create(c"named".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(fd >= 0);
    fs::write(format!("/proc/self/fd/{fd}"), program).expect("the memfd is written");
    call_execveat(fd, c"", [c"true".as_ptr(), c"in memory".as_ptr(), ptr::null()].as_ptr(), libc::AT_EMPTY_PATH)
}

fn execveat(flags: &str) -> i32 {
    let flags = flags.parse().expect("a number");
    // SAFETY: a string with a NUL; a descriptor or -1 comes back.
    let fd = unsafe { libc::open(c"/bin".as_ptr(), libc::O_PATH) };
    call_execveat(fd, c"true", [c"true".as_ptr(), ptr::null()].as_ptr(), flags)
}

fn check() -> i32 {
    const AT_EXECVE_CHECK: i32 = 0x10000;
    let argv = [c"true".as_ptr(), c"asked".as_ptr(), ptr::null()];
    call_execveat(libc::AT_FDCWD, TRUE, argv.as_ptr(), AT_EXECVE_CHECK)
}

/// The errno, or 0 if it comes back without one.
fn call_execveat(fd: i32, path: &CStr, argv: Strings, flags: i32) -> i32 {
    // SAFETY: the kernel reads what the pointers point to.
    let result = unsafe { libc::syscall(libc::SYS_execveat, fd, path.as_ptr(), argv, ptr::null::<u8>(), flags) };
    if result == 0 { 0 } else { errno() }
}

fn in_a_thread(run: fn() -> i32) -> i32 {
    thread::spawn(run).join().expect("the thread does not panic")
}

/// The leader ends, another thread executes.
fn without_a_leader() -> i32 {
    // Tests run on a thread that is not the leader; in a child of it there is only that thread.
    in_a_child(|| {
        thread::spawn(|| {
            let stat = format!("/proc/self/task/{}/stat", std::process::id());
            // The leader is a zombie as long as other threads are there.
            while !fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z ")) {
                thread::yield_now();
            }
            execve(TRUE, [c"true".as_ptr(), c"leaderless".as_ptr(), ptr::null()].as_ptr(), ptr::null())
        });
        // SAFETY: ends this thread only; nobody joins it, and nothing on its stack is borrowed.
        unsafe { libc::syscall(libc::SYS_exit, 7) };
        100
    })
}

/// The exit status of a child that runs this.
fn in_a_child(run: fn() -> i32) -> i32 {
    let mut status = 0;
    // SAFETY: this program has no other thread that does anything but wait, so no lock is held; the child does not
    // return. The kernel writes one integer to `status`.
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            libc::_exit(run());
        }
        assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
        libc::WEXITSTATUS(status)
    }
}

/// Many threads execute at the same time; one wins.
fn threads_then_exec() -> i32 {
    static READY: Barrier = Barrier::new(8);
    let run = || {
        READY.wait();
        execve(TRUE, [c"true".as_ptr(), c"the winner".as_ptr(), ptr::null()].as_ptr(), ptr::null())
    };
    let threads: Vec<_> = (0..8).map(|_| thread::spawn(run)).collect();
    threads.into_iter().map(|thread| thread.join().unwrap_or(100)).max().unwrap_or(100)
}

static GOT: AtomicI32 = AtomicI32::new(0);

extern "C" fn got(number: i32) {
    GOT.store(number, Ordering::SeqCst);
}

/// 0 if the signal arrives as what it is.
fn signal_to_itself(number: i32) -> i32 {
    let handler: extern "C" fn(i32) = got;
    // SAFETY: the handler does nothing but store a number.
    unsafe {
        libc::signal(number, handler as *const () as libc::sighandler_t);
        libc::raise(number);
    }
    i32::from(GOT.load(Ordering::SeqCst) != number)
}

/// A child stops itself, its parent sees that and lets it go on; it executes then.
fn stop_and_continue() -> i32 {
    let mut child = Command::new(SH).args(["-c", "kill -STOP $$; exec /bin/true continued"]).spawn().expect("starts");
    let pid = child.id().cast_signed();
    let mut status = 0;
    // SAFETY: the kernel writes one integer to `status`; the rest are numbers.
    unsafe {
        assert_eq!(libc::waitpid(pid, &mut status, libc::WUNTRACED), pid);
        assert!(libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGSTOP, "{status:#x}");
        assert_eq!(libc::kill(pid, libc::SIGCONT), 0);
    }
    child.wait().expect("it ends").code().unwrap_or(100)
}

/// A filter of the program's own refuses execve with an errno of its choice.
fn own_filter() -> i32 {
    refuse(libc::SYS_execve, None, libc::EDOM);
    execve(TRUE, [c"true".as_ptr(), c"refused".as_ptr(), ptr::null()].as_ptr(), ptr::null())
}

/// Has a system call, with this first argument if one is given, fail from now on.
fn refuse(call: libc::c_long, argument: Option<u32>, errno: i32) {
    let step = |code: u32, k, jt, jf| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let jump_if_equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let filter = [
        step(load, 0, 0, 0),
        step(jump_if_equal, call as u32, 0, 3),
        // The lower half of the first argument, on machines whose lower half comes first.
        step(load, 16, 0, 0),
        // Both ways lead to the refusal if no argument was given.
        step(jump_if_equal, argument.unwrap_or_default(), 0, u8::from(argument.is_some())),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno.cast_unsigned(), 0, 0),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the kernel reads `program` and the instructions that it points to.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let flags = libc::SECCOMP_FILTER_FLAG_TSYNC;
        assert_eq!(libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program), 0);
    }
}

/// A tracer on a kernel that does not say what a tracee's system call is.
fn tracer_before_5_3() -> i32 {
    const PTRACE_GET_SYSCALL_INFO: u32 = 0x420e;
    refuse(libc::SYS_ptrace, Some(PTRACE_GET_SYSCALL_INFO), libc::EIO);
    let err = Trace::start(Target::Command(launch(&["/bin/true"])), Way::Plain.options()).expect_err("refused");
    assert!(err.hint().is_some_and(|hint| hint.contains("5.3")), "{err:?}");
    assert_eq!(err.kind(), tracer::ErrorKind::Unsupported);
    0
}

/// A tracer where memory can be read only by its file.
fn tracer_without_vm_readv() -> i32 {
    refuse(libc::SYS_process_vm_readv, None, libc::EPERM);
    for (path, errno) in [("/bin/true", 0), ("/no/such/file", libc::ENOENT)] {
        let traced = Way::Filter.sh(&format!("{path} word; exit 0"));
        let exec = traced.only(path);
        assert_eq!((crate::common::argv(exec), exec.errno), (vec![path.to_owned(), "word".to_owned()], errno));
        assert!(!crate::common::strings(exec.env.as_ref().expect("env")).is_empty());
    }
    0
}

/// A child that no tracer gets executes: its exit status.
fn untraced_clone() -> i32 {
    // SAFETY: a fork; the child executes or ends.
    unsafe {
        let flags = libc::CLONE_UNTRACED | libc::SIGCHLD;
        let pid = libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) as i32;
        if pid == 0 {
            let errno = execve(TRUE, [c"true".as_ptr(), c"untraced".as_ptr(), ptr::null()].as_ptr(), ptr::null());
            libc::_exit(errno);
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
        libc::WEXITSTATUS(status)
    }
}

/// Children that execute in a loop are killed at no moment in particular.
fn kill_while_executing() -> i32 {
    for round in 0..40 {
        let script = "[ \"$1\" -gt 1000 ] || exec /bin/sh -c \"$0\" \"$0\" $(($1 + 1))";
        let mut child = Command::new(SH).args(["-c", script, script, "0"]).spawn().expect("starts");
        (0..round * 50).for_each(|_| thread::yield_now());
        child.kill().expect("it is there until it is waited for");
        let status = child.wait().expect("it ends");
        assert!(status.signal() == Some(9) || status.success(), "{status}");
    }
    0
}

/// Executes as a program of 32 bits does, from one of 64.
#[cfg(target_arch = "x86_64")]
fn compat() -> i32 {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
    let words = [TRUE.to_bytes_with_nul(), b"true\0thirty-two\0"].concat();
    // SAFETY: a new mapping below 2 GiB, with room for the strings and, 256 bytes on, the pointers to them. The call
    // does not return unless it fails; rbx, which belongs to the compiler, is put back.
    unsafe {
        let map = libc::mmap(ptr::null_mut(), PAGE, rights, flags, -1, 0);
        assert_ne!(map, libc::MAP_FAILED);
        let base = map as usize as u32;
        ptr::copy_nonoverlapping(words.as_ptr(), map.cast(), words.len());
        let path = TRUE.to_bytes_with_nul().len() as u32;
        map.cast::<u8>().add(256).cast::<[u32; 4]>().write([base + path, base + path + 5, 0, 0]);
        let mut result = 11_u64;
        std::arch::asm!(
            "xchg {path:r}, rbx",
            "int 0x80",
            "xchg {path:r}, rbx",
            path = inout(reg) u64::from(base) => _,
            inout("rax") result,
            in("rcx") u64::from(base + 256),
            in("rdx") 0_u64,
        );
        -(result as i32)
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn compat() -> i32 {
    100
}

/// Executes as a program of the x32 ABI does; on a kernel without it that fails with ENOSYS.
fn x32() -> i32 {
    let argv = [c"true".as_ptr(), c"x32".as_ptr(), ptr::null()];
    // SAFETY: the kernel reads what the pointers point to.
    unsafe { libc::syscall(0x4000_0000 | 520, TRUE.as_ptr(), argv.as_ptr(), ptr::null::<u8>()) };
    errno()
}

/// Traces a shell that writes its process id to a file and then waits for its input to end.
fn tracer_of_a_sleeper(argument: &str) -> i32 {
    let (way, file) = argument.split_once(' ').expect("two arguments");
    let way = if way == "filter" { Way::Filter } else { Way::Plain };
    let script = format!("echo $$ > {file}.new; mv {file}.new {file}; read line; exec /bin/true");
    let trace = Trace::start(Target::Command(launch(&[SH, "-c", &script])), way.options()).expect("starts");
    trace.for_each(drop);
    0
}

/// Three threads and the leader wait for input; then each of the threads runs a command.
fn wait_in_threads() -> i32 {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let receiver = std::sync::Arc::new(std::sync::Mutex::new(receiver));
    let threads: Vec<_> = (0..3)
        .map(|number| {
            let receiver = std::sync::Arc::clone(&receiver);
            thread::spawn(move || {
                let _ = receiver.lock().expect("no thread panics").recv();
                let status = Command::new("/bin/true").arg(number.to_string()).status();
                assert!(status.is_ok_and(|status| status.success()));
            })
        })
        .collect();
    // Ready: whoever attaches now finds four threads.
    let ready = CString::new("ready\n").expect("no NUL");
    // SAFETY: the kernel reads the bytes of the string.
    unsafe { libc::write(1, ready.as_ptr().cast(), 6) };
    let _ = io::stdin().read(&mut [0]);
    drop(sender);
    i32::from(threads.into_iter().any(|thread| thread.join().is_err()))
}

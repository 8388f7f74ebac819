//! What an event says about its exec. Many data share one tracer, because loading it is what takes the time.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use serial_test::serial;
use tracer::{ARGV_CAP, ArgvCut, Tracer};

use crate::common::{SH, TRUE, attach, drain, execs_of, only, quiet, self_exe};

/// Arguments whose bytes matter, not their number.
const BYTES: [(&str, &[&[u8]]); 6] = [
    ("none", &[]),
    ("spaces", &[b"two words", b" ", b"\t"]),
    ("empty strings", &[b"", b"", b"x", b""]),
    ("newlines", &[b"a\nb", b"\n"]),
    ("not UTF-8", &[b"\xff\xfe", b"\x80"]),
    ("every byte but NUL", &[&EVERY_BYTE]),
];

const EVERY_BYTE: [u8; 255] = {
    let mut bytes = [0; 255];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = at as u8 + 1;
        at += 1;
    }
    bytes
};

/// An argv of `len` bytes: "x" and then as few arguments as hold the rest, of which the kernel takes up to 128 KiB each.
fn argv_of(len: usize) -> Vec<OsString> {
    let mut argv = vec![OsString::from("x")];
    let mut left = len - 2;
    while left > 0 {
        let size = left.min(65_536);
        let letters = (0..size - 1).map(|at| b'a' + ((argv.len() + at) % 26) as u8);
        argv.push(OsString::from_vec(letters.collect()));
        left -= size;
    }
    argv
}

/// Check that argv arrives byte for byte: whatever the bytes, at each length around those of the records and of pages,
/// up to the cap, and with 1,000 items.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn argv_arrives_byte_for_byte() {
    let bytes = BYTES.map(|(name, args)| {
        let args = args.iter().map(|arg| OsString::from_vec(arg.to_vec()));
        (name.to_owned(), std::iter::once("argv zero".into()).chain(args).collect::<Vec<_>>())
    });
    let lengths = [255, 256, 257, 4_095, 4_096, 4_097, 70_000, ARGV_CAP];
    let lengths = lengths.map(|len| (format!("{len} bytes"), argv_of(len)));
    let items = (0..1_000).map(|number| format!("item {number}").into()).collect();
    let mut tracer = attach();
    for (name, argv) in bytes.into_iter().chain(lengths).chain([("1,000 items".to_owned(), items)]) {
        let exec = only(execs_of(&mut tracer, Command::new(TRUE).arg0(&argv[0]).args(&argv[1..])));
        assert!(exec.argv == argv, "{name}: {:?}", exec.argv);
        let len: usize = argv.iter().map(|arg| arg.len() + 1).sum();
        assert_eq!((exec.argc as usize, exec.argv_len), (argv.len(), len as u64), "{name}");
        assert_eq!(exec.argv_cut, None, "{name}");
    }
}

/// Check that an argv beyond the cap is marked as cut, with its true length, and that what is shown is its beginning.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn an_argv_beyond_the_cap_is_marked_with_its_true_length() {
    let mut tracer = attach();
    for beyond in [1, 100_000] {
        let argv = argv_of(ARGV_CAP + beyond);
        let exec = only(execs_of(&mut tracer, Command::new(TRUE).arg0(&argv[0]).args(&argv[1..])));
        assert_eq!(exec.argv_cut, Some(ArgvCut::TooLong), "{beyond} beyond");
        assert_eq!((exec.argv_len, exec.argc as usize), ((ARGV_CAP + beyond) as u64, argv.len()), "{beyond} beyond");
        let joined = |argv: &[OsString]| argv.iter().map(|arg| arg.as_bytes()).collect::<Vec<_>>().join(&0);
        let shown = joined(&exec.argv);
        // A NUL at the very end of what is shown has become the end of an argument.
        assert!(shown.len() + 1 >= ARGV_CAP && joined(&argv).starts_with(&shown), "{beyond} beyond");
    }
}

/// Check that ids, names and paths are the process's own: of a plain program, of a script, at every length of the path,
/// and after an exec from a thread that is not the leader.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn ids_names_and_paths_are_those_of_the_process() {
    let mut tracer = attach();
    check_ids(&mut tracer);
    check_script(&mut tracer);
    for len in [255, 256, 4_000] {
        let path = [&b"/".repeat(len - TRUE.len()), TRUE.as_bytes()].concat();
        let exec = only(execs_of(&mut tracer, &mut Command::new(OsStr::from_bytes(&path))));
        assert_eq!(exec.filename.as_deref().map(OsStr::as_bytes), Some(&path[..]), "{len} bytes");
    }
    check_exec_from_a_thread(&mut tracer);
}

fn check_ids(tracer: &mut Tracer) {
    let mut child = tracer.spawn(quiet(Command::new(TRUE).uid(65_534).gid(65_534))).expect("starts");
    child.wait().expect("ends");
    let exec = only(drain(tracer));
    assert_eq!((exec.pid, exec.tgid, exec.old_pid), (child.id(), child.id(), child.id()));
    assert_eq!((exec.ppid, exec.uid), (std::process::id(), 65_534));
    assert_eq!((exec.filename.as_deref(), &*exec.comm), (Some(OsStr::new(TRUE)), OsStr::new("true")));
    let boottime = boottime_now();
    assert!(exec.time <= boottime && boottime - exec.time < Duration::from_secs(60), "{exec:?} at {boottime:?}");
}

fn boottime_now() -> Duration {
    let uptime = std::fs::read_to_string("/proc/uptime").expect("/proc is mounted");
    let seconds: f64 = uptime.split(' ').next().and_then(|text| text.parse().ok()).expect("a number");
    Duration::from_secs_f64(seconds + 0.01)
}

/// A script's exec has the script's path and name, which is cut to 15 bytes, and the interpreter's argv.
fn check_script(tracer: &mut Tracer) {
    let dir = tempfile::tempdir().expect("a directory");
    let script = dir.path().join("script-of-a-long-name");
    std::fs::write(&script, format!("#!{SH} -e\n:\n")).expect("writable");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).expect("chmod");
    let exec = only(execs_of(tracer, Command::new(&script).arg("arg")));
    assert_eq!((exec.filename.as_deref(), &*exec.comm), (Some(script.as_os_str()), OsStr::new("script-of-a-lon")));
    assert_eq!(exec.argv, [OsStr::new(SH), OsStr::new("-e"), script.as_os_str(), OsStr::new("arg")]);
    assert_eq!(exec.argc, 4);
}

/// An exec from a thread is the process's, and its descendants stay in scope.
fn check_exec_from_a_thread(tracer: &mut Tracer) {
    let mut command = Command::new(self_exe());
    command.args(["--exact", "event::a_thread_execs_when_asked_to", "--nocapture"]).env(EXEC_IN_THREAD, "1");
    let mut child = tracer.spawn(quiet(&mut command)).expect("starts");
    child.wait().expect("ends");
    let execs = drain(tracer);
    assert_eq!(execs.len(), 3, "{execs:#?}");
    let from_thread = &execs[1];
    assert_eq!(from_thread.argv[0], SH);
    assert_eq!((from_thread.pid, from_thread.tgid), (child.id(), child.id()));
    assert_ne!(from_thread.old_pid, from_thread.pid);
    assert_eq!((&*execs[2].argv[1], execs[2].ppid), (OsStr::new("of the thread"), child.id()));
}

const EXEC_IN_THREAD: &str = "TRACER_TEST_EXEC_IN_THREAD";

/// Not a test of its own: the thread that [`check_exec_from_a_thread`] wants.
#[test]
fn a_thread_execs_when_asked_to() {
    if std::env::var_os(EXEC_IN_THREAD).is_some() {
        let script = format!("{TRUE} 'of the thread'; :");
        let thread = std::thread::spawn(|| Command::new(SH).arg("-c").arg(script).exec());
        panic!("exec failed: {:?}", thread.join());
    }
}

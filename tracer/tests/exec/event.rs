//! What an event says about its exec.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use rstest::rstest;
use serial_test::serial;
use tracer::{ARGV_CAP, ArgvCut};

use crate::common::{SH, attach, drain, execs_of, only, quiet, self_exe};

/// `--list` and then these arguments, for this executable.
fn list_args(rest: &[&[u8]]) -> Vec<OsString> {
    std::iter::once(&b"--list"[..]).chain(rest.iter().copied()).map(|arg| OsString::from_vec(arg.to_vec())).collect()
}

/// Check that argv arrives byte for byte.
#[rstest]
#[case::none(&[])]
#[case::spaces(&[&b"two words"[..], b" ", b"\t"])]
#[case::empty_strings(&[&b""[..], b"", b"x", b""])]
#[case::newline(&[&b"a\nb"[..], b"\n"])]
#[case::not_utf8(&[&b"\xff\xfe"[..], b"\x80"])]
#[case::every_byte_but_nul(&[&EVERY_BYTE[..]])]
#[ignore = "root: loads BPF programs"]
#[serial]
fn argv_arrives_byte_for_byte(#[case] rest: &[&[u8]]) {
    let args = list_args(rest);
    let mut tracer = attach();
    let exec = only(execs_of(&mut tracer, Command::new(self_exe()).arg0("argv zero").args(&args)));
    assert_eq!(exec.argv[0], "argv zero");
    assert_eq!(exec.argv[1..], args);
    assert_eq!(exec.argc as usize, args.len() + 1);
    assert_eq!(exec.argv_cut, None);
}

const EVERY_BYTE: [u8; 255] = {
    let mut bytes = [0; 255];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = at as u8 + 1;
        at += 1;
    }
    bytes
};

/// Check that argv is whole at each length around those of the records and of pages.
#[rstest]
#[case(255)]
#[case(256)]
#[case(257)]
#[case(4095)]
#[case(4096)]
#[case(4097)]
#[case(70_000)]
#[ignore = "root: loads BPF programs"]
#[serial]
fn argv_of_every_length_is_whole(#[case] len: usize) {
    let mut tracer = attach();
    // "x" NUL "--list" NUL … NUL
    let filler: Vec<u8> = (0..len - 10).map(|at| b'a' + (at % 26) as u8).collect();
    let args = list_args(&[&filler]);
    let exec = only(execs_of(&mut tracer, Command::new(self_exe()).arg0("x").args(&args)));
    assert_eq!(exec.argv_len, len as u64);
    assert_eq!(exec.argv[1..], args);
    assert_eq!(exec.argv_cut, None);
}

/// Check that the ids, the name and the path are the process's own.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn ids_and_names_are_those_of_the_process() {
    let mut tracer = attach();
    let mut command = Command::new(self_exe());
    let mut child = tracer.spawn(quiet(command.arg("--list").uid(65_534).gid(65_534))).expect("starts");
    child.wait().expect("ends");
    let exec = only(drain(&mut tracer));
    assert_eq!((exec.pid, exec.tgid, exec.old_pid), (child.id(), child.id(), child.id()));
    assert_eq!((exec.ppid, exec.uid), (std::process::id(), 65_534));
    assert_eq!(exec.filename.as_deref(), Some(self_exe().as_os_str()));
    let name = self_exe().file_name().expect("a file has a name").as_bytes().to_vec();
    assert_eq!(exec.comm.as_bytes(), &name[..name.len().min(15)]);
    let boottime = boottime_now();
    assert!(exec.time <= boottime && boottime - exec.time < Duration::from_secs(60), "{exec:?} at {boottime:?}");
}

fn boottime_now() -> Duration {
    let uptime = std::fs::read_to_string("/proc/uptime").expect("/proc is mounted");
    let seconds: f64 = uptime.split(' ').next().and_then(|text| text.parse().ok()).expect("a number");
    Duration::from_secs_f64(seconds + 0.01)
}

/// Check that a script's exec has the script's path, and the interpreter's argv and name.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn a_script_has_its_own_path_and_its_interpreters_argv() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = dir.path().join("script");
    std::fs::write(&script, format!("#!{SH} -e\n:\n")).expect("writable");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    let exec = only(execs_of(&mut attach(), Command::new(&script).arg("arg")));
    assert_eq!(exec.filename.as_deref(), Some(script.as_os_str()));
    assert_eq!(exec.argv, [OsStr::new(SH), OsStr::new("-e"), script.as_os_str(), OsStr::new("arg")]);
    assert_eq!(exec.argc, 4);
}

/// Check that a long path is whole: one that the small record just holds, and one near PATH_MAX.
#[rstest]
#[case(255)]
#[case(256)]
#[case(4_000)]
#[ignore = "root: loads BPF programs"]
#[serial]
fn a_long_path_is_whole(#[case] len: usize) {
    let exe = self_exe();
    let mut path = b"/".repeat(len - exe.as_os_str().len());
    path.extend_from_slice(exe.as_os_str().as_bytes());
    let exec = only(execs_of(&mut attach(), Command::new(OsStr::from_bytes(&path)).arg("--list")));
    assert_eq!(exec.filename.as_deref().map(OsStr::as_bytes), Some(&path[..]));
}

/// Check that an argv of 1,000 items is whole.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn an_argv_of_a_thousand_items_is_whole() {
    let items: Vec<String> = (2..1_000).map(|number| format!("item {number}")).collect();
    let args = list_args(&items.iter().map(String::as_bytes).collect::<Vec<_>>());
    let exec = only(execs_of(&mut attach(), Command::new(self_exe()).args(&args)));
    assert_eq!(exec.argv[1..], args);
    assert_eq!((exec.argv.len(), exec.argc, exec.argv_cut), (1_000, 1_000, None));
}

/// Check that an argv that just fits is whole, and that beyond the cap it is marked as cut, with its true length.
#[rstest]
#[case::at_the_cap(0)]
#[case::one_byte_more(1)]
#[case::far_more(100_000)]
#[ignore = "root: loads BPF programs"]
#[serial]
fn an_argv_beyond_the_cap_is_marked_with_its_true_length(#[case] beyond: usize) {
    let len = ARGV_CAP + beyond;
    // An argument may have 128 KiB.
    let mut rest: Vec<Vec<u8>> = (0..len / 65_536).map(|number| vec![b'a' + number as u8; 60_000]).collect();
    let used: usize = "x\0--list\0".len() + rest.iter().map(|arg| arg.len() + 1).sum::<usize>() + 1;
    rest.push(vec![b'z'; len - used]);
    let args = list_args(&rest.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let exec = only(execs_of(&mut attach(), Command::new(self_exe()).arg0("x").args(&args)));
    assert_eq!((exec.argv_len, exec.argc as usize), (len as u64, args.len() + 1));
    if beyond == 0 {
        assert_eq!(exec.argv[1..], args);
        assert_eq!(exec.argv_cut, None);
    } else {
        assert_eq!(exec.argv_cut, Some(ArgvCut::TooLong));
        let shown = exec.argv.iter().map(|arg| arg.as_bytes()).collect::<Vec<_>>().join(&0);
        let sent = args.iter().map(|arg| arg.as_bytes()).collect::<Vec<_>>().join(&0);
        // A NUL at the very end of what is shown has become the end of an argument.
        assert!(shown.len() + 1 >= ARGV_CAP && [b"x\0", &sent[..]].concat().starts_with(&shown));
    }
}

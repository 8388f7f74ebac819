//! Execs that fail, each errno as its caller sees it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use nix::libc;
use rstest::rstest;
use tracer::event::{Absent, Cut};

use crate::common::*;

/// Check that each errno is there, with the words that the caller gave.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
fn each_errno_is_there(#[case] way: Way) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let file = |name: &str, mode| {
        fs::write(path(name), "\x01\x02\x03").expect("written");
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).expect("chmod");
        path(name)
    };
    symlink(path("loop"), path("loop")).expect("a link");
    let plain = file("plain", 0o644);
    let cases = [
        (path("missing"), libc::ENOENT),
        (plain.clone(), libc::EACCES),
        (dir.path().to_str().expect("UTF-8").to_owned(), libc::EACCES),
        (format!("{plain}/below"), libc::ENOTDIR),
        (path("loop"), libc::ELOOP),
        (file("garbage", 0o755), libc::ENOEXEC),
        (format!("/{}", "n".repeat(300)), libc::ENAMETOOLONG),
    ];
    for (path, errno) in cases {
        // A subshell of its own, which the shell would otherwise be replaced by.
        let traced = way.sh(&format!("(exec {path} word); exit 0"));
        let exec = traced.execs().find(|exec| filename(exec) == path).expect("the exec");
        assert_eq!((exec.errno, argv(exec)), (errno, vec![path.clone(), "word".to_owned()]));
        assert!(!strings(exec.env.as_ref().expect("env")).is_empty());
        assert_eq!(exec.interpreter, Err(Absent::NotApplicable));
    }
}

/// Check pointers that lead nowhere: each field says so, or how far it could be read.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
fn pointers_that_lead_nowhere_are_told(#[case] way: Way) {
    let fault = Absent::Unreadable(libc::EFAULT);
    let traced = way.program("bad-filename");
    assert_eq!(traced.code(), Some(libc::EFAULT));
    let exec = traced.execs().last().expect("an exec");
    assert_eq!((exec.errno, exec.filename.clone()), (libc::EFAULT, Err(fault.clone())));

    let exec = way.program("bad-argv").only("/bin/true").clone();
    assert_eq!((exec.errno, exec.argv), (libc::EFAULT, Err(fault)));

    let exec = way.program("argv-that-ends-unmapped").only("/bin/true").clone();
    let argv = exec.argv.expect("argv");
    assert_eq!(argv.items, [b"one".to_vec(), b"two".to_vec()]);
    assert_eq!((exec.errno, argv.cut), (libc::EFAULT, Some(Cut::Unreadable(libc::EFAULT))));

    let exec = way.program("string-that-ends-unmapped").only("/bin/true").clone();
    let argv = exec.argv.expect("argv");
    assert_eq!(argv.items, [b"first".to_vec(), b"no-nu".to_vec()]);
    assert_eq!((exec.errno, argv.cut), (libc::EFAULT, Some(Cut::Unreadable(libc::EFAULT))));
}

/// Check the other ABIs of x86_64: what the kernel says of them is in the trace, with the ABI.
#[cfg(target_arch = "x86_64")]
#[rstest]
#[case::compat("compat", tracer::event::Abi::Compat)]
#[case::x32("x32", tracer::event::Abi::X32)]
fn other_abis_are_seen(
    #[values(Way::Plain, Way::Filter)] way: Way,
    #[case] name: &str,
    #[case] abi: tracer::event::Abi,
) {
    use std::os::unix::process::ExitStatusExt;
    // Without a tracer: a kernel without the ABI kills the program, or says ENOSYS.
    let untraced = crate::program::command(name).status().expect("starts");
    let traced = way.program(name);
    assert_eq!(traced.summary.status, Some(untraced));
    if untraced.signal().is_none() {
        let exec = traced.only("/bin/true");
        assert_eq!((exec.abi, Some(exec.errno)), (abi, untraced.code()));
        if abi == tracer::event::Abi::Compat {
            assert_eq!(argv(exec), ["true", "thirty-two"]);
        }
    }
}

//! What becomes of a VM when QEMU or the guest misbehaves: each fault is named, in time, and nothing stays behind.
//!
//! QEMU is played by this test's own executable, or by a shell script.

#![allow(missing_docs, reason = "the names of tests are sentences")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use ukci::matrix::Arch;
use ukci::vm::machine::{Accel, MachineSpec};
use ukci::vm::qmp::QmpError;
use ukci::vm::{Deadlines, Qemu, Stage, Vm, VmError};

const FAULT: &str = "UKCI_TEST_FAULT";

/// Not a test of its own: QEMU with the fault that the environment names. It gets QEMU's arguments.
#[test]
#[ignore = "plays QEMU for the other tests"]
fn fake_qemu() {
    let Ok(fault) = std::env::var(FAULT) else { return };
    let arguments: Vec<String> = std::env::args().collect();
    let socket = arguments.iter().find_map(|argument| argument.strip_prefix("socket,id=qmp,path=")).unwrap();
    let mut qmp = UnixStream::connect(socket).unwrap();
    if fault == "garbage" {
        writeln!(qmp, "220 ready").unwrap();
    } else {
        writeln!(qmp, r#"{{"QMP": {{}}}}"#).unwrap();
    }
    let mut commands = BufReader::new(qmp.try_clone().unwrap()).lines();
    if commands.next().is_some() {
        writeln!(qmp, r#"{{"return": {{}}, "id": 1}}"#).unwrap();
    }
    let mut console = std::io::stdout();
    match &*fault {
        "panic" => {
            return writeln!(console, "[ 1.0] Kernel panic - not syncing: VFS: no root\n[ 1.0] last words").unwrap();
        }
        "init" => writeln!(console, "[ 1.0] ukci: cannot find the virtio port").unwrap(),
        "cramped" => {
            let lines = "[ 1.0] Initramfs unpacking failed: write error\n[ 2.0] ukci: cannot start the ssh server";
            writeln!(console, "{lines}").unwrap();
        }
        "endless" => while writeln!(console, "all work and no play").is_ok() {},
        _ => {}
    }
    // Until the other end is gone.
    while commands.next().is_some_and(|line| line.is_ok()) {}
}

fn player(fault: &str) -> Qemu {
    Qemu {
        program: std::env::current_exe().unwrap(),
        args: ["fake_qemu", "--exact", "--ignored", "--nocapture", "--"].map(Into::into).to_vec(),
        env: vec![(FAULT.into(), fault.into())],
        firmware: Vec::new(),
        version: "0".into(),
        sandbox: false,
    }
}

fn script(directory: &Path, text: &str) -> Qemu {
    let program = directory.join("qemu");
    fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    Qemu { program, args: Vec::new(), env: Vec::new(), ..player("") }
}

async fn boot_within(qemu: &Qemu, directory: &TempDir, boot: Duration) -> VmError {
    let spec = MachineSpec {
        arch: Arch::X86_64,
        accel: Accel::Tcg,
        vcpus: 1,
        memory_mib: 64,
        kernel: "/kernel".into(),
        initrd: "/initrd".into(),
        network: false,
        time: None,
    };
    let deadlines = Deadlines { boot, ..Deadlines::of(spec.arch, spec.accel) };
    match Vm::boot(qemu, &spec, directory.path(), directory.path(), deadlines).await {
        Ok(_) => panic!("it booted"),
        Err(error) => error,
    }
}

async fn boot(qemu: &Qemu, directory: &TempDir) -> VmError {
    boot_within(qemu, directory, Duration::from_secs(30)).await
}

#[tokio::test]
async fn a_missing_qemu_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let qemu = Qemu { program: "/nonexistent/qemu".into(), ..player("") };
    let error = boot(&qemu, &directory).await.to_string();
    assert!(error.contains("cannot run `/nonexistent/qemu`"), "{error}");
}

#[tokio::test]
async fn what_a_dying_qemu_said_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let qemu = script(directory.path(), "echo 'qemu: unknown machine' >&2; exit 3");
    let error = boot(&qemu, &directory).await;
    assert!(matches!(error, VmError::Died { stage: Stage::Start, .. }), "{error}");
    let text = error.to_string();
    for part in ["while QEMU started", "exit status: 3", "qemu: unknown machine", "console.log"] {
        assert!(text.contains(part), "`{part}` in {text}");
    }
}

#[tokio::test]
async fn a_guest_that_is_never_ready_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let error = boot_within(&player("silent"), &directory, Duration::from_millis(300)).await;
    assert!(error.is_timeout(), "{error}");
    assert!(error.to_string().contains("waited 0.3 s for the guest's init to be ready"), "{error}");
}

#[tokio::test]
async fn a_panic_is_named_by_its_title() {
    let directory = tempfile::tempdir().unwrap();
    let error = boot(&player("panic"), &directory).await;
    assert!(matches!(&error, VmError::Panicked { title, .. } if title.contains("VFS: no root")), "{error}");
    assert!(error.to_string().contains("last words"), "{error}");
}

#[tokio::test]
async fn what_init_could_not_do_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let error = boot(&player("init"), &directory).await;
    assert!(matches!(&error, VmError::Init { said, .. } if said == "cannot find the virtio port"), "{error}");
}

#[tokio::test]
async fn an_initramfs_that_does_not_fit_is_told_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let error = boot(&player("cramped"), &directory).await;
    assert!(matches!(&error, VmError::Cramped { said, .. } if said == "cannot start the ssh server"), "{error}");
    assert!(error.to_string().contains("\n  hint: `guest.memory_mib` in the matrix"), "{error}");
}

#[tokio::test]
async fn an_endless_console_does_not_hide_the_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let error = boot_within(&player("endless"), &directory, Duration::from_secs(1)).await;
    assert!(error.is_timeout(), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(fs::metadata(directory.path().join("console.log")).unwrap().len() < 65 << 20);
}

#[tokio::test]
async fn a_qemu_that_speaks_another_protocol_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let error = boot(&player("garbage"), &directory).await;
    assert!(
        matches!(&error, VmError::Qmp { source: QmpError::Protocol { found }, .. } if found == "220 ready"),
        "{error}"
    );
}

#[tokio::test]
async fn only_a_qemu_counts_as_one() {
    let directory = tempfile::tempdir().unwrap();
    let inspect =
        |text: &str| Qemu::inspect(script(directory.path(), text).program, Vec::new(), Vec::new(), Vec::new());
    let error = inspect("echo hello").await.unwrap_err().to_string();
    assert!(error.contains("expected QEMU's version, found `hello`"), "{error}");
    let qemu = inspect("echo 'QEMU emulator version 99.1.2 (x)'; echo '-sandbox on[,spawn=deny]'").await.unwrap();
    assert_eq!((&*qemu.version, qemu.sandbox), ("99.1.2", true));
}

//! Boots a real kernel in QEMU and uses it. Needs what `common/real.rs` says.

#![allow(
    missing_docs,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "the names of tests are sentences; they tell what they measured"
)]

#[path = "common/real.rs"]
mod real;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use real::{Guest, SOON};
use sha2::{Digest, Sha256};
use ukci::vm::ssh::Exit;
use ukci::vm::{Stage, VmError};

#[tokio::test]
#[ignore = "boots a guest"]
async fn a_guest_boots_answers_and_goes_down_without_a_trace() {
    let guest = Guest::prepare().await;
    let start = Instant::now();
    let mut vm = guest.boot().await;
    let ready = start.elapsed();
    let session = vm.connect(&guest.keys).await.unwrap();
    let connected = start.elapsed();
    let output = session.run("uname -r; date +%s", SOON).await.unwrap();
    eprintln!(
        "ready {:.2} s, connected {:.2} s, answered {:.2} s: {}",
        ready.as_secs_f64(),
        connected.as_secs_f64(),
        start.elapsed().as_secs_f64(),
        String::from_utf8_lossy(&output.stdout).trim()
    );
    assert_eq!(output.exit, Exit::Code(0));
    assert_eq!(vm.console().complaints(), []);

    let id = vm.process_id().unwrap();
    let start = Instant::now();
    vm.power_off(Some(session)).await.unwrap();
    eprintln!("off {:.2} s", start.elapsed().as_secs_f64());
    assert!(!Path::new(&format!("/proc/{id}")).exists(), "QEMU {id} is still there");
}

#[tokio::test]
#[ignore = "boots a guest"]
async fn a_guest_without_a_network_has_the_loopback_interface_only() {
    let (vm, session) = Guest::prepare().await.boot_and_connect().await;
    let output = session.run("ls /sys/class/net; mount | wc -l; ls /dev/pts; id -u", SOON).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().next(), Some("lo"), "{output:?}");
    drop((vm, session));
}

#[tokio::test]
#[ignore = "boots a guest"]
async fn a_guest_with_a_network_has_an_address() {
    let (_vm, session) = Guest::with(&[], true).await.boot_and_connect().await;
    let output = session.run("cat /sys/class/net/eth0/operstate && ping -c 1 -W 10 10.0.2.2", SOON).await.unwrap();
    assert_eq!(output.exit, Exit::Code(0), "{output:?}");
}

#[tokio::test]
#[ignore = "boots a guest"]
async fn a_warning_of_the_kernel_reaches_us() {
    let (vm, session) = Guest::prepare().await.boot_and_connect().await;
    let mark = vm.console().mark();
    // 4 is the level of WARN(). What comes after it on the same console says that it has arrived.
    let command =
        "echo '<4>WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2' >/dev/kmsg; echo '<3>ukci: cannot wait' >/dev/kmsg";
    assert_eq!(session.run(command, SOON).await.unwrap().exit, Exit::Code(0));
    vm.console().wait_for_init("never said").await;
    let titles: Vec<_> = vm.console().complaints_since(mark).into_iter().map(|complaint| complaint.title).collect();
    assert_eq!(titles, ["WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2"]);
}

#[tokio::test]
#[ignore = "boots a guest"]
async fn the_probe_for_kvm_answers_in_time() {
    let guest = Guest::prepare().await;
    let start = Instant::now();
    let answer = ukci::vm::probe::kvm_works(&guest.qemu, &guest.spec, guest.directory.path()).await;
    eprintln!("KVM after {:.1} s: {answer:?}", start.elapsed().as_secs_f64());
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
#[ignore = "boots a guest"]
async fn commands_tell_how_they_ended() {
    let (_vm, session) = Guest::prepare().await.boot_and_connect().await;
    let output = session.run("echo out; echo err >&2; exit 7", SOON).await.unwrap();
    assert_eq!((output.exit, &*output.stdout, &*output.stderr), (Exit::Code(7), &b"out\n"[..], &b"err\n"[..]));
    // SIGBUS, SIGTRAP and SIGSYS have no name in the protocol, and must not look like success.
    for signal in ["SEGV", "BUS", "TRAP", "SYS", "KILL", "TERM"] {
        let output = session.run(&format!("kill -{signal} $$"), SOON).await.unwrap();
        assert_eq!(output.exit, Exit::Signal(signal.into()));
    }
    // Both streams far over the windows of the connection and the limit of what is kept.
    let command = "yes out | head -c 20000000 & yes err | head -c 20000000 >&2; wait";
    let output = session.run(command, Duration::from_secs(120)).await.unwrap();
    assert_eq!(output.exit, Exit::Code(0));
    assert!(output.truncated);
    assert_eq!((output.stdout.len(), output.stderr.len()), (16 << 20, 16 << 20));
}

#[tokio::test]
#[ignore = "boots a guest"]
async fn files_arrive_as_they_left() {
    let dir = tempfile::tempdir().unwrap();
    let (here, back) = (dir.path().join("here"), dir.path().join("back"));
    let mut state = 1_u32;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(12 << 20)
    .collect();
    fs::write(&here, &bytes).unwrap();
    let guest = Guest::with(&[("blob", &here)], false).await;
    let (_vm, session) = guest.boot_and_connect().await;

    let start = Instant::now();
    session.copy_in(&here, "/tmp/it's", 0o750, Duration::from_secs(120)).await.unwrap();
    eprintln!("12 MiB in: {:.2} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    session.copy_out("/tmp/it's", &back, Duration::from_secs(120)).await.unwrap();
    eprintln!("12 MiB out: {:.2} s", start.elapsed().as_secs_f64());
    assert_eq!(Sha256::digest(fs::read(&back).unwrap()), Sha256::digest(&bytes));
    let output = session.run("cmp /tmp/it\"'\"s /ukci/bundle/blob && ls -l /tmp /ukci/bundle", SOON).await.unwrap();
    assert_eq!(output.exit, Exit::Code(0), "{output:?}");
    let listing = String::from_utf8_lossy(&output.stdout);
    assert!(listing.contains("-rwxr-x---") && listing.contains("-rwxr-xr-x"), "{listing}");

    let error = session.copy_out("/nonexistent", &back, SOON).await.unwrap_err().to_string();
    assert!(error.contains("cannot copy `/nonexistent` in the guest: exit status 1"), "{error}");
}

#[tokio::test]
#[ignore = "boots a guest"]
async fn a_command_past_its_deadline_is_killed_and_the_session_lives_on() {
    let (_vm, session) = Guest::prepare().await.boot_and_connect().await;
    let start = Instant::now();
    let output = session.run("echo before; sleep 1000 & sleep 1000", Duration::from_secs(1)).await.unwrap();
    eprintln!("killed after {:.2} s", start.elapsed().as_secs_f64());
    assert_eq!((output.exit, &*output.stdout), (Exit::TimedOut, &b"before\n"[..]));
    let output = session.run("pidof sleep", SOON).await.unwrap();
    assert_eq!((output.exit, &*output.stdout), (Exit::Code(1), &b""[..]), "something survived");
    let output = session.run("yes", Duration::from_secs(1)).await.unwrap();
    assert_eq!(output.exit, Exit::TimedOut);
    assert_eq!(session.run("true", SOON).await.unwrap().exit, Exit::Code(0));
}

#[tokio::test]
#[ignore = "boots a guest; takes two minutes"]
async fn a_hundred_connections_in_a_row() {
    let guest = Guest::prepare().await;
    let mut vm = guest.boot().await;
    let start = Instant::now();
    let mut slowest = Duration::ZERO;
    for turn in 0..100 {
        let begun = Instant::now();
        let session = match vm.connect(&guest.keys).await {
            Ok(session) => session,
            Err(error) => panic!("connection {turn}: {error}"),
        };
        let output = session.run("true", SOON).await.unwrap();
        assert_eq!(output.exit, Exit::Code(0));
        slowest = slowest.max(begun.elapsed());
    }
    eprintln!("100 connections: {:.1} s, slowest {:.2} s", start.elapsed().as_secs_f64(), slowest.as_secs_f64());
}

#[tokio::test]
#[ignore = "boots a guest"]
async fn a_panic_is_seen_at_once_with_its_title() {
    let (mut vm, session) = Guest::prepare().await.boot_and_connect().await;
    let start = Instant::now();
    let command = session.run("echo c >/proc/sysrq-trigger", Duration::from_secs(60));
    command.await.unwrap_err();
    let error = vm.ended(Stage::Use).await;
    eprintln!("panic seen after {:.2} s", start.elapsed().as_secs_f64());
    assert!(matches!(&error, VmError::Panicked { title, .. } if title.contains("sysrq triggered crash")), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
#[ignore = "boots a guest"]
async fn a_server_without_the_pinned_key_is_refused() {
    let mut guest = Guest::prepare().await;
    let mut vm = guest.boot().await;
    guest.keys = ukci::vm::keys::RunKeys::generate().unwrap();
    let error = vm.connect(&guest.keys).await.unwrap_err().to_string();
    assert!(error.contains("another host key"), "{error}");
}

/// Not a test of its own: what a person does at a terminal.
#[tokio::test]
#[ignore = "a helper of another test"]
async fn child_that_opens_a_shell() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let (_vm, session) = Guest::prepare().await.boot_and_connect().await;
    println!("ended: {}", session.shell().await.unwrap());
}

#[tokio::test]
#[ignore = "boots a guest"]
async fn a_shell_passes_input_output_and_status() {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child_that_opens_a_shell", "--nocapture"])
        .env(CHILD, "shell")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"echo out $((6 * 7)); echo err $((6 * 8)) >&2; exit 5\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for part in ["out 42\n", "err 48\n", "ended: exit status 5\n"] {
        assert!(text.contains(part), "`{part}` in {text}");
    }
}

const CHILD: &str = "UKCI_TEST_CHILD";

/// Not a test of its own: the process that `qemu_does_not_outlive_its_parent` kills.
#[tokio::test]
#[ignore = "a helper of another test"]
async fn child_that_boots_and_waits() {
    let Some(report) = std::env::var_os(CHILD) else { return };
    let guest = Guest::prepare().await;
    let vm = guest.boot().await;
    fs::write(report, vm.process_id().unwrap().to_string()).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
#[ignore = "boots a guest"]
async fn qemu_does_not_outlive_its_parent() {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("pid");
    nix::unistd::mkfifo(&report, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child_that_boots_and_waits", "--test-threads=1"])
        .env(CHILD, &report)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // Reading blocks until the child writes.
    let id = fs::read_to_string(&report).unwrap();
    assert!(fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap().contains("qemu"));
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    // Whoever adopts it may be slow to reap it; a zombie has no command line.
    while fs::read_to_string(format!("/proc/{id}/cmdline")).is_ok_and(|line| !line.is_empty()) {
        assert!(Instant::now() < deadline, "QEMU {id} is still there");
        std::thread::yield_now();
    }
}

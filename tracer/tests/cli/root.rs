//! The command line with the eBPF backend, which needs root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::libc;
use serial_test::serial;

use crate::common::{output, self_exe, tracer, tracer_at};

/// The records of execs.
#[track_caller]
fn json_lines(path: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).expect("the trace was written");
    let records = text.lines().map(|line| serde_json::from_str(line).expect(line));
    records.filter(|record: &serde_json::Value| record["event"] == "exec").collect()
}

/// Check that each line is an object, in order, with the whole argv, and that the status is the command's.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn json_lines_have_the_execs_and_the_status_is_the_commands() {
    let dir = tempfile::tempdir().expect("a directory");
    let trace = dir.path().join("trace");
    let script = "/bin/true 'a b'; /bin/true \"$(printf '\\377')\"; exit 3";
    let path = trace.to_str().expect("a temporary path is UTF-8");
    let traced = output(&["collect", "--backend", "ebpf", "-f", "jsonl", "-o", path, "--", "/bin/sh", "-c", script]);
    assert_eq!(traced.status.code(), Some(3), "{}", String::from_utf8_lossy(&traced.stderr));
    let lines = json_lines(&trace);
    let execs: Vec<_> = lines.iter().filter(|line| line["filename"] == "/bin/true").collect();
    assert_eq!(execs.len(), 2, "{lines:#?}");
    assert_eq!(lines[0]["argv"], serde_json::json!(["/bin/sh", "-c", script]));
    assert_eq!(execs[0]["argv"], serde_json::json!(["/bin/true", "a b"]));
    assert_eq!(execs[1]["argv"], serde_json::json!(["/bin/true", { "hex": "ff" }]));
    assert_eq!(execs[0]["ppid"], lines[0]["pid"]);
}

/// Check that a user without privileges is told what is lacking. Runs this executable as nobody.
#[test]
#[ignore = "root: changes the user"]
#[serial]
fn a_user_without_privileges_is_told_what_is_lacking() {
    // A copy, because the original may lie where nobody cannot read.
    let dir = tempfile::tempdir().expect("a directory");
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
    let exe = dir.path().join("tests");
    fs::copy(self_exe(), &exe).expect("copied");
    let output = tracer_at(&exe, &["log", "--backend", "ebpf", "--", "/bin/true"])
        .uid(65_534)
        .gid(65_534)
        .output()
        .expect("starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("hint: run it as root, or with CAP_BPF and CAP_PERFMON"), "{stderr}");
}

/// Check that root without CAP_SYS_RESOURCE traces by eBPF; or, where the kernel counts BPF maps as locked memory (before 5.11) and
/// that is limited, that the limit is named, and another backend is taken if the choice is not the user's.
#[test]
#[ignore = "root: loads BPF programs, and drops a capability"]
#[serial]
fn root_without_cap_sys_resource_can_trace() {
    const CAP_SYS_RESOURCE: u64 = 24;
    let traced = |backend| {
        let mut command = tracer(&["log", "--backend", backend, "--", "/bin/true"]);
        // SAFETY: between fork and exec only two calls with numbers and a struct are made. What exec lets root have is the bounding
        // set.
        unsafe {
            command.pre_exec(|| {
                let limit = libc::rlimit { rlim_cur: 64 << 10, rlim_max: 64 << 10 };
                let set = libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit);
                let dropped = libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0);
                if (set, dropped) == (0, 0) { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            })
        };
        let output = command.output().expect("starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (status, stderr) = traced("ebpf");
    if status != Some(0) {
        assert!(stderr.contains("ulimit -l"), "{stderr}");
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("readable");
        assert!(release.starts_with("5.10."), "{release}: {stderr}");
    }
    let (status, stderr) = traced("auto");
    assert_eq!(status, Some(0), "{stderr}");
    assert!(stderr.contains("/bin/true"), "{stderr}");
}

/// Check that a signal ends a system-wide trace in order: everything is written, and the summary is on stderr.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn a_signal_ends_a_system_wide_trace_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let trace = dir.path().join("trace");
    let mut command = tracer(&["collect", "--backend", "ebpf", "-f", "jsonl", "-o", trace.to_str().expect("UTF-8")]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    // The trace is on as soon as it has one of our execs in it; each round makes one.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !fs::read_to_string(&trace).is_ok_and(|text| text.contains(r#""event":"exec""#)) {
        assert!(std::time::Instant::now() < deadline, "no exec in the trace after 60 s");
        Command::new("/bin/true").status().expect("starts");
    }
    let kill = Command::new("/bin/sh").args(["-c", &format!("kill -TERM {}", child.id())]).status();
    assert!(kill.expect("starts").success());
    let output = child.wait_with_output().expect("ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.status.signal()), (Some(0), None), "{stderr}");
    assert!(stderr.contains("tracer: "), "{stderr}");
    let lines = json_lines(&trace);
    let last = lines.last().expect("at least one exec");
    assert!(last["argv"].to_string().contains("kill -"), "{last}");
}

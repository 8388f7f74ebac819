//! Runs the matrix of a project that is not ukci's own, as a user would: real cargo, real kernels, the real binary.
//! It stands in `fixtures/second`.

#![allow(missing_docs, reason = "the names of tests are sentences")]

#[path = "common/essence.rs"]
mod essence;
#[path = "common/processes.rs"]
mod processes;

use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use processes::{Marked, wait_until};
use serde_json::Value;

/// One `ukci run` of the second project, with a directory of its own for the results.
struct Run {
    out: tempfile::TempDir,
    mark: Marked,
    command: Command,
}

impl Run {
    fn of(tests: &[&str]) -> Self {
        let out = tempfile::tempdir().unwrap();
        let mark = Marked::new();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ukci"));
        command
            .arg("run")
            .arg("--matrix")
            .arg(matrix())
            .arg("--no-progress")
            .args(["--accel", "tcg", "--kernel", "6.12"]);
        command.arg("--out").arg(out.path().join("run"));
        for test in tests {
            command.args(["--test", test]);
        }
        // Compiled once for all of these tests, and apart from the workspace.
        command.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("second"));
        command.env(mark.key(), mark.value()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { out, mark, command }
    }

    fn directory(&self) -> PathBuf {
        self.out.path().join("run")
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.directory().join(file)).unwrap()
    }

    fn record(&self) -> Value {
        serde_json::from_str(&self.read("run.json")).unwrap()
    }

    fn finish(&mut self) -> Output {
        let output = self.command.output().unwrap();
        assert_eq!(self.mark.alive(), Vec::<String>::new(), "processes were left behind");
        output
    }

    /// Starts it, and waits until the guest runs the test that does not end.
    fn start_and_wait_for_the_test(&mut self) -> Child {
        let child = self.command.spawn().unwrap();
        let path = self.directory().join("run.json");
        wait_until("the test begins", || {
            let record = std::fs::read_to_string(&path).unwrap_or_default();
            record.contains("waits_forever")
        });
        assert!(self.mark.alive().iter().any(|name| name.contains("qemu")), "{:?}", self.mark.alive());
        child
    }
}

fn matrix() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/second/ukci.yaml")
}

/// The last attempt at the only cell: a boot that emulation spoiled is tried again.
fn last_attempt(record: &Value) -> &Value {
    record["cells"][0]["attempts"].as_array().unwrap().last().unwrap()
}

/// `name: verdict` of every test of the only cell.
fn verdicts(record: &Value) -> Vec<String> {
    let tests = last_attempt(record)["tests"].as_array().unwrap();
    let line = |test: &Value| format!("{}: {}", test["name"].as_str().unwrap(), test["verdict"].as_str().unwrap());
    tests.iter().map(line).collect()
}

#[track_caller]
fn assert_code(output: &Output, code: i32) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
}

/// Check that one run tells a pass, a failure, a complaint of the kernel and a lost VM apart, in every report.
#[test]
fn every_way_to_end_has_its_verdict() {
    let mut run = Run::of(&["*"]);
    // ukci makes the directory itself, so this is not written before.
    run.command.env("GITHUB_STEP_SUMMARY", run.out.path().join("github.md"));
    let output = run.finish();
    assert_code(&output, 4);
    let record = run.record();
    assert_eq!(
        verdicts(&record),
        [
            "tests::counts_system_calls: pass",
            "tests::fails_only_with_coverage: pass",
            "tests::fails_with_a_reason: fail",
            "tests::makes_the_kernel_complain: fail",
            "tests::panics_the_kernel: not_run",
            "tests::reports_capabilities: not_run",
            "tests::waits_forever: not_run",
        ]
    );
    let cell = &record["cells"][0];
    assert_eq!(cell["id"], "x86_64/6.12/llvm22");
    assert_eq!(cell["verdict"], "fail");
    let attempt = last_attempt(&record);
    assert_eq!(attempt["tests"][2]["message"], "two and two are 4 (src/lib.rs:43:9)");
    // What the test left is there although it failed; that it also left a link is no reason to follow it.
    let stem = "artifacts/second-tests.fails_with_a_reason";
    let artifacts = [format!("{stem}/.hidden"), format!("{stem}/why/it failed.txt")];
    assert_eq!(attempt["tests"][2]["artifacts"], Value::from(&artifacts[..]));
    assert_eq!(run.read(&format!("cells/x86_64/6.12/llvm22/{}", artifacts[1])), "two and two");
    assert_eq!(attempt["tests"][0].get("artifacts"), None);
    let complaint = attempt["tests"][3]["message"].as_str().unwrap();
    assert!(complaint.starts_with("the kernel complained: WARNING: CPU: 0 PID: 1"), "{complaint}");
    assert_eq!(attempt["loss"]["phase"], "test");
    let reason = attempt["loss"]["reason"].as_str().unwrap();
    assert!(reason.contains("panicked") && reason.contains("sysrq triggered crash"), "{reason}");
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    for text in ["tests::fails_with_a_reason", "two and two are 4", "1 cell: 0 pass, 1 fail"] {
        assert!(table.contains(text), "`{text}` in\n{table}");
    }
    assert_eq!(
        std::fs::read_to_string(run.out.path().join("github.md")).unwrap().trim_end(),
        run.read("summary.md").trim_end()
    );
    assert!(run.read("junit.xml").contains("two and two are 4"));
    assert!(run.read("summary.md").contains("two and two are 4"));
    assert!(run.read(attempt["loss"]["log"].as_str().unwrap()).contains("sysrq triggered crash"));
}

/// Check that a test past its deadline is ended, and is no loss of the VM.
#[test]
fn a_test_past_its_deadline_times_out() {
    let mut run = Run::of(&["*system_calls", "*forever"]);
    assert_code(&run.finish(), 4);
    let record = run.record();
    assert_eq!(verdicts(&record), ["tests::counts_system_calls: pass", "tests::waits_forever: timeout"]);
    assert_eq!(last_attempt(&record)["loss"], Value::Null);
    let artifact = "artifacts/second-tests.waits_forever/so far";
    assert_eq!(last_attempt(&record)["tests"][1]["artifacts"], Value::from([artifact].as_slice()));
    assert_eq!(run.read(&format!("cells/x86_64/6.12/llvm22/{artifact}")), "nothing yet");
}

/// Check that a coverage pass leaves what is needed to read it, that nothing but the project's own package is compiled for it, and
/// that a test that fails in it alone is told and fails nothing. And that a reported capability is compared with what the
/// project expects.
#[test]
fn what_fails_in_the_coverage_pass_alone_fails_nothing() {
    let mut run = Run::of(&["*system_calls", "*coverage", "*capabilities"]);
    run.command.arg("--coverage");
    let output = run.finish();
    assert_code(&output, 0);
    let record = run.record();
    assert_eq!(
        verdicts(&record),
        [
            "tests::counts_system_calls: pass",
            "tests::fails_only_with_coverage: pass",
            "tests::reports_capabilities: pass"
        ]
    );
    let attempt = last_attempt(&record);
    let capability = &attempt["capabilities"][0];
    assert_eq!((&capability["found"], &capability["expected"]), (&"raw tracepoint".into(), &"raw tracepoint".into()));
    let coverage = &attempt["coverage"];
    assert_eq!((&coverage["tests"], &coverage["missing"]), (&3.into(), &Value::Null));
    assert_eq!(coverage["failed"].as_array().unwrap().len(), 1);
    assert_eq!(coverage["failed"][0]["name"], "tests::fails_only_with_coverage");
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("note     tests::fails_only_with_coverage failed in the coverage pass: "), "{table}");
    // Each test left a profile, the one that panicked too.
    let cell = run.directory().join("cells/x86_64/6.12/llvm22");
    let artifacts = coverage["artifacts"].as_array().unwrap().iter().map(|path| path.as_str().unwrap());
    let is_profile = |path: &&str| path.contains("/userspace/") && path.ends_with(".profraw");
    let profiles: Vec<&str> = artifacts.filter(is_profile).collect();
    assert_eq!(profiles.len(), 3, "{coverage}");
    assert!(profiles[0].starts_with("coverage/second-tests.counts_system_calls/userspace/"), "{profiles:?}");
    assert!(profiles.iter().all(|path| cell.join(path).metadata().unwrap().len() > 0));
    for object in ["userspace/second", "bpf/second.bpf.o"] {
        assert!(run.directory().join("coverage/objects/x86_64/llvm22").join(object).is_file(), "{object}");
    }
    let built = run.read("build-x86_64-llvm22-coverage.log");
    assert!(!built.contains("Compiling lib"), "dependencies were compiled again: {built}");

    expectations_of_the_finished_run(&run);
}

/// Check what `ukci report --support` and `ukci capabilities` make of a run, and that what is blessed is then expected.
fn expectations_of_the_finished_run(run: &Run) {
    let project = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(matrix()).unwrap();
    let fixture = matrix().parent().unwrap().display().to_string();
    let text = text.replace("directory: .", &format!("directory: {fixture}"));
    let (matrix, rows) = (project.path().join("ukci.yaml"), project.path().join("capabilities.yaml"));
    std::fs::write(&matrix, text).unwrap();
    std::fs::write(&rows, "- {expect: {counting: fentry}, reason: 'a guess'} # kept\n").unwrap();
    let ukci = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ukci"));
        let output = command.args(args).arg(run.directory()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, support) = ukci(&["report", "--support", "--format", "markdown"]);
    assert_eq!(code, Some(0));
    assert!(support.contains("| **x86_64** | counting |") && support.contains("| raw tracepoint |"), "{support}");
    let compare = ["capabilities", "--matrix", matrix.to_str().unwrap()];
    let (code, compared) = ukci(&compare);
    assert_eq!(code, Some(4));
    let surprise = "x86_64/6.12/llvm22: capability `counting`: expected `fentry` (a guess), found `raw tracepoint`";
    assert!(compared.contains(surprise), "{compared}");
    assert_eq!(ukci(&[&compare[..], &["--bless", "it has \"none\""]].concat()).0, Some(0));
    assert_eq!(
        std::fs::read_to_string(&rows).unwrap(),
        "- {expect: {counting: fentry}, reason: 'a guess'} # kept\n- {arch: x86_64, kernel: \"6.12\", expect: {\"counting\": \"raw \
         tracepoint\"}, reason: \"it has \\\"none\\\"\"}\n"
    );
    assert_eq!(ukci(&compare).0, Some(0));
}

/// Check that with everything in the store nobody is asked for anything: the mirror is a port that counts.
#[test]
fn a_second_run_needs_no_network() {
    assert_code(&Run::of(&["*system_calls"]).finish(), 0);
    let mirror = TcpListener::bind("127.0.0.1:0").unwrap();
    mirror.set_nonblocking(true).unwrap();
    let address = format!("http://{}/archive", mirror.local_addr().unwrap());
    let mut run = Run::of(&["*system_calls"]);
    run.command.env("UKCI_MIRROR", &address).env("UKCI_MIRROR_SECURITY", &address).env("CARGO_NET_OFFLINE", "true");
    assert_code(&run.finish(), 0);
    assert!(mirror.accept().is_err(), "somebody asked the mirror");
}

/// Check that two runs at the same time share store and target directory.
#[test]
fn two_runs_at_once_do_not_disturb_each_other() {
    let mut runs = [Run::of(&["*system_calls"]), Run::of(&["*system_calls"])];
    let children: Vec<Child> = runs.iter_mut().map(|run| run.command.spawn().unwrap()).collect();
    for (run, child) in runs.iter().zip(children) {
        assert_code(&child.wait_with_output().unwrap(), 0);
        assert_eq!(verdicts(&run.record()), ["tests::counts_system_calls: pass"]);
    }
}

/// Check that a command in a kernel's VM gets there with its arguments, and comes back with its output and status.
#[test]
fn a_command_runs_in_a_kernels_vm() {
    let mark = Marked::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ukci"));
    command.arg("shell").arg("--matrix").arg(matrix()).arg("5.10");
    command.args(["--", "sh", "-c", "uname -r; echo \"$1\"; exit 7", "sh", "it's  one word"]);
    command
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("second"))
        .env(mark.key(), mark.value());
    let output = command.output().unwrap();
    assert_code(&output, 7);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("5.10.") && text.ends_with("\nit's  one word\n"), "{text}");
    assert_eq!(mark.alive(), Vec::<String>::new(), "processes were left behind");
}

/// Check that an interrupted run says so, and ends its VM.
#[test]
fn an_interrupted_run_leaves_a_record_and_no_process() {
    let mut run = Run::of(&["*forever"]);
    let child = run.start_and_wait_for_the_test();
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_code(&output, 130);
    wait_until("every process is gone", || run.mark.alive().is_empty());
    let record = run.record();
    assert!(record["finished"].is_string());
    assert_eq!(record["cells"][0]["verdict"], "not_run");
    assert_eq!(verdicts(&record), ["tests::waits_forever: not_run"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("interrupted"));
}

/// Check that a killed run leaves a readable record, and that its VM dies with it.
#[test]
fn a_killed_run_leaves_a_record_and_no_process() {
    let mut run = Run::of(&["*forever"]);
    let mut child = run.start_and_wait_for_the_test();
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("every process is gone", || run.mark.alive().is_empty());
    let record = run.record();
    assert_eq!(record["finished"], Value::Null);
    assert_eq!(record["cells"][0]["verdict"], "not_run");
    let mut table = String::new();
    let report =
        Command::new(env!("CARGO_BIN_EXE_ukci")).arg("report").arg(run.directory()).stdout(Stdio::piped()).spawn();
    report.unwrap().stdout.take().unwrap().read_to_string(&mut table).unwrap();
    assert!(table.contains("interrupted"), "{table}");
}

/// Check that a run of two kernels that is killed in the second one's tests comes, carried on, to the verdicts of a run that
/// nobody killed: what was done is kept as it was, the rest is done, and no log is lost. 5.10 refuses the program.
#[test]
fn a_killed_run_that_is_resumed_equals_an_undisturbed_one() {
    let of_both = || {
        let mut run = Run::of(&["*system_calls", "*forever"]);
        run.command.args(["--kernel", "5.10", "--jobs", "1"]);
        run
    };
    let mut undisturbed = of_both();
    assert_code(&undisturbed.finish(), 4);

    let mut run = of_both();
    let mut child = run.command.spawn().unwrap();
    let path = run.directory().join("run.json");
    let record = || serde_json::from_slice::<Value>(&std::fs::read(&path).unwrap_or_default()).unwrap_or_default();
    let count = |record: &Value, result: &str| {
        let tests =
            record["cells"].as_array().into_iter().flatten().flat_map(|cell| cell["attempts"].as_array().unwrap());
        let tests = tests.flat_map(|attempt| attempt["tests"].as_array().unwrap());
        tests.filter(|test| test["result"] == result).count()
    };
    wait_until("the second kernel's first test ended", || {
        let record = record();
        count(&record, "passed") + count(&record, "failed") == 2 && count(&record, "timed_out") == 1
    });
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("every process is gone", || run.mark.alive().is_empty());
    let killed = record();
    assert_eq!((&killed["finished"], count(&killed, "not_run")), (&Value::Null, 1), "{killed}");
    let logs = files(&run.directory().join("cells"));

    let mut resumed = Command::new(env!("CARGO_BIN_EXE_ukci"));
    resumed.args(["run", "--matrix"]).arg(matrix()).args(["--no-progress", "--accel", "tcg", "--resume"]);
    resumed.arg(run.directory());
    resumed.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("second"));
    resumed.env(run.mark.key(), run.mark.value());
    assert_code(&resumed.output().unwrap(), 4);
    let record = record();
    assert_eq!(essence::essence(&record), essence::essence(&undisturbed.record()));
    assert_eq!(record["resumed"].as_array().map(Vec::len), Some(1));
    for (before, now) in killed["cells"].as_array().unwrap().iter().zip(record["cells"].as_array().unwrap()) {
        let (before, now) = (before["attempts"].as_array().unwrap(), now["attempts"].as_array().unwrap());
        let was_cut_short = before.last().unwrap()["tests"][1]["verdict"] == "not_run";
        assert_eq!(now[..before.len()], before[..]);
        assert_eq!(now.len(), before.len() + usize::from(was_cut_short));
    }
    for (path, content) in logs {
        assert_eq!(std::fs::read(&path).unwrap(), content, "{}", path.display());
    }
}

/// Every file below a directory, with its content.
fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![(path.clone(), std::fs::read(&path).unwrap())] })
        .collect()
}

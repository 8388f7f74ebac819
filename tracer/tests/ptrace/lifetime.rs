//! How a trace ends, and what it leaves behind.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rstest::rstest;
use tracer::event::{End, What};
use tracer::options::{Options, Target, Wait};
use tracer::trace::Trace;

use crate::common::*;
use crate::program;

/// Waits for something that happens without being told to.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "60 s without: {what}");
        std::thread::yield_now();
    }
}

/// A line of `/proc/PID/status`; none if there is no such process, or it is a zombie.
fn status(pid: u32, name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
    line("State:").filter(|state| !state.starts_with('Z'))?;
    line(name)
}

fn number_in(file: &Path) -> u32 {
    until("a process id in a file", || file.exists());
    fs::read_to_string(file).expect("readable").trim().parse().expect("a number")
}

/// Check that the trace waits for processes that survive the command.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
fn a_daemon_is_waited_for(#[case] way: Way) {
    let traced = way.sh("(while kill -0 $$ 2>/dev/null; do :; done; /bin/true late) & exit 4");
    traced.is_complete();
    assert_eq!(traced.code(), Some(4));
    let root = traced.execs().next().expect("the command").tgid;
    let at = |wanted: &dyn Fn(&What) -> bool| traced.events.iter().position(|event| wanted(&event.what));
    let exit = at(&|what| matches!(what, What::Exit(exit) if exit.tgid == root));
    let late = at(&|what| matches!(what, What::Exec(exec) if filename(exec) == "/bin/true"));
    assert!(exit.is_some() && exit < late, "{exit:?} {late:?}");
}

/// Check that with `Wait::Root` the trace ends with the command, and what survives it goes on.
#[test]
fn a_daemon_goes_on_untraced() {
    let dir = tempfile::tempdir().expect("a directory");
    let (pid, go, done) = (dir.path().join("pid"), dir.path().join("go"), dir.path().join("done"));
    let script = format!(
        "(sh -c 'echo $PPID' > {0}.new; mv {0}.new {0}; while [ ! -e {1} ]; do :; done; /bin/true && > {2}) & exit 4",
        pid.display(),
        go.display(),
        done.display()
    );
    // Left to ourselves: a filter would make the daemon's execs fail.
    let options = Options { wait: Wait::Root, seccomp: tracer::options::SeccompChoice::Auto, ..Way::Plain.options() };
    let trace = Trace::start(Target::Command(launch(&[SH, "-c", &script])), options).expect("starts");
    assert_eq!(trace.backend().name, "ptrace");
    assert!(trace.backend().degraded.is_some());
    let traced = ended(trace);
    assert_eq!(traced.code(), Some(4));
    let daemon = number_in(&pid);
    until("the tracer lets go", || status(daemon, "TracerPid:").as_deref() == Some("0"));
    fs::write(go, "").expect("written");
    until("the daemon's exec", || done.exists());
}

/// Check that a trace that is stopped leaves its processes running: without a filter as if nothing had been, with one so
/// that their execs fail, with a warning.
#[rstest]
#[case::plain(Way::Plain, "yes")]
#[case::filter(Way::Filter, "no")]
fn a_stopped_trace_leaves_its_processes_running(#[case] way: Way, #[case] works: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (pid, go, done) = (path("pid"), path("go"), path("done"));
    // Two processes and a pipe between them, so that they are in system calls of all kinds.
    let script = format!(
        "echo $$ > {pid}.new; mv {pid}.new {pid}; while [ ! -e {go} ]; do :; done | read never;
         if /bin/true; then echo yes; else echo no; fi > {done}.new; echo over | while read word; do :; done; \
         while [ ! -e {pid}.end ]; do :; done"
    );
    // `mv` at the end would be an exec, which fails with a filter.
    let trace = Trace::start(Target::Command(launch(&[SH, "-c", &script])), way.options()).expect("starts");
    let process = number_in(Path::new(&pid));
    trace.stopper().stop();
    let traced = ended(trace);
    assert_eq!(traced.summary.status, None);
    assert_eq!(
        traced.warnings().count(),
        usize::from(way == Way::Filter),
        "{:?}",
        traced.warnings().collect::<Vec<_>>()
    );
    // Without a filter the kernel lets go when the tracing thread ends, and that is joined a little before.
    until("the tracer lets go", || status(process, "TracerPid:").as_deref() == Some("0"));
    fs::write(&go, "").expect("written");
    until("an answer", || fs::read_to_string(format!("{done}.new")).is_ok_and(|text| text.ends_with('\n')));
    assert_eq!(fs::read_to_string(format!("{done}.new")).expect("readable").trim(), works);
    fs::write(format!("{pid}.end"), "").expect("written");
    until("its end", || status(process, "State:").is_none());
}

/// Check that a tracer that is killed leaves nothing of its own; its processes go on, or, with a filter, end with it.
#[rstest]
#[case::plain("plain", true)]
#[case::filter("filter", false)]
fn a_killed_tracer_leaves_nothing_behind(#[case] way: &str, #[case] survives: bool) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("pid");
    let mut command = program::command(&format!("tracer-of-a-sleeper {way} {}", file.display()));
    let mut tracer = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("starts");
    let stdin = tracer.stdin.take();
    let sleeper = number_in(&file);
    let children =
        fs::read_dir("/proc").expect("mounted").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let children: Vec<u32> =
        children.filter(|pid| status(*pid, "PPid:").is_some_and(|ppid| ppid == tracer.id().to_string())).collect();
    assert!(children.contains(&sleeper) && children.len() == 2, "{children:?} {sleeper}");
    tracer.kill().expect("it runs");
    tracer.wait().expect("it ends");
    for child in children.into_iter().filter(|child| *child != sleeper || !survives) {
        until("the end of what the tracer had", || status(child, "State:").is_none());
    }
    if survives {
        assert_eq!(status(sleeper, "TracerPid:").as_deref(), Some("0"));
        drop(stdin);
        until("the sleeper's end", || status(sleeper, "State:").is_none());
    }
}

/// Check that a process that runs is attached to with all its threads, and let go.
#[test]
fn a_running_process_is_attached_to_with_all_threads() {
    let mut command = program::command("wait-in-threads");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    lines.find(|line| line.as_ref().is_ok_and(|line| line.ends_with("ready"))).expect("ready").expect("readable");
    let options = Options { seccomp: tracer::options::SeccompChoice::Auto, ..Way::Plain.options() };
    let trace = Trace::start(Target::Processes(vec![child.id()]), options).expect("attached");
    assert_eq!(trace.backend().name, "ptrace");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(b"\n").expect("written");
    drop(stdin);
    let traced = ended(trace);
    let mut words: Vec<_> = traced.execs().filter(|exec| filename(exec) == "/bin/true").map(argv).collect();
    words.sort();
    assert_eq!(words, [["/bin/true", "0"], ["/bin/true", "1"], ["/bin/true", "2"]]);
    let end = traced.exits().find(|exit| exit.tgid == child.id()).expect("it ended").end;
    assert_eq!((end, traced.summary.status), (End::Code(0), None));
    // A child of the tracing process itself: the trace has waited for it, and nobody can again.
    assert_eq!(child.wait().expect_err("it is gone").raw_os_error(), Some(nix::libc::ECHILD));
}

/// Check that a trace can be stopped while processes are made at a high rate: none stays traced, all end.
#[rstest]
#[case::plain(Way::Plain)]
#[case::filter(Way::Filter)]
fn a_trace_is_stopped_while_processes_are_made(#[case] way: Way) {
    let script = "exec 2>/dev/null; for j in 1 2 3 4; do (i=0; while [ $i -lt 100 ]; do /bin/true & i=$((i+1)); done; wait) & done; wait";
    for seen in [1, 10, 100, 400] {
        let mut trace = Trace::start(Target::Command(launch(&[SH, "-c", script])), way.options()).expect("starts");
        let events: Vec<_> = trace.by_ref().take(seen).collect();
        trace.stopper().stop();
        let What::Exec(root) = &events[0].what else { panic!("{:?}", events[0]) };
        assert_eq!(ended(trace).summary.status, None);
        until("the end of the command", || status(root.tgid, "State:").is_none());
    }
}

//! Runs the workload under a backend and compares.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rstest::rstest;
use serial_test::serial;
use tracer::event::{End, Event, What};
use tracer::options::{BackendChoice, Launch, Options, SeccompChoice, Target};
use tracer::trace::Trace;

use crate::facts::{self, Ended, Facts, Line, NOT_APPLICABLE, Said};
use crate::workload::{KIND, WORKLOAD};

/// What a backend may say otherwise, in place of what: everything else must be as the workload says.
///
/// A BPF program that may not wait for a page cannot tell one that is not there from one that is not resident.
const MAY_DIFFER: &[(BackendChoice, &str, &str, &str)] = &[
    (BackendChoice::Ebpf, "EFAULT of argv", "[\"first\"] cut: Unreadable(14)", "[\"first\"] cut: NotResident"),
    (
        BackendChoice::Ebpf,
        "EFAULT of argv's end",
        "[\"first\", \"second\"] cut: Unreadable(14)",
        "[\"first\", \"second\"] cut: NotResident",
    ),
    (BackendChoice::Ebpf, "EFAULT of all of argv", "absent: Unreadable(14)", "absent: NotResident"),
    // The arm64 kernel 5.10.223 answers ENOENT without having looked at the name, whose page is not resident then.
    #[cfg(target_arch = "aarch64")]
    (BackendChoice::Ebpf, "a memfd by execveat", "", "absent: Unreadable(14)"),
];

/// A call that a kernel without x32 refuses before it comes to the function where eBPF looks for it.
const NEED_NOT_BE_SEEN: (BackendChoice, &str) = (BackendChoice::Ebpf, "ENOSYS of x32");

/// What one run of the workload came to.
#[derive(Debug)]
pub(crate) struct Run {
    /// The execs of the workload's cases.
    said: Vec<Said>,
    /// The ends of the workload's children.
    pub(crate) said_ends: Vec<Ended>,
    /// What the backend saw.
    pub(crate) events: Vec<Event>,
}

/// Runs a kind of workload (see [`KIND`]) under a backend.
#[track_caller]
pub(crate) fn run(backend: BackendChoice, kind: &str) -> Run {
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("its mode is set");
    let file = directory.path().join("said");
    fs::write(&file, "").expect("written");
    let launch = Launch {
        program: "/usr/bin/env".into(),
        args: vec![
            format!("{WORKLOAD}={}", file.display()).into(),
            format!("{KIND}={kind}").into(),
            std::env::current_exe().expect("/proc is mounted").into(),
        ],
        cwd: None,
        user: None,
    };
    let seccomp = if backend == BackendChoice::Ptrace { SeccompChoice::Off } else { SeccompChoice::Auto };
    let options = Options { backend, seccomp, ..Options::default() };
    let mut trace = Trace::start(Target::Command(launch), options).expect("the trace starts");
    let events: Vec<Event> = trace.by_ref().collect();
    let summary = trace.finish().expect("the trace ends");
    assert_eq!(summary.status.and_then(|status| status.code()), Some(0), "the workload ended in order");
    let (said, said_ends) = read(&file);
    Run { said, said_ends, events }
}

/// What the workload said, with the errno of each exec that failed.
fn read(file: &Path) -> (Vec<Said>, Vec<Ended>) {
    let (mut said, mut ends): (Vec<Said>, Vec<Ended>) = Default::default();
    for line in fs::read_to_string(file).expect("the workload wrote").lines() {
        match serde_json::from_str(line).expect("a line of the workload") {
            Line::Exec(exec) => said.push(exec),
            Line::Ended(end) => ends.push(end),
            Line::Failed(tgid, errno) => {
                let last = said.iter_mut().rfind(|exec| exec.tgid == tgid).expect("it was said before");
                last.facts.insert("errno".into(), errno.to_string());
                last.facts.insert("interpreter".into(), NOT_APPLICABLE.into());
            }
        }
    }
    (said, ends)
}

/// Check that the workload itself does what its cases are named for: every case executes, and fails with its errno.
fn check_workload(said: &[Said]) {
    for exec in said {
        let errno = exec.facts["errno"].parse().expect("a number");
        let name = format!("{:?}", nix::errno::Errno::from_raw(errno));
        let expected = exec.case.split(' ').next().filter(|word| word.starts_with('E'));
        match expected {
            Some(expected) => assert_eq!(name, expected, "{exec:#?}"),
            None if exec.case == "an exec after an exec that failed" || exec.case == "another root directory" => {}
            // Kernels before 6.14 know no such question.
            None if exec.case == "a question whether it might" && name == "EINVAL" => {}
            // The arm64 kernel 5.10.223 answers so, traced or not.
            None if exec.facts["call"].starts_with("execveat ")
                && name == "ENOENT"
                && cfg!(target_arch = "aarch64") => {}
            None => assert_eq!(errno, 0, "{exec:#?}"),
        }
    }
}

/// The differences between what was said and what was seen, one line each.
fn differences(run: &Run, backend: BackendChoice) -> Vec<String> {
    let mut seen: BTreeMap<u32, Vec<Facts>> = BTreeMap::new();
    let mut seen_ends = Vec::new();
    let mut wrong = Vec::new();
    for event in &run.events {
        match &event.what {
            What::Exec(exec) => seen.entry(exec.tgid).or_default().push(facts::of(exec)),
            What::Exit(exit) => seen_ends.push(Ended { tgid: exit.tgid, end: end(exit.end) }),
            What::Child(_) => {}
            What::Lost(lost) => wrong.push(format!("lost: {lost:?}")),
            What::Warning(warning) => wrong.push(format!("a warning: {warning}")),
        }
    }
    for exec in &run.said {
        let queue = seen.entry(exec.tgid).or_default();
        if queue.is_empty() {
            if (backend, exec.case.as_str()) == NEED_NOT_BE_SEEN {
                continue;
            }
            wrong.push(format!("{}: not seen", exec.case));
            continue;
        }
        compare(exec, &queue.remove(0), backend, &mut wrong);
    }
    let workload_and_env = 2;
    let rest: usize = seen.values().map(Vec::len).sum();
    if rest != workload_and_env {
        wrong.push(format!("{rest} other execs were seen, expected {workload_and_env}: {seen:#?}"));
    }
    wrong.extend(run.said_ends.iter().filter(|end| !seen_ends.contains(end)).map(|end| format!("not seen: {end:?}")));
    wrong
}

fn compare(said: &Said, seen: &Facts, backend: BackendChoice, wrong: &mut Vec<String>) {
    for (field, expected) in &said.facts {
        let found = seen.get(field).map_or("nothing", String::as_str);
        let allowed = MAY_DIFFER.contains(&(backend, said.case.as_str(), expected, found));
        if found != expected && !allowed {
            wrong.push(format!("{}: {field}\n    said {expected}\n    seen {found}", said.case));
        }
    }
}

/// As the workload shows it.
pub(crate) fn end(end: End) -> String {
    match end {
        End::Code(code) => format!("code {code}"),
        End::Signal { number, .. } => format!("signal {number}"),
    }
}

/// Check that a backend sees what the workload says that it did, field by field.
#[rstest]
#[case::ptrace(BackendChoice::Ptrace)]
#[case::seccomp(BackendChoice::Seccomp)]
#[case::ebpf(BackendChoice::Ebpf)]
#[ignore = "root: changes users, mounts, loads BPF programs"]
#[serial]
fn a_backend_sees_what_the_workload_did(#[case] backend: BackendChoice) {
    let run = run(backend, "cases");
    check_workload(&run.said);
    let wrong = differences(&run, backend);
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

//! Runs that are interrupted or killed.

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use rstest::rstest;
use serde_json::Value;

use crate::fake_archive::Answer;
use crate::running::{Ended, Running};
use crate::world::{FAULT, World, read_json, wait_for};

const RUN: [&str; 6] = ["run", "--accel", "tcg", "--no-progress", "--out", "out"];

/// Where a run is.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Download,
    Relay,
    Build,
    Boot,
}

/// A world in which a run goes no further than to `stage`.
fn halting_at(stage: Stage) -> World {
    let mut world = World::new();
    nix::unistd::mkfifo(&world.project.join("never"), Mode::S_IRWXU).expect("a fifo");
    let fifo = world.project.join("never").display().to_string();
    let started = world.project.join("started").display().to_string();
    let halt = format!(": > '{started}'; read line < '{fifo}'");
    match stage {
        Stage::Download => world.next_package("libc6", Answer::Stall),
        Stage::Relay => world.rustc("one", &halt),
        Stage::Build => world.program("cargo", &halt),
        Stage::Boot => drop(world.env.insert(FAULT.into(), "deaf".into())),
    }
    world
}

/// Waits until the run is at `stage`.
#[track_caller]
fn wait_until(stage: Stage, world: &World) {
    let at = || match stage {
        Stage::Download => world.archive.requests().iter().any(|path| path.contains("libc6")),
        Stage::Relay | Stage::Build => world.project.join("started").exists(),
        Stage::Boot => [console("6.12"), console("6.18")]
            .iter()
            .any(|log| fs::read_to_string(world.project.join(log)).is_ok_and(|log| log.contains("the guest is up"))),
    };
    wait_for(at, || format!("{stage:?}"));
}

fn console(kernel: &str) -> PathBuf {
    Path::new("out/cells/x86_64").join(kernel).join("attempt1/console.log")
}

fn record(world: &World) -> Value {
    read_json(&world.project.join("out/run.json"))
}

/// Check that Ctrl-C ends a run in order at each stage: its record is finished, its processes and half-made files are gone.
#[rstest]
#[case::download(Stage::Download)]
#[case::relay(Stage::Relay)]
#[case::build(Stage::Build)]
#[case::boot(Stage::Boot)]
fn an_interrupt_ends_a_run_in_order(#[case] stage: Stage, #[values(Signal::SIGINT, Signal::SIGTERM)] signal: Signal) {
    let world = halting_at(stage);
    let run = world.start(&RUN);
    wait_until(stage, &world);
    run.send(signal);
    let ended = run.end();
    ended.failed(130, &["error: interrupted"]);
    world.nothing_is_left();
    let record = record(&world);
    assert!(record["finished"].is_string(), "{record}");
    assert_eq!(record["cells"].as_array().expect("cells").len(), 4);
    for cell in record["cells"].as_array().expect("cells") {
        assert_eq!(cell["verdict"], "not_run", "{cell}");
        assert!(cell["reason"].as_str().expect("a reason").contains("interrupted"), "{cell}");
    }
    assert!(ended.stdout.contains("interrupted"), "{ended}");
    for file in ["summary.md", "junit.xml", "report.html"] {
        assert!(world.project.join("out").join(file).exists(), "{file}");
    }
    // What a report says of it is the same.
    assert_eq!(world.ukci(&["report", "out"]).succeeded(), ended.stdout);
}

/// A pipe that takes nothing any more.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let set = |flag: OFlag| fcntl(writer.as_fd(), FcntlArg::F_SETFL(flag)).expect("a flag");
    set(OFlag::O_NONBLOCK);
    while writer.write(&[b'x'; 512]).is_ok() {}
    let set = |flag: OFlag| fcntl(writer.as_fd(), FcntlArg::F_SETFL(flag)).expect("a flag");
    set(OFlag::empty());
    (reader, writer)
}

/// Check that a second Ctrl-C ends a run at once that cannot end in order, here since nobody reads its table.
#[test]
fn a_second_interrupt_ends_it_at_once() {
    let world = halting_at(Stage::Boot);
    let (reader, writer) = full_pipe();
    let run = Running::start_with_output(world.command(&RUN), writer);
    wait_until(Stage::Boot, &world);
    run.send(Signal::SIGINT);
    wait_for(|| world.project.join("out/junit.xml").exists(), || "the reports".into());
    let mut run = run;
    assert!(run.lives(), "it waits for somebody to read its table");
    run.send(Signal::SIGINT);
    assert_eq!(run.end().signal, Some(Signal::SIGINT as i32));
    drop(reader);
    world.nothing_is_left();
    assert!(record(&world)["finished"].is_string());
}

/// Check that a run that is killed takes its processes with it, leaves a record, and that the next start tidies up.
#[rstest]
#[case::download(Stage::Download)]
#[case::build(Stage::Build)]
#[case::boot(Stage::Boot)]
fn a_killed_run_leaves_a_record_and_no_process(#[case] stage: Stage) {
    let world = halting_at(stage);
    let run = world.start(&RUN);
    wait_until(stage, &world);
    run.send(Signal::SIGKILL);
    let ended: Ended = run.end();
    assert_eq!(ended.signal, Some(Signal::SIGKILL as i32), "{ended}");
    world.no_process_is_left();
    let record = record(&world);
    assert_eq!(record["finished"], Value::Null);
    for cell in record["cells"].as_array().expect("cells") {
        assert_eq!(cell["verdict"], "not_run", "{cell}");
    }
    assert!(world.start(&["report", "out"]).end().succeeded().contains("unfinished"));
    assert_eq!(world.in_tmp().len(), 2, "a dead session: {:?}", world.in_tmp());
    world.ukci(&["cache", "list"]).succeeded();
    assert_eq!(world.in_tmp(), [""; 0]);
}

/// Check that commands other than `run` end at the first Ctrl-C, and their processes with them.
#[test]
fn an_interrupt_ends_other_commands() {
    let world = halting_at(Stage::Download);
    let suite = crate::fake_archive::dists(crate::world::KERNELS);
    world.archive.next(&format!("{suite}/InRelease"), Answer::Stall(vec![0; 4 << 10]));
    let update = world.start(&["update"]);
    wait_for(|| !world.archive.requests().is_empty(), || "a request".into());
    update.send(Signal::SIGINT);
    assert_eq!(update.end().code, Some(130));
    world.no_process_is_left();
    assert!(!world.project.join("kernels.lock.json").exists());
}

/// Check that nobody else's upkeep of the store takes away what a live run uses, or is making.
#[test]
fn a_live_run_keeps_what_it_uses() {
    let world = halting_at(Stage::Build);
    let run = world.start(&RUN);
    wait_until(Stage::Build, &world);
    let session = world.in_tmp();
    assert_eq!(session.len(), 2, "{session:?}");
    let before = world.start(&["cache", "list", "--json"]).end();
    assert_eq!(world.start(&["cache", "prune", "--older-than", "0s"]).end().succeeded(), "0 B freed\n");
    let after = world.start(&["cache", "list", "--json"]).end();
    let names = |ended: &Ended| -> Vec<Value> {
        let entries: Vec<Value> = serde_json::from_str(ended.succeeded()).expect("JSON");
        entries.iter().map(|entry| entry["id"].clone()).collect()
    };
    assert_eq!(names(&after), names(&before));
    assert_eq!(world.in_tmp(), session);
    run.send(Signal::SIGINT);
    run.end().failed(130, &["error: interrupted"]);
    world.nothing_is_left();
}

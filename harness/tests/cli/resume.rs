//! Runs that are taken up again, and those that must not be.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use rstest::rstest;
use serde_json::Value;

use crate::fake_archive::Suite;
use crate::world::{COMPILE, FAULT, KERNELS, World, kernel, read_json, suites, wait_for};

const RUN: [&str; 7] = ["run", "--accel", "tcg", "--no-progress", "--jobs=1", "--out", "out"];
const RESUME: [&str; 6] = ["run", "--accel", "tcg", "--no-progress", "--resume", "out"];
const RECORD: &str = "out/run.json";

/// A world with a run in `out` that was killed while its first VM booted. Guests panic from now on.
fn killed() -> World {
    let mut world = World::new();
    world.env.insert(FAULT.into(), "deaf".into());
    let run = world.start(&RUN);
    wait_for(|| !consoles(&world).is_empty(), || "a guest".into());
    run.send(Signal::SIGKILL);
    assert_eq!(run.end().signal, Some(Signal::SIGKILL as i32));
    world.no_process_is_left();
    world.env.insert(FAULT.into(), "panic".into());
    world
}

/// The first attempts' consoles in which a guest is up.
fn consoles(world: &World) -> Vec<String> {
    let log = |kernel: &str| format!("out/cells/x86_64/{kernel}/attempt1/console.log");
    let up =
        |log: &String| fs::read_to_string(world.project.join(log)).is_ok_and(|log| log.contains("the guest is up"));
    ["6.12", "6.18"].map(log).into_iter().filter(up).collect()
}

fn text(world: &World, path: &str) -> String {
    fs::read_to_string(world.project.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn names(world: &World, path: &str) -> Vec<String> {
    crate::fake_archive::names_in(&world.project.join(path))
}

/// Check that a killed run is carried on where it was: with all cells, in new attempts, and with the old logs as they were.
#[test]
fn a_killed_run_is_carried_on() {
    let world = killed();
    let first = consoles(&world);
    let before = text(&world, &first[0]);
    let record = read_json(&world.project.join(RECORD));
    let ended = world.ukci(&RESUME);
    ended.failed(3, &["4 cells: ", "VFS: no root"]);
    let now = read_json(&world.project.join(RECORD));
    assert_eq!((&now["id"], &now["started"], &now["plan"]), (&record["id"], &record["started"], &record["plan"]));
    assert!(now["finished"].is_string(), "{now}");
    assert_eq!(now["resumed"].as_array().map(Vec::len), Some(1), "{now}");
    for cell in now["cells"].as_array().expect("cells") {
        assert_eq!((&cell["verdict"], cell["attempts"].as_array().map(Vec::len)), (&"lost".into(), Some(2)), "{cell}");
        for input in ["kernel", "image", "bundle"] {
            assert_eq!(cell["inputs"][input].as_str().map(str::len), Some(64), "{input} of {cell}");
        }
    }
    assert_eq!(text(&world, &first[0]), before, "the log of the VM that was killed");
    let job = Path::new(&first[0]).ancestors().nth(2).and_then(Path::to_str).expect("a job");
    assert_eq!(names(&world, job), ["attempt1", "attempt2", "attempt3"]);
    assert_eq!(names(&world, "out/resumed1"), ["build-x86_64-llvm21.log", "build-x86_64-llvm22.log"]);
    assert!(!names(&world, "out").contains(&".lock".to_owned()));
    // A VM that was lost says nothing about the program, so a second time does it all again.
    world.ukci(&RESUME).failed(3, &["VFS: no root"]);
    let again = read_json(&world.project.join(RECORD));
    assert_eq!(again["resumed"].as_array().map(Vec::len), Some(2), "{again}");
    assert_eq!(again["cells"][0]["attempts"].as_array().map(Vec::len), Some(4), "{again}");
    assert_eq!(again["cells"][0]["attempts"][0], now["cells"][0]["attempts"][0]);
    assert_eq!(names(&world, job).len(), 5);
}

/// Check that verdicts that say something about the program are kept, and that nothing is done when all do.
#[test]
fn final_verdicts_are_kept() {
    let world = World::new();
    world.program("cargo", "echo 'error[E0425]: cannot find value `x`' >&2; exit 101");
    let ended = world.ukci(&[&RUN[..], &["--kernel", "6.18"]].concat());
    ended.failed(4, &["cannot compile the tests of `demo`"]);
    let before = text(&world, RECORD);
    fs::remove_file(world.bin.join("cargo")).expect("removed");
    let again = world.ukci(&RESUME);
    again.failed(4, &["nothing is left to run"]);
    assert_eq!(again.stdout, ended.stdout);
    assert_eq!(text(&world, RECORD), before);
    // The newest run is meant when none is named, and one below the directory of runs by its name.
    world.ukci(&["run", "--resume"]).one_error(2, &["cannot read", "runs/latest/run.json", "No such file"]);
    world.ukci(&["run", "--resume", "2026"]).one_error(2, &["cannot read", "runs/2026/run.json", "No such file"]);
    let runs = world.project.join("target/ukci/runs");
    fs::create_dir_all(&runs).expect("a directory");
    std::os::unix::fs::symlink(world.project.join("out"), runs.join("latest")).expect("a link");
    world.ukci(&["run", "--resume"]).failed(4, &["nothing is left to run"]);
}

#[derive(Clone, Copy, Debug)]
enum Input {
    Kernel,
    Image,
    Bundle,
}

/// Check that a run is not carried on with another kernel, guest image or bundle than it began with, and loses nothing.
#[rstest]
#[case::kernel(Input::Kernel, "the kernel `x86_64/6.1")]
#[case::image(Input::Image, "the guest image for x86_64 has changed since: expected `")]
#[case::bundle(Input::Bundle, "the bundle of test executables for x86_64, LLVM 22, has changed since: expected `")]
fn other_inputs_are_refused(#[case] input: Input, #[case] message: &str) {
    let world = killed();
    let before = text(&world, RECORD);
    match input {
        Input::Kernel => {
            let newer =
                [kernel("6.12.10+deb13-cloud-amd64", "6.12.10-1"), kernel("6.18.4+deb14-cloud-amd64", "6.18.4-1")];
            let [_, _, kernels] = suites();
            world.archive.publish(&Suite::new(KERNELS, &[kernels.packages, newer.to_vec()].concat()));
            world.ukci(&["update"]).succeeded();
        }
        Input::Image => world.rustc("another", COMPILE),
        Input::Bundle => drop(world.file("demo-test", "another test executable")),
    }
    let hint = "hint: `ukci run` without --resume begins a new run";
    world.ukci(&RESUME).one_error(2, &["cannot resume `", message, hint]);
    assert_eq!(text(&world, RECORD), before);
    if let Input::Bundle = input {
        world.file("demo-test", "a test executable");
        world.ukci(&RESUME).failed(3, &["VFS: no root"]);
    }
}

/// Check that an input that cannot be had any more stops the run before anything is written.
#[test]
fn an_input_that_is_gone_is_named() {
    let world = killed();
    let before = text(&world, RECORD);
    fs::remove_file(world.bin.join("cargo")).expect("removed");
    world
        .ukci(&RESUME)
        .one_error(1, &["the bundle of test executables for x86_64, LLVM 22, cannot be had: ", "`cargo`"]);
    assert_eq!(text(&world, RECORD), before);
}

/// Check that a run is not carried on with another matrix or with filters, and loses nothing.
#[test]
fn another_plan_is_refused() {
    let world = killed();
    let before = text(&world, RECORD);
    for filter in ["--kernel=6.12", "--arch=x86_64", "--llvm=22", "--test=*", "--out=other"] {
        let ended = world.start(&[&RESUME[..], &[filter]].concat()).end();
        ended.one_error(2, &["cannot be used with", "--resume"]);
    }
    world.edit_matrix("  - {version: 21}\n", "");
    world.ukci(&RESUME).one_error(
        2,
        &[
            "cannot resume `",
            "it has no cell `x86_64/6.12/llvm21` any more",
            "it has no cell `x86_64/6.18/llvm21` any more",
        ],
    );
    assert_eq!(text(&world, RECORD), before);
}

/// Check that the tests that a run was to have are those that it has when it is carried on.
#[test]
fn the_choice_of_tests_is_kept() {
    let mut world = World::new();
    world.env.insert(FAULT.into(), "panic".into());
    world.ukci(&[&RUN[..], &["--test", "*argv*", "--kernel", "6.18"]].concat()).failed(3, &["VFS: no root"]);
    world.ukci(&RESUME).failed(3, &["VFS: no root", "2 cells: "]);
    let record = read_json(&world.project.join(RECORD));
    assert_eq!(record["test_globs"], Value::from(vec!["*argv*"]));
}

/// Check that a run that is going on is left alone.
#[test]
fn a_run_that_goes_on_is_refused() {
    let mut world = World::new();
    world.env.insert(FAULT.into(), "deaf".into());
    let run = world.start(&RUN);
    wait_for(|| !consoles(&world).is_empty(), || "a guest".into());
    let busy = world.start(&RESUME).end();
    busy.one_error(2, &["another ukci is working on the run in `", "out`", "hint: wait for its end"]);
    run.send(Signal::SIGINT);
    run.end().failed(130, &["error: interrupted"]);
    world.nothing_is_left();
    let record = read_json(&world.project.join(RECORD));
    assert_eq!(record["resumed"], Value::Array(vec![]));
}

/// Check that an interrupt while inputs are looked at leaves everything as it was.
#[test]
fn an_interrupt_before_the_first_cell_changes_nothing() {
    let world = killed();
    let before = text(&world, RECORD);
    nix::unistd::mkfifo(&world.project.join("never"), nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    let path = |name: &str| world.project.join(name).display().to_string();
    world.program("cargo", &format!(": > '{}'; read line < '{}'", path("started"), path("never")));
    let run = world.start(&RESUME);
    wait_for(|| world.project.join("started").exists(), || "cargo".into());
    run.send(Signal::SIGINT);
    run.end().failed(130, &["error: interrupted"]);
    world.nothing_is_left();
    assert_eq!(text(&world, RECORD), before);
}

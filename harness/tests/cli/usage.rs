//! What is typed wrongly, and what is only printed.

use std::fs;
use std::process::Stdio;

use rstest::rstest;
use serde_json::Value;

use crate::running::Running;
use crate::world::World;

/// Check that a mistake in the matrix is one error with its line, and what was expected or meant.
#[rstest]
#[case::key("package: demo", "pakage: demo", &["ukci.yaml:1: project: unknown field `pakage`", "hint: did you mean `package`?"])]
#[case::arch("  x86_64:", "  x86-64:", &["ukci.yaml:4: arches: unknown variant `x86-64`", "hint: did you mean `x86_64`?"])]
#[case::kernel("series: \"6.18\"", "series: newest", &["ukci.yaml:7: kernels[1]: series `newest` is neither"])]
#[case::llvm("version: 21", "version: 7", &["ukci.yaml:10: llvm: version `7` is out of range: must be between 14 and 99"])]
#[case::name("name: \"6.18\"", "name: \"6.12\"", &["ukci.yaml:7: kernels: name `6.12` stands twice"])]
#[case::include("llvm:\n", "include: [{llvm: 21}]\nllvm:\n", &["ukci.yaml:8: include[0]: missing field `reason`"])]
#[case::set("llvm:\n", "sets: {pr: {kernels: [\"6.13\"]}}\nllvm:\n", &["ukci.yaml:8: sets.pr: unknown kernel `6.13` (known: 6.12, 6.18)", "hint: did you mean `6.1"])]
#[case::empty_set("llvm:\n", "sets: {pr: {llvm: []}}\nllvm:\n", &["ukci.yaml:8: sets.pr: `llvm` is empty, so the set has 0 cells"])]
#[case::timeout("boot_timeout: 60s", "boot_timeout: soon", &["arches.x86_64.boot_timeout: `soon` is not a time; expected one like `90s`"])]
fn a_mistake_in_the_matrix_is_named(#[case] from: &str, #[case] to: &str, #[case] parts: &[&str]) {
    let world = World::new();
    world.edit_matrix(from, to);
    for command in ["run", "plan", "update", "doctor"] {
        world.ukci(&[command]).one_error(2, parts);
    }
    assert!(!world.project.join("target").exists());
    assert_eq!(world.archive.requests(), [""; 0]);
}

/// Check that a filter or an argument that fits nothing is refused, and says what there is.
#[rstest]
#[case::kernel(&["--kernel", "6.21"], &["--kernel `6.21` matches no kernel (known: 6.12, 6.18)", "did you mean `6.12`"])]
#[case::arch(&["--arch", "riscv64"], &["--arch `riscv64` is not in the matrix (known: x86_64)"])]
#[case::no_arch(&["--arch", "vax"], &["invalid value 'vax'", "expected one of x86_64, aarch64, riscv64"])]
#[case::llvm(&["--llvm", "19"], &["--llvm `19` is not in the matrix (known: 22, 21)"])]
#[case::glob(&["--kernel", "6.[1"], &["`6.[1` is not a glob"])]
#[case::set(&["--set", "pr"], &["--set `pr` is not in the matrix (it has no `sets`)"])]
#[case::shard(&["--shard", "x"], &["invalid value 'x' for '--shard <I/N>': expected `i/n`, like `1/3`"])]
#[case::shard_zero(&["--shard", "0/3"], &["expected a shard from 1 to 3, found 0"])]
#[case::shard_beyond(&["--shard", "4/3"], &["expected a shard from 1 to 3, found 4"])]
#[case::shard_empty(&["--shard", "3/3"], &["--shard `3/3`: the plan has 2 VMs", "hint: `--shard` takes at most `2/2` here"])]
#[case::times(&["--times", "gone"], &["cannot read `", "gone/run.json`: No such file"])]
fn a_filter_that_fits_nothing_is_refused(#[case] filter: &[&str], #[case] parts: &[&str]) {
    let world = World::new();
    for command in ["run", "plan"] {
        world.ukci(&[&[command], filter].concat()).one_error(2, parts);
    }
    assert!(!world.project.join("target").exists());
}

/// Check that a project that is not there is told apart from a matrix that is not there.
#[test]
fn a_missing_project_is_named() {
    let world = World::new();
    world.ukci(&["run", "--matrix", "other.yaml"]).one_error(2, &["cannot read `other.yaml`: No such file"]);
    fs::remove_file(world.project.join("Cargo.toml")).expect("removed");
    world.ukci(&["run"]).one_error(2, &["ukci.yaml: project.directory: no `Cargo.toml` in `"]);
    fs::remove_file(world.project.join("ukci.yaml")).expect("removed");
    world.ukci(&["run"]).one_error(2, &["no matrix: neither", "hint: `--matrix FILE` names one"]);
}

/// Check that a reader who hangs up, as `head` does, is no error.
#[rstest]
#[case(&["plan"])]
#[case(&["plan", "--json"])]
#[case(&["completions", "bash"])]
#[case(&["cache", "list"])]
#[case(&["--help"])]
fn a_reader_may_hang_up(#[case] args: &[&str]) {
    let world = World::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let ended = Running::start_with_output(world.command(args), writer).end();
    ended.succeeded();
    assert_eq!(ended.stderr, "");
}

/// Check that every command has a help text, which fits a terminal of 100 columns.
#[rstest]
#[case("")]
#[case("run")]
#[case("plan")]
#[case("update")]
#[case("report")]
#[case("shell")]
#[case("doctor")]
#[case("cache")]
#[case("cache prune")]
#[case("exec")]
#[case("bench boot")]
#[case("bench plan")]
#[case("completions")]
fn help_fits(#[case] command: &str) {
    let mut world = World::new();
    world.env.insert("COLUMNS".into(), "300".into());
    let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
    let ended = world.ukci(&args);
    assert!(ended.succeeded().contains("Usage: ukci"), "{ended}");
    let wide: Vec<_> = ended.stdout.lines().filter(|line| line.chars().count() > 100).collect();
    assert_eq!(wide, [""; 0]);
}

/// Check that completions are a script for the shell.
#[test]
fn completions_are_printed() {
    let world = World::new();
    assert!(world.ukci(&["completions", "bash"]).succeeded().contains("complete -F _ukci"));
    world.ukci(&["completions", "tcsh"]).one_error(2, &["invalid value 'tcsh'"]);
}

/// Check that a run does not take the directory of another, nor the place of a file.
#[test]
fn a_taken_directory_is_refused() {
    let world = World::new();
    let run = world.file("out/run.json", "{}");
    world
        .ukci(&["run", "--out", "out"])
        .one_error(2, &["cannot make the run's directory `out`", "not empty", "--out DIR"]);
    assert_eq!(fs::read_to_string(run).expect("untouched"), "{}");
    world.ukci(&["run", "--out", "Cargo.toml"]).one_error(2, &["cannot make the run's directory `Cargo.toml`"]);
}

/// Check that a record that is not there, not one, or a newer one's is refused with its name.
#[test]
fn only_a_record_is_reported() {
    let world = World::new();
    world
        .ukci(&["report"])
        .one_error(2, &["cannot read `", "latest/run.json`: No such file", "hint: `ls target/ukci/runs`"]);
    world.file("bad/run.json", "{\"schema\": 1,");
    world.ukci(&["report", "bad"]).one_error(2, &["bad/run.json: "]);
    world.file("other/run.json", "[1, 2]");
    world.ukci(&["report", "other"]).one_error(2, &["other/run.json: "]);
    world.file("new/run.json", "{\"schema\": 2}");
    world
        .ukci(&["report", "new"])
        .one_error(2, &["new/run.json: written by a newer ukci: found schema `2`, expected `1`"]);
}

/// Check that a full standard output is an I/O error.
#[test]
fn a_full_standard_output_is_an_error() {
    let world = World::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let ended = Running::start_with_output(world.command(&["plan"]), Stdio::from(full)).end();
    ended.one_error(1, &["cannot write to standard output: No space left on device"]);
}

/// Check that the doctor tells what is there, what stands in, and what is missing with the way out.
#[test]
fn the_doctor_tells_what_is_missing() {
    let mut world = World::new();
    let ended = world.ukci(&["doctor", "--json"]);
    assert_eq!(ended.code, Some(1), "there is no make: {ended}");
    let findings: Vec<Value> = serde_json::from_str(&ended.stdout).expect("JSON");
    let state =
        |what: &str| findings.iter().find(|finding| finding["what"] == what).expect("a finding")["state"].clone();
    let states = ["cargo", "make", "mirror", "archive", "QEMU x86_64", "clang 21"].map(state);
    assert_eq!(states, ["ok", "missing", "ok", "ok", "ok", "ok"]);

    world.env.insert("UKCI_MIRROR".into(), "nowhere".into());
    world.env.insert("UKCI_STORE".into(), world.project.join("empty").display().to_string());
    fs::remove_file(world.bin.join("clang-21")).expect("removed");
    let ended = world.start(&["doctor"]).end();
    ended.failed(1, &["mirror missing `UKCI_MIRROR` is `nowhere`: expected a URL", "hint: set UKCI_MIRROR"]);
    ended.failed(1, &["clang 21 fallback no `clang-21` on this machine"]);
}

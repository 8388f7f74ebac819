//! What is to run: sets, exceptions, shards, and how the plan is printed.

use serde_json::{Value, json};

use crate::world::World;

const EXCEPTIONS: &str = "\
exclude: [{llvm: 21, reason: too old}]
include: [{kernel: \"6.18\", llvm: 21, reason: still in use}]
sets:
  pr: {kernels: [\"6.18\"], llvm: [newest]}
  full: {}
llvm:
";

/// A world whose matrix has exceptions and sets.
fn world() -> World {
    let world = World::new();
    world.edit_matrix("llvm:\n", EXCEPTIONS);
    world
}

fn json_of(world: &World, args: &[&str]) -> Value {
    serde_json::from_str(world.ukci(args).succeeded()).expect("JSON")
}

/// Check that the plan is a table for people, with the reasons below it.
#[test]
fn the_plan_is_printed() {
    let expected = "\
x86_64              LLVM 21  LLVM 22
  6.12  not pinned  –        run
  6.18  not pinned  run      run

added    still in use
         x86_64/6.18/llvm21
not run  too old
         x86_64/6.12/llvm21

4 cells in 2 VMs, 1 of them not run · about 18 s, one VM after another
";
    assert_eq!(world().ukci(&["plan"]).succeeded(), expected);
}

/// Check that scripts see every cell, with the reason for which it runs or does not.
#[test]
fn the_plan_is_printed_for_scripts() {
    let world = world();
    let cells = json_of(&world, &["plan", "--json"]);
    assert_eq!(cells, json_of(&world, &["plan", "--format", "json"]));
    let brief = |cell: &Value| json!([cell["id"], cell["not_run"], cell["included"]]);
    assert_eq!(
        cells.as_array().expect("cells").iter().map(brief).collect::<Vec<_>>(),
        [
            json!(["x86_64/6.12/llvm22", null, null]),
            json!(["x86_64/6.12/llvm21", "too old", null]),
            json!(["x86_64/6.18/llvm22", null, null]),
            json!(["x86_64/6.18/llvm21", null, "still in use"]),
        ]
    );
}

#[test]
fn a_set_is_a_part_of_the_matrix() {
    let world = world();
    let ids = |args: &[&str]| -> Vec<String> {
        let cells = json_of(&world, &[&["plan", "--json"], args].concat());
        cells.as_array().expect("cells").iter().map(|cell| cell["id"].as_str().expect("an id").to_owned()).collect()
    };
    assert_eq!(ids(&["--set", "pr"]), ["x86_64/6.18/llvm22"]);
    assert_eq!(ids(&["--set", "full"]), ids(&[]));
    world
        .ukci(&["run", "--set", "pr", "--kernel", "6.12"])
        .one_error(2, &["the filters leave no cell of set `pr`", "hint: `ukci plan --set pr` lists the cells"]);
    world
        .ukci(&["run", "--set", "ful"])
        .one_error(2, &["--set `ful` is not in the matrix (known: full, pr)", "did you mean `full`?"]);
}

/// Check that GitHub gets one line, with the shards that there are, and that they are the whole plan.
#[test]
fn shards_are_the_whole_plan() {
    let world = world();
    let ended = world.ukci(&["plan", "--format", "github", "--shards", "3"]);
    assert_eq!(ended.succeeded().lines().count(), 1);
    let matrix: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(
        matrix,
        json!({"include": [
            {"shard": "1/2", "name": "x86_64 6.18", "jobs": 1, "cells": 2, "expected_seconds": 11},
            {"shard": "2/2", "name": "x86_64 6.12", "jobs": 1, "cells": 2, "expected_seconds": 7},
        ]})
    );
    let mut cells: Vec<Value> = Vec::new();
    for entry in matrix["include"].as_array().expect("shards") {
        let shard = json_of(&world, &["plan", "--json", "--shard", entry["shard"].as_str().expect("a shard")]);
        assert_eq!(shard.as_array().expect("cells").len(), entry["cells"]);
        cells.extend(shard.as_array().expect("cells").clone());
    }
    cells.sort_by_key(|cell| cell["kernel"].to_string());
    assert_eq!(json!(cells), json_of(&world, &["plan", "--json"]));
    let last = world.ukci(&["plan", "--shard", "2/2"]);
    assert_eq!(
        last.succeeded().lines().last(),
        Some("shard 2/2 of 4 cells: 2 cells in 1 VM, 1 of them not run · about 7.0 s, one VM after another")
    );

    world.ukci(&["plan", "--format", "github"]).one_error(2, &["required arguments were not provided", "--shards <N>"]);
    world.ukci(&["plan", "--shards", "2"]).one_error(2, &["--shards goes with --format github"]);
    world.ukci(&["plan", "--format", "github", "--shards", "0"]).one_error(2, &["0 is not in 1..=256"]);
}

/// Check that a shard runs its own cells and no others.
#[test]
fn a_shard_is_run() {
    let world = world();
    world.ukci(&["run", "--shard", "2/2"]).failed(3, &["2 cells: 0 pass, 0 fail, 1 lost, 1 not run"]);
    let record = world.record();
    let ids: Vec<_> = record["cells"].as_array().expect("cells").iter().map(|cell| &cell["id"]).collect();
    assert_eq!(ids, ["x86_64/6.12/llvm22", "x86_64/6.12/llvm21"]);
}

/// Check that shards are balanced by the times of an earlier run, be it lost in part.
#[test]
fn an_earlier_run_gives_the_times() {
    let world = world();
    let cell = |kernel: &str, boot: f64, loss: Value| {
        json!({
            "id": format!("x86_64/{kernel}/llvm22"), "arch": "x86_64", "llvm": 22, "not_run": null,
            "kernel": {"name": kernel, "release": "", "package": null, "version": null},
            "attempts": [{"phases": [{"name": "provision", "seconds": 900.0}, {"name": "boot", "seconds": boot},
                {"name": "test", "seconds": 20.0}], "tests": [], "loss": loss}],
        })
    };
    let lost = json!({"verdict": "lost", "phase": "test", "reason": "gone", "log": null});
    let run = json!({
        "schema": 1, "id": "before", "started": "2026-01-01T00:00:00Z", "finished": null,
        "host": {"cores": 2, "accel": "tcg", "qemu": "10"},
        "cells": [cell("6.12", 30.0, Value::Null), cell("6.18", 700.0, lost)],
    });
    world.file("before/run.json", &run.to_string());
    let matrix = json_of(&world, &["plan", "--format", "github", "--shards", "2", "--times", "before"]);
    let brief = |shard: &Value| json!([shard["name"], shard["expected_seconds"]]);
    let shards: Vec<Value> = matrix["include"].as_array().expect("shards").iter().map(brief).collect();
    assert_eq!(shards, [json!(["x86_64 6.12", 50]), json!(["x86_64 6.18", 11])]);
}

/// Check that a run in which nothing can run is no success, and says why nothing can.
#[test]
fn a_run_of_nothing_is_refused() {
    let world = World::new();
    world.edit_matrix(
        "llvm:\n",
        "exclude: [{kernel: \"6.12\", reason: on holiday}, {reason: closed}]\nsets: {pr: {}}\nllvm:\n",
    );
    let reasons =
        ["there is nothing to run", "2 cells not run: on holiday", "2 cells not run: closed", "hint: `ukci plan`"];
    for args in [&["run"][..], &["run", "--shard", "1/2"], &["plan", "--format", "github", "--shards", "2"]] {
        world.ukci(args).one_error(2, &reasons);
    }
    assert!(!world.project.join("target").exists());
    let ended = world.ukci(&["plan"]);
    assert!(ended.succeeded().contains("4 cells in 0 VMs, 4 of them not run"), "{ended}");
}

/// Check that the benchmark of the plan says what it measured.
#[test]
fn the_plan_is_measured() {
    let world = World::new();
    let ended = world.ukci(&["bench", "plan", "--cells", "300"]);
    assert!(ended.succeeded().starts_with("300 cells in 60 VMs"), "{ended}");
    let bench = json_of(&world, &["bench", "plan", "--cells", "300", "--json"]);
    assert!(bench["total_seconds"].as_f64() >= bench["parse_seconds"].as_f64());
}

//! Shards that become one run, and those that do not.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::essence::essence;
use crate::fake_archive::names_in;
use crate::world::{World, read_json};

const RUN: [&str; 5] = ["run", "--accel", "tcg", "--no-progress", "--out"];

/// Makes the run of one kernel in the directory `out` what shard `index` of two would have left.
fn make_shard(world: &World, kernel: &str, out: &str, index: usize, plan: &Value) {
    world.ukci(&[&RUN[..], &[out, "--kernel", kernel]].concat()).failed(3, &["VFS: no root"]);
    let path = world.project.join(out).join("run.json");
    let mut record = read_json(&path);
    record["shard"] = json!({"index": index, "of": 2});
    record["plan"] = plan.clone();
    for (place, cell) in record["cells"].as_array_mut().expect("cells").iter_mut().enumerate() {
        cell["position"] = json!((index - 1) * 2 + place);
    }
    fs::write(path, record.to_string()).expect("written");
}

/// The essence of a run, whenever it was that the fake QEMU's panic was noticed.
fn settled(record: &Value) -> Value {
    let text = essence(record).to_string().replace("while QEMU started", "while it booted");
    serde_json::from_str(&text).expect("JSON")
}

/// Check that the shards of a plan make the run that the plan makes, with every log where the record says.
#[test]
fn shards_become_the_whole_run() {
    let world = World::new();
    let ended = world.ukci(&[&RUN[..], &["whole"]].concat());
    ended.failed(3, &["4 cells: "]);
    let whole = read_json(&world.project.join("whole/run.json"));
    make_shard(&world, "6.12", "one", 1, &whole["plan"]);
    make_shard(&world, "6.18", "two", 2, &whole["plan"]);
    let merged = world.ukci(&["merge", "two", "one", "--out", "all"]);
    assert_eq!(merged.code, ended.code, "{merged}");
    merged.failed(3, &["4 cells: "]);
    let record = read_json(&world.project.join("all/run.json"));
    assert_eq!(settled(&record), settled(&whole));
    assert_eq!((&record["shard"], &record["host"]), (&Value::Null, &whole["host"]));
    assert_eq!(
        names_in(&world.project.join("all")),
        ["cells", "junit.xml", "report.html", "run.json", "shard1", "shard2", "summary.md"]
    );
    for cell in record["cells"].as_array().expect("cells") {
        for attempt in cell["attempts"].as_array().expect("attempts") {
            let log = world.project.join("all").join(attempt["loss"]["log"].as_str().expect("a log"));
            assert!(fs::read_to_string(&log).expect("a log").contains("VFS: no root"), "{}", log.display());
            assert_eq!(fs::metadata(&log).expect("a log").nlink(), 2, "nothing is copied on one disk");
        }
    }
    assert_eq!(names_in(&world.project.join("all/shard2")), ["build-x86_64-llvm21.log", "build-x86_64-llvm22.log"]);
    // It is a run as any other.
    assert_eq!(world.ukci(&["report", "all"]).succeeded(), merged.stdout);
    assert!(world.ukci(&["merge", "two", "one"]).stdout.contains("target/ukci/runs/"));
    assert_eq!(settled(&world.record()), settled(&whole));
    world.ukci(&["run", "--no-progress", "--accel=tcg", "--resume", "all"]).failed(3, &["4 cells: "]);
}

/// Check that what is not exactly a plan is refused, and that nothing is written then.
#[test]
fn what_is_not_the_whole_plan_is_refused() {
    let world = World::new();
    let plan = json!({"cells": 4, "fingerprint": "0"});
    make_shard(&world, "6.12", "one", 1, &plan);
    let merge = |args: &[&str]| world.ukci(&[&["merge", "--out", "all"], args].concat());
    merge(&["one"]).one_error(2, &["shard 2/2 is missing: 2 of the plan's 4 cells are there"]);
    merge(&["one", "one"]).one_error(2, &["`one` and `one` are both shard 1/2"]);
    merge(&["one", "nowhere"]).one_error(2, &["cannot read `nowhere/run.json`: No such file", "hint: each DIR"]);
    merge(&[]).one_error(2, &["required arguments were not provided", "<DIR>..."]);
    let path = world.project.join("one/run.json");
    let record = read_json(&path);
    let edited = |key: &str, value: Value| {
        let mut record = record.clone();
        record[key] = value;
        fs::write(&path, record.to_string()).expect("written");
        merge(&["one"])
    };
    let hint = "hint: `ukci run --resume one` carries it on";
    edited("finished", Value::Null).one_error(2, &["`one`, shard 1/2, did not come to its end", hint]);
    edited("shard", Value::Null).one_error(2, &["`one` is no shard of a run"]);
    edited("schema", json!(2)).one_error(2, &["one/run.json: written by a newer ukci: found schema `2`"]);
    edited("cells", json!("none")).one_error(2, &["one/run.json: line 1, column ", "expected a sequence"]);
    assert!(!world.project.join("all").exists());
    // One that is there already is not overwritten, and one inside of a shard would have no end.
    edited("plan", json!({"cells": 2, "fingerprint": plan_of_two(&record)}));
    world.ukci(&["merge", "one", "--out", "one"]).one_error(2, &["directory not empty"]);
    world.ukci(&["merge", "one", "--out", "one/cells/all"]).one_error(2, &["is inside of the shard"]);
    assert!(!world.project.join("one/cells/all").exists());
}

fn plan_of_two(record: &Value) -> String {
    let cells = record["cells"].as_array().expect("cells");
    let ids: Vec<&str> = cells.iter().map(|cell| cell["id"].as_str().expect("an id")).collect();
    ukci::run::plan_id(ids.into_iter()).fingerprint
}

//! The store: its upkeep, and a disk that is full.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::world::World;

const RUN: [&str; 4] = ["run", "--accel", "tcg", "--no-progress"];

/// Check that the store is listed for scripts and people, a damaged download is named and removed, and what was not used
/// lately goes.
#[test]
fn the_store_is_looked_after() {
    let world = World::new();
    world.ukci(&RUN).failed(3, &["VFS: no root"]);
    let ended = world.ukci(&["cache", "list", "--json"]);
    let entries: Vec<Value> = serde_json::from_str(ended.succeeded()).expect("JSON");
    let named = |name: &str| entries.iter().find(|entry| entry["name"] == name).cloned().expect("an entry");
    let busybox = named("busybox-static_1_all.deb");
    assert_eq!((&busybox["kind"], &named("index of trixie (x86_64)")["kind"]), (&"download".into(), &"tree".into()));
    let ended = world.ukci(&["cache", "list"]);
    assert!(ended.succeeded().contains("busybox-static_1_all.deb"), "{ended}");
    assert!(ended.stdout.lines().last().expect("a line").contains(&format!("in {} entries at ", entries.len())));

    assert_eq!(world.ukci(&["cache", "verify"]).succeeded(), "every download is what its hash says\n");
    let blob = world.archive.store_path().join("blobs/sha256").join(busybox["id"].as_str().expect("an id"));
    fs::set_permissions(&blob, fs::Permissions::from_mode(0o644)).expect("a mode");
    fs::write(&blob, "rotten").expect("written");
    world
        .ukci(&["cache", "verify"])
        .one_error(1, &["1 damaged and removed: busybox-static_1_all.deb", "hint: the next run"]);
    assert!(!blob.exists());
    world.ukci(&["cache", "verify"]).succeeded();

    assert_eq!(world.ukci(&["cache", "prune"]).succeeded(), "0 B freed\n");
    let ended = world.ukci(&["cache", "prune", "--older-than", "0s"]);
    assert!(ended.succeeded().contains("removed libc6_1_all.deb\n"), "{ended}");
    let ended = world.ukci(&["cache", "list", "--json"]);
    assert_eq!(ended.succeeded(), "[]\n");
    world.ukci(&["cache", "prune", "--older-than", "soon"]).one_error(2, &["invalid value 'soon'"]);
    world.ukci(&RUN).failed(3, &["VFS: no root"]);
}

/// Check that a store that cannot be made is one error with its path.
#[test]
fn a_store_that_cannot_be_made_is_named() {
    let mut world = World::new();
    world.env.insert("UKCI_STORE".into(), "Cargo.toml/store".into());
    for command in [&["run"][..], &["cache", "list"], &["update"]] {
        world.ukci(command).one_error(1, &["Cargo.toml/store", "cannot make the directory `"]);
    }
    for variable in ["UKCI_STORE", "HOME"] {
        world.env.remove(variable);
    }
    world.ukci(&["cache", "list"]).one_error(1, &["cannot tell where to keep downloads", "hint: set UKCI_STORE"]);
}

/// Check that a full disk below the store is one error with the way out.
#[test]
fn a_full_store_is_one_error() {
    let world = World::new();
    let store = world.env["UKCI_STORE"].clone();
    for kilobytes in [4, 64, 128, 512, 1500] {
        fs::create_dir_all(&store).expect("a directory");
        let Some(ended) = world.on_a_small_disk(&store, kilobytes, &RUN) else { return };
        ended.one_error(1, &["error: ", "pace left", "hint: `ukci cache prune`"]);
        world.no_process_is_left();
    }
}

/// Check that a full disk below the run's directory is an I/O error that names it.
#[test]
fn a_full_run_directory_is_an_error() {
    let world = World::new();
    let out = world.project.join("small").display().to_string();
    let run = format!("{out}/run");
    let args = [&RUN[..], &["--out", &run]].concat();
    fs::create_dir_all(&out).expect("a directory");
    let Some(ended) = world.on_a_small_disk(&out, 4, &args) else { return };
    ended.failed(1, &["No space left on device", &out]);
    world.no_process_is_left();
}

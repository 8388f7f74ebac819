//! What becomes of a run when the archive cannot be had, or has changed.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use rstest::rstest;

use crate::fake_archive::{Answer, Signer, Suite};
use crate::world::{KERNELS, World, kernel, suites};

const RUN: [&str; 4] = ["run", "--accel", "tcg", "--no-progress"];

/// Check that the directory of the run tells the cause too, with every cell in it.
#[track_caller]
fn the_record_tells(world: &World, cause: &str) {
    let record = world.record();
    assert!(record["finished"].is_string(), "{record}");
    for cell in record["cells"].as_array().expect("cells") {
        assert_eq!(cell["verdict"], "lost", "{cell}");
        assert!(cell["reason"].as_str().expect("a reason").contains(cause), "{cell}");
    }
}

/// Check that settings without which nothing can run are one error, not a table of lost cells.
#[rstest]
#[case::bad_url(&[("UKCI_MIRROR", "ftp://mirror.example")], &["`UKCI_MIRROR` is `ftp://mirror.example`: expected a URL"])]
#[case::no_keyring(&[("UKCI_KEYRING", "/nonexistent.gpg")], &["/nonexistent.gpg"])]
fn wrong_settings_are_one_error(#[case] settings: &[(&str, &str)], #[case] parts: &[&str]) {
    let mut world = World::new();
    world.env.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    world.ukci(&RUN).one_error(2, parts);
    the_record_tells(&world, parts[0]);
    world.ukci(&["update"]).one_error(2, parts);
    world.ukci(&["exec", "--", "true"]).one_error(2, parts);
}

/// Check that a machine on which nothing names a mirror is told how to set one, and that no kernel is blamed.
#[test]
fn no_mirror_is_one_error() {
    let mut world = World::new();
    world.env.remove("UKCI_MIRROR");
    // What apt of this machine says is hidden.
    let ended = if Path::new("/etc/apt").exists() {
        world.on_a_small_disk("/etc/apt", 64, &RUN)
    } else {
        Some(world.ukci(&RUN))
    };
    let Some(ended) = ended else { return };
    ended.one_error(2, &["no mirror of the Debian archive is known", "hint: export UKCI_MIRROR="]);
    the_record_tells(&world, "no mirror of the Debian archive is known");
}

/// Check that a network that is down is one error, which names the URL and the way out.
#[test]
fn no_network_is_one_error() {
    let mut world = World::new();
    // Nobody listens there once this is dropped.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("an address");
    for (variable, path) in [("UKCI_MIRROR", "debian"), ("UKCI_MIRROR_SECURITY", "debian-security")] {
        world.env.insert(variable.into(), format!("http://{address}/{path}"));
    }
    world.ukci(&RUN).one_error(1, &["cannot fetch `http://", "Connection refused", "hint: check the network"]);
    the_record_tells(&world, "cannot fetch `http://");
    world.ukci(&["update"]).one_error(1, &["cannot fetch `http://", "hint: check the network"]);
}

/// Check that an archive that fails for kernels alone is one error that blames no kernel, and what is kept still runs.
#[test]
fn what_is_in_the_store_runs_without_a_network() {
    let mut world = World::new();
    world.ukci(&["run", "--accel", "tcg", "--kernel", "6.12"]).failed(3, &["VFS: no root"]);
    world.ukci(&["update"]).succeeded();
    world.env.insert("UKCI_MIRROR_SECURITY".into(), "http://127.0.0.1:1/debian-security".into());
    let ended = world.ukci(&RUN);
    ended.failed(3, &["x86_64/6.18/llvm22", "cannot fetch `http://127.0.0.1:1/"]);
    let cells = &world.record()["cells"];
    assert!(cells[0]["reason"].as_str().expect("a reason").contains("in boot"), "{cells}");
    assert!(cells[2]["reason"].as_str().expect("a reason").contains("in provision: kernel `6.18`"), "{cells}");
    let ended = world.ukci(&[&RUN[..], &["--kernel", "6.18"]].concat());
    ended.one_error(1, &["error: cannot fetch `http://127.0.0.1:1/", "hint: check the network"]);
}

/// Check that a Release file that somebody else signed is refused, and that nothing it lists is asked for.
#[test]
fn a_bad_signature_is_one_error() {
    let world = World::new();
    let stranger = Signer::new(std::time::Duration::ZERO);
    let [tools, ..] = suites();
    world.archive.publish_release("trixie", stranger.sign(&tools.release()));
    world.ukci(&RUN).one_error(1, &["cannot trust `http://", "/dists/trixie/InRelease`"]);
    let requests = world.archive.requests();
    assert!(requests.iter().all(|path| !path.contains("/trixie/") || path.ends_with("/InRelease")), "{requests:?}");
    assert!(
        requests.iter().all(|path| !tools.packages.iter().any(|package| path.ends_with(&package.filename()))),
        "{requests:?}"
    );
    world.archive.publish_release(KERNELS, stranger.sign(&tools.release()));
    world.ukci(&["update"]).one_error(1, &["cannot trust `http://"]);
    assert!(!world.project.join("kernels.lock.json").exists());
}

/// Check that what keeps every bundle from being compiled is one error as well, although the kernels are there.
#[test]
fn a_toolchain_that_cannot_be_had_is_one_error() {
    let world = World::new();
    let [_, sysroot, _] = suites();
    let stranger = Signer::new(std::time::Duration::ZERO);
    world.archive.publish_release("bookworm", stranger.sign(&sysroot.release()));
    let ended = world.ukci(&RUN);
    ended.failed(1, &["error: cannot fetch static libelf and zlib for x86_64: cannot trust `http://"]);
    assert_eq!((ended.stdout.as_str(), ended.stderr.matches("cannot trust").count()), ("", 1), "{ended}");
    the_record_tells(&world, "cannot trust `http://");
}

/// Check that a package with another content than its index says costs its kernel's cells alone, and is not kept.
#[test]
fn a_wrong_hash_is_refused() {
    let world = World::new();
    let [_, _, kernels] = suites();
    let damaged = |mut deb: Vec<u8>| {
        *deb.last_mut().expect("content") ^= 1;
        Answer::Body(deb)
    };
    world.next_package(&kernels.packages[0].name, damaged);
    let ended = world.ukci(&RUN);
    ended.failed(3, &["x86_64/6.12/llvm22", "has the wrong content: expected SHA-256 `"]);
    let record = world.record();
    assert!(record["cells"][0]["reason"].as_str().expect("a reason").contains("in provision"), "{record}");
    assert!(record["cells"][2]["reason"].as_str().expect("a reason").contains("in boot"), "{record}");
    assert!(world.ukci(&["cache", "verify"]).succeeded().contains("every download is what its hash says"));
}

/// Check that a guest package that is gone stops everything with one error, after one more look at the index.
#[test]
fn a_guest_package_that_is_gone_is_one_error() {
    let world = World::new();
    world.archive.remove("pool/main/busybox-static");
    let ended = world.ukci(&RUN);
    ended.failed(1, &["error: cannot fetch the guest's user land: the mirror no longer has `busybox-static` `1`"]);
    ended.failed(1, &["warning", "refreshing the index"]);
    assert_eq!(ended.stdout, "");
}

/// The archive after a security update: the pinned 6.12 is gone, and there is a newer one.
fn after_an_update(world: &World) {
    world.ukci(&["update"]).succeeded();
    world.archive.remove("pool/main/linux-image-6.12");
    let [_, _, kernels] = suites();
    let newer = kernel("6.12.11+deb13-cloud-amd64", "6.12.11-1");
    world.archive.publish(&Suite::new(KERNELS, &[newer, kernels.packages[1].clone()]));
}

/// Check that the newest kernel of the series stands in for a pinned one that is gone, aloud.
#[test]
fn a_kernel_that_is_gone_is_replaced() {
    let world = World::new();
    after_an_update(&world);
    let ended = world.ukci(&RUN);
    ended.failed(3, &["warning", "kernel `6.12`: 6.12.9+deb13-cloud-amd64 has left the archive", "VFS: no root"]);
    let record = world.record();
    assert_eq!(record["cells"][0]["kernel"]["release"], "6.12.11+deb13-cloud-amd64");
    assert_eq!(record["cells"][0]["kernel"]["version"], "6.12.11-1");
}

/// Check that `--locked` takes the pinned kernel or none, and says what pins another.
#[test]
fn locked_takes_no_other_kernel() {
    let world = World::new();
    let args = [&RUN[..], &["--locked"]].concat();
    world.ukci(&args).failed(3, &["kernel `6.12`: not pinned, and --locked allows no other"]);
    after_an_update(&world);
    let ended = world.ukci(&args);
    ended.failed(3, &["x86_64/6.12/llvm22", "the pinned `6.12.9+deb13-cloud-amd64` is no longer in the archive"]);
    let record = world.record();
    assert!(record["cells"][2]["reason"].as_str().expect("a reason").contains("in boot"), "{record}");
}

/// Check that an update pins every kernel and says what moved; that a second one has nothing to do; and that a dry run
/// writes nothing.
#[test]
fn an_update_says_what_moved() {
    let world = World::new();
    let lock = world.project.join("kernels.lock.json");
    let ended = world.ukci(&["update", "--dry-run"]);
    assert!(ended.succeeded().contains("2 would move"), "{ended}");
    assert!(!lock.exists());
    let ended = world.ukci(&["update"]);
    assert!(ended.succeeded().contains("6.12.9") && ended.stdout.ends_with("2 moved\n"), "{ended}");
    let pinned = fs::read_to_string(&lock).expect("a lock");
    assert_eq!(world.ukci(&["update"]).succeeded(), "every kernel is the newest of its series\n");
    assert!(world.ukci(&["plan"]).succeeded().contains("6.12  6.12.9+deb13-cloud-amd64  "));

    let [_, _, kernels] = suites();
    let newer = kernel("6.12.11+deb13-cloud-amd64", "6.12.11-1");
    world.archive.publish(&Suite::new(KERNELS, &[kernels.packages, vec![newer]].concat()));
    let ended = world.ukci(&["update", "--dry-run"]);
    assert!(ended.succeeded().ends_with("\n1 would move\n"), "{ended}");
    assert_eq!(fs::read_to_string(&lock).expect("a lock"), pinned);
    let ended = world.ukci(&["update"]);
    assert!(ended.succeeded().contains("6.12.11") && ended.stdout.ends_with("\n1 moved\n"), "{ended}");
    assert!(!ended.stdout.contains("6.18"), "{ended}");
    assert_eq!(world.archive.requests().iter().filter(|path| path.ends_with(".deb")).count(), 0);
}

/// Check that an update from an archive without a series keeps what is pinned, and warns.
#[test]
fn an_update_keeps_what_is_not_offered() {
    let world = World::new();
    world.ukci(&["update"]).succeeded();
    let [_, _, kernels] = suites();
    world.archive.publish(&Suite::new(KERNELS, &kernels.packages[..1]));
    let ended = world.ukci(&["update"]);
    assert_eq!(ended.succeeded(), "every kernel is the newest of its series\n");
    ended.failed(
        0,
        &["warning", "kernel `6.18`: no package of series `6.18`, flavor `cloud`, for x86_64 in trixie-security"],
    );
}

/// Check that a kernel which is listed, but not there, is replaced by the one before it, aloud.
#[test]
fn a_kernel_that_is_listed_and_absent_is_replaced() {
    let world = World::new();
    let [_, _, kernels] = suites();
    let newer = kernel("6.12.11+deb13-cloud-amd64", "6.12.11-1");
    world.archive.publish(&Suite::new(KERNELS, &[kernels.packages, vec![newer]].concat()));
    world.archive.remove("pool/main/linux-image-6.12.11");
    let ended = world.ukci(&RUN);
    ended.failed(3, &["warning", "6.12.11+deb13-cloud-amd64 is listed, but the mirror does not have it; 6.12.9+deb13"]);
    assert_eq!(world.record()["cells"][0]["kernel"]["release"], "6.12.9+deb13-cloud-amd64");
}

/// Check that a suite that is not made for an architecture offers nothing there, which is said unless the matrix says so.
#[test]
fn an_update_of_an_architecture_that_the_archive_lacks() {
    let world = World::new();
    world.edit_matrix("arches:\n", "arches:\n  riscv64: {}\n");
    let ended = world.ukci(&["update"]);
    assert!(ended.succeeded().ends_with("\n2 moved\n"), "{ended}");
    ended.failed(0, &["warning", "kernel `6.12`: no package of series `6.12`, flavor `generic`, for riscv64"]);
    let world = World::new();
    world.edit_matrix("arches:\n", "exclude: [{arch: riscv64, reason: none}]\narches:\n  riscv64: {}\n");
    let ended = world.ukci(&["update"]);
    assert!(ended.succeeded().ends_with("\n2 moved\n") && !ended.stderr.contains("warning"), "{ended}");
}

/// Check that a suite whose index is out of step costs only itself: what is pinned from it stays.
#[test]
fn an_update_while_a_suite_is_out_of_step() {
    let world = World::new();
    world.edit_matrix("kernels: [trixie-security]", "kernels: [trixie-security, sid]");
    let in_sid = kernel("6.18.4+deb14-cloud-amd64", "6.18.4-1");
    world.archive.publish(&Suite::new("sid", std::slice::from_ref(&in_sid)));
    world.ukci(&["update"]).succeeded();
    let [_, _, kernels] = suites();
    let newer = kernel("6.12.11+deb13-cloud-amd64", "6.12.11-1");
    world.archive.publish(&Suite::new(KERNELS, &[kernels.packages, vec![newer]].concat()));
    let next = Suite::new("sid", &[in_sid, kernel("6.18.5+deb14-cloud-amd64", "6.18.5-1")]);
    world.archive.publish_release("sid", world.archive.signer.sign(&next.release()));
    let ended = world.ukci(&["update"]);
    assert!(ended.succeeded().starts_with("x86_64/6.12: 6.12.9-1 → 6.12.11-1\n1 moved"), "{ended}");
    ended.failed(0, &["warning", "out of step with itself: the index of `sid`"]);
    let lock = fs::read_to_string(world.project.join("kernels.lock.json")).expect("a lock");
    assert!(lock.contains("6.18.4-1"), "{lock}");
}

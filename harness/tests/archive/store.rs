//! The store: shared, killed, full, pruned.

use std::fs;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;
use ukci::archive::{EntryKind, Key, PruneRule, Sha256, Store, StoreError};

use crate::fake_archive::names_in;

/// Names the store of a child process; see [`child`].
const CHILD_STORE: &str = "UKCI_TEST_CHILD_STORE";

fn key() -> Key {
    Key::new("test", ["part"])
}

/// Puts `content` into the store.
fn add(store: &Store, content: &[u8]) -> Result<PathBuf, StoreError> {
    store.add_blob(&Sha256::of(content), "content.bin", |file| {
        let path = file.path().to_owned();
        file.write_all(content).map_err(StoreError::at("write", &path))
    })
}

/// This program again, to run only the test `name` of this module on the store at `root`.
fn child(name: &str, root: &Path, through: &[&str]) -> Command {
    let program = std::env::current_exe().expect("this program");
    let mut words = through.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    words.extend([program.to_string_lossy().into_owned(), "--exact".into(), format!("store::{name}")]);
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .env(CHILD_STORE, root)
        .env("UKCI_STORE", root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The store's path, when this process is a child.
fn child_store() -> Option<PathBuf> {
    std::env::var_os(CHILD_STORE).map(PathBuf::from)
}

#[track_caller]
fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 30 s for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[track_caller]
fn succeeded(child: Child) {
    let Output { status, stdout, stderr } = child.wait_with_output().expect("a child");
    let output = [stdout, stderr].concat();
    assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&output));
}

/// Check that what is put in comes out under its hash, and that other content is refused and not kept.
#[test]
fn blobs_are_what_their_hash_says() {
    let root = TempDir::new().expect("a directory");
    let store = Store::open(root.path()).expect("a store");
    let hash = Sha256::of(b"right");
    assert_eq!(store.blob(&hash).expect("readable"), None);
    let result = store.add_blob(&hash, "name", |file| {
        file.write_all(b"wrong").expect("written");
        Ok::<_, StoreError>(())
    });
    assert!(matches!(result, Err(StoreError::WrongHash { expected, .. }) if expected == hash), "{result:?}");
    assert_eq!(store.blob(&hash).expect("readable"), None);
    let path = add(&store, b"right").expect("kept");
    assert_eq!(store.blob(&hash).expect("readable"), Some(path.clone()));
    assert_eq!(fs::read(path).expect("a file"), b"right");
    assert!("x".repeat(64).parse::<Sha256>().is_err());
    assert_eq!(hash.to_string().parse(), Ok(hash));
}

/// Check that keys differ when their parts do, wherever one part ends and the next begins.
#[test]
fn keys_tell_parts_apart() {
    assert_ne!(Key::new("k", ["ab", "c"]), Key::new("k", ["a", "bc"]));
    assert_ne!(Key::new("k", ["a"]), Key::new("k", ["a", ""]));
    assert_eq!(Key::new("k", ["a"]), Key::new("k", vec![b"a"]));
}

/// Check that threads with stores of their own make a thing once, and that a failure leaves nothing and can be mended.
#[test]
fn threads_make_a_thing_once() {
    let root = TempDir::new().expect("a directory");
    let failed = Store::open(root.path()).expect("a store").derive(&key(), "thing", |directory| {
        fs::write(directory.join("half"), "half").expect("written");
        Err(StoreError::NoHome)
    });
    assert!(matches!(failed, Err(StoreError::NoHome)));
    assert!(names_in(&root.path().join("trees")).is_empty());
    assert!(names_in(&root.path().join("tmp")).is_empty());
    let made = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let store = Store::open(root.path()).expect("a store");
                let make = |directory: &Path| {
                    made.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(30)); // Long enough for the others to come.
                    fs::write(directory.join("whole"), "whole").map_err(StoreError::at("write", directory))
                };
                let path = store.derive(&key(), "thing", make).expect("made");
                assert_eq!(names_in(&path), ["whole"]);
            });
        }
    });
    assert_eq!(made.load(Ordering::SeqCst), 1);
}

/// What children of the tests below do: make a thing, slowly, and write a line to `made` for it.
#[test]
fn child_makes_slowly() {
    let Some(root) = child_store() else { return };
    let store = Store::from_env().expect("a store");
    let make = |directory: &Path| {
        let log = root.with_extension("made");
        let mut log = fs::OpenOptions::new().append(true).create(true).open(&log).expect("a log");
        fs::write(directory.join("half"), "half").expect("written");
        writeln!(log, "made").expect("written");
        wait_for("the sign to go on", || root.with_extension("go").exists());
        fs::write(directory.join("whole"), "whole").map_err(StoreError::at("write", directory))
    };
    store.derive(&key(), "thing", make).expect("made");
}

/// Check that two processes make a thing once.
#[test]
fn processes_make_a_thing_once() {
    let directory = TempDir::new().expect("a directory");
    let root = directory.path().join("store");
    let children: Vec<_> = (0..3).map(|_| child("child_makes_slowly", &root, &[]).spawn().expect("a child")).collect();
    wait_for("all to have opened the store", || root.join("tmp").exists() && names_in(&root.join("tmp")).len() >= 6);
    fs::write(root.with_extension("go"), "").expect("written");
    children.into_iter().for_each(succeeded);
    assert_eq!(fs::read_to_string(root.with_extension("made")).expect("a log"), "made\n");
}

/// Check that a process that is killed leaves nothing that is seen or that stays, and that nobody waits for it.
#[test]
fn a_killed_process_leaves_nothing() {
    let directory = TempDir::new().expect("a directory");
    let root = directory.path().join("store");
    let mut killed = child("child_makes_slowly", &root, &[]).spawn().expect("a child");
    wait_for("the child to be in the middle", || root.with_extension("made").exists());
    let alive = Store::open(&root).expect("a store");
    let scratch = alive.scratch().expect("a directory");
    killed.kill().expect("killed");
    assert_eq!(killed.wait().expect("dead").signal(), Some(9));
    assert!(names_in(&root.join("trees")).is_empty());
    assert_eq!(names_in(&root.join("tmp")).len(), 4, "its session and ours, each with a lock");

    // Looking for live sessions must not make the dead one's leftovers impossible to find.
    assert!(alive.prune(PruneRule::default()).expect("pruned").removed.is_empty());

    let store = Store::open(&root).expect("a store");
    assert!(scratch.path().exists(), "what belongs to a live session must stay");
    assert_eq!(names_in(&root.join("tmp")).len(), 4, "two live sessions");
    let make = |path: &Path| fs::write(path.join("new"), "new").map_err(StoreError::at("write", path));
    assert_eq!(names_in(&store.derive(&key(), "thing", make).expect("made")), ["new"]);
    drop((scratch, alive, store));
    assert!(names_in(&root.join("tmp")).is_empty());
    assert!(names_in(&root.join("locks")).is_empty());
}

/// Runs in a child whose store is on a disk of 1 MiB.
#[test]
#[expect(clippy::print_stdout, reason = "tells the parent that the test ran to its end")]
fn child_fills_the_disk() {
    let Some(root) = child_store() else { return };
    let store = Store::from_env().expect("a store");
    for _ in 0..2 {
        let error = add(&store, &vec![7; 4 << 20]).expect_err("it cannot fit");
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(&format!("no space left to write `{}", root.display())), "{text}");
        assert!(text.contains("\n  hint: `ukci cache prune`"), "{text}");
        let make = |path: &Path| fs::write(path.join("big"), vec![7; 4 << 20]).map_err(StoreError::at("write", path));
        let error = store.derive(&key(), "big", make).expect_err("it cannot fit");
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    }
    for place in ["blobs/sha256", "trees", "names", "locks"] {
        assert!(names_in(&root.join(place)).is_empty(), "{place}");
    }
    add(&store, b"small").expect("there is room again");
    println!("the disk was full");
}

/// Check that a full disk is one clear error and leaves nothing half-made.
#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped must say why")]
fn a_full_disk_is_a_clear_error() {
    let directory = TempDir::new().expect("a directory");
    let mount = format!("mount -t tmpfs -o size=1m none '{}' && exec \"$@\"", directory.path().display());
    let command = ["unshare", "-rm", "sh", "-c", &mount, "sh"];
    let output = child("child_fills_the_disk", directory.path(), &command).arg("--nocapture").output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
            eprintln!("skipped: this machine has no unshare(1)");
            return;
        }
    };
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && stdout.is_empty() {
        let forbidden = ["Operation not permitted", "Permission denied", "permission denied"];
        assert!(forbidden.iter().any(|reason| stderr.contains(reason)), "{stderr}");
        eprintln!("skipped: no file system may be mounted here: {}", stderr.trim());
        return;
    }
    assert!(output.status.success() && stdout.contains("the disk was full"), "{stdout}{stderr}");
}

fn age(path: &Path, days: u64) {
    let time = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
    fs::File::open(path).and_then(|file| file.set_modified(time)).expect("a time");
}

/// Check that things are listed with their names and sizes, and that the longest unused go first.
#[test]
fn pruning_takes_the_longest_unused() {
    let root = TempDir::new().expect("a directory");
    let store = Store::open(root.path()).expect("a store");
    let old = add(&store, &[1; 10_000]).expect("kept");
    let used = add(&store, &[2; 10_000]).expect("kept");
    let make = |path: &Path| fs::write(path.join("file"), [3; 10_000]).map_err(StoreError::at("write", path));
    let tree = store.derive(&key(), "a thing", make).expect("made");
    age(&old, 9);
    age(&used, 8);
    age(&tree, 7);
    let listed = store.list().expect("a list");
    let kinds: Vec<_> = listed.iter().map(|entry| (entry.kind, entry.name.as_str())).collect();
    assert_eq!(
        kinds,
        [(EntryKind::Blob, "content.bin"), (EntryKind::Blob, "content.bin"), (EntryKind::Tree, "a thing")]
    );
    assert!(listed.iter().all(|entry| (10_000..40_000).contains(&entry.bytes)), "{listed:?}");

    store.blob(&Sha256::of(&[2; 10_000])).expect("readable").expect("there");
    let rule = PruneRule { older_than: Some(Duration::from_secs(8 * 24 * 60 * 60)), max_bytes: None };
    let removed = store.prune(rule).expect("pruned").removed;
    assert_eq!(removed.iter().map(|entry| &entry.path).collect::<Vec<_>>(), [&old]);
    assert!(!old.exists() && used.exists() && tree.exists());

    let rule = PruneRule { older_than: None, max_bytes: Some(20_000) };
    let removed = store.prune(rule).expect("pruned").removed;
    assert_eq!(removed.iter().map(|entry| &entry.path).collect::<Vec<_>>(), [&tree]);
    assert!(store.prune(PruneRule::default()).expect("pruned").removed.is_empty());
    assert_eq!(names_in(&root.path().join("names")).len(), 1);
}

/// Check that nothing is pruned that another live process has asked for.
#[test]
fn pruning_spares_what_is_in_use() {
    let root = TempDir::new().expect("a directory");
    let store = Store::open(root.path()).expect("a store");
    let unused = add(&store, b"unused").expect("kept");
    let used = add(&store, b"used").expect("kept");
    age(&unused, 1);
    age(&used, 1);
    let other = Store::open(root.path()).expect("a store");
    other.blob(&Sha256::of(b"used")).expect("readable").expect("there");
    let everything = PruneRule { older_than: Some(Duration::ZERO), max_bytes: None };
    let pruned = store.prune(everything).expect("pruned");
    assert_eq!((pruned.removed.len(), pruned.in_use.len()), (1, 1), "{pruned:?}");
    assert!(used.exists() && !unused.exists());
    drop(other);
    assert_eq!(store.prune(everything).expect("pruned").removed.len(), 1);
}

/// Check that a download that has changed on the disk is named and removed.
#[test]
fn verifying_finds_what_has_changed() {
    let root = TempDir::new().expect("a directory");
    let store = Store::open(root.path()).expect("a store");
    let good = add(&store, b"good").expect("kept");
    let bad = add(&store, b"bad").expect("kept");
    fs::remove_file(&bad).and_then(|()| fs::write(&bad, b"changed")).expect("written");
    let found = store.verify().expect("verified");
    assert_eq!(found.iter().map(|entry| &entry.path).collect::<Vec<_>>(), [&bad]);
    assert!(good.exists() && !bad.exists());
}

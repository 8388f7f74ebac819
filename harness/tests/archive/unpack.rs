//! Packages become directories, and dangerous packages nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rstest::rstest;
use ukci::archive::deb;

use crate::fake_archive::{Deb, names_in};

fn unpack(debs: Vec<Vec<u8>>, limits: deb::Limits) -> (tempfile::TempDir, Result<PathBuf, deb::DebError>) {
    let directory = tempfile::TempDir::new().expect("a directory");
    let named: Vec<_> = debs
        .into_iter()
        .enumerate()
        .map(|(number, bytes)| {
            let path = directory.path().join(format!("{number}.deb"));
            fs::write(&path, bytes).expect("a file");
            (format!("{number}.deb"), path)
        })
        .collect();
    let tree = directory.path().join("tree");
    fs::create_dir(&tree).expect("a directory");
    let result = deb::unpack(&named, &tree, limits).map(|()| tree);
    (directory, result)
}

/// Check that every compression is understood, and that modes are kept except those that give rights away.
#[rstest]
fn every_compression(#[values("", ".gz", ".xz", ".zst")] suffix: &str) {
    let deb = Deb::new()
        .directory("./", 0o755)
        .directory("./usr/bin", 0o555)
        .file("./usr/bin/su", 0o4755, b"su")
        .hard_link("./usr/bin/sudo", "./usr/bin/su")
        .symlink("./etc/mtab", "/proc/mounts")
        .build(suffix);
    let (_directory, tree) = unpack(vec![deb], deb::Limits::default());
    let tree = tree.expect("unpacked");
    let mode = |path| fs::metadata(tree.join(path)).expect("a file").permissions().mode() & 0o7777;
    assert_eq!(mode("usr/bin/su"), 0o755);
    assert_eq!(mode("usr/bin"), 0o755);
    assert_eq!(fs::read(tree.join("bin/sudo")).expect("a file"), b"su");
    assert_eq!(fs::read_link(tree.join("etc/mtab")).expect("a link"), PathBuf::from("/proc/mounts"));
}

/// Check that packages of before and after the move to `usr` make one tree, in whichever order they come.
#[rstest]
fn old_and_new_places_of_libraries(#[values(false, true)] reversed: bool) {
    let mut debs = vec![
        Deb::new().directory("./lib", 0o755).file("./lib/modules/old.ko", 0o644, b"old").build(".xz"),
        Deb::new().symlink("./lib", "usr/lib").symlink("./bin", "/usr/bin").build(".xz"),
        Deb::new()
            .file("./usr/lib/modules/new.ko", 0o644, b"new")
            .symlink("./usr/share/m", "../../lib/modules")
            .build(".xz"),
        Deb::new().file("./usr/share/m/linked.ko", 0o644, b"linked").build(".xz"),
    ];
    if reversed {
        debs[..3].reverse();
    }
    let (_directory, tree) = unpack(debs, deb::Limits::default());
    let tree = tree.expect("unpacked");
    assert_eq!(names_in(&tree.join("lib/modules")), ["linked.ko", "new.ko", "old.ko"]);
    assert_eq!(names_in(&tree.join("usr/lib/modules")), ["linked.ko", "new.ko", "old.ko"]);
    assert_eq!(fs::read_link(tree.join("lib")).expect("a link"), PathBuf::from("usr/lib"));
}

/// Check that nothing outside the tree can be written, read or made into something dangerous.
#[rstest]
#[case::absolute(Deb::new().file("/tmp/ukci-escaped", 0o644, b"x"), "absolute path")]
#[case::parent(Deb::new().file("./usr/../../escaped", 0o644, b"x"), "`..` in it")]
#[case::relative_link(Deb::new().symlink("./out", "../..").file("./out/escaped", 0o644, b"x"), "leaves the tree")]
#[case::absolute_link(Deb::new().symlink("./out", "/tmp").file("./out/escaped", 0o644, b"x"), "is absolute")]
#[case::chain(
    Deb::new().symlink("./a", ".").symlink("./a/b", "../..").directory("./a/b/escaped", 0o755),
    "leaves the tree"
)]
#[case::circle(Deb::new().symlink("./a", "b").symlink("./b", "a").file("./a/x", 0o644, b"x"), "in a circle")]
#[case::hard_link_out(Deb::new().hard_link("./x", "../0.deb"), "`..` in it")]
#[case::hard_link_absolute(Deb::new().hard_link("./x", "/etc/passwd"), "absolute path")]
#[case::hard_link_to_link(Deb::new().symlink("./l", "/etc/passwd").hard_link("./x", "l"), "no file of the tree")]
#[case::hard_link_through_link(Deb::new().symlink("./l", "/etc").hard_link("./x", "l/passwd"), "is absolute")]
#[case::device(Deb::new().entry(tar::EntryType::Char, "./null", "", 0o666, b""), "is a device")]
#[case::pipe(Deb::new().entry(tar::EntryType::Fifo, "./pipe", "", 0o666, b""), "is a device")]
#[case::root(Deb::new().symlink("./", "/tmp"), "stands for the whole tree")]
#[case::system(Deb::new().symlink("./lib", "/tmp").file("./lib/x", 0o644, b"x"), "must be")]
fn dangerous_packages_are_refused(#[case] deb: Deb, #[case] reason: &str) {
    let (directory, result) = unpack(vec![deb.build(".xz")], deb::Limits::default());
    let error = result.expect_err("refused");
    assert!(matches!(error, deb::DebError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains(reason), "{error}");
    assert_eq!(names_in(directory.path()), ["0.deb", "tree"]);
    assert!(!PathBuf::from("/tmp/escaped").exists() && !PathBuf::from("/tmp/ukci-escaped").exists());
}

/// Check that a file is replaced and not written through, be it a link or a file with two names.
#[test]
fn what_is_there_is_replaced() {
    let first = Deb::new().file("./a", 0o644, b"a").hard_link("./b", "a").symlink("./c", "a").build("");
    let second = Deb::new().file("./b", 0o600, b"bb").file("./c", 0o644, b"cc").symlink("./usr", "nothing").build("");
    let (_directory, tree) = unpack(vec![first, second], deb::Limits::default());
    let tree = tree.expect("unpacked");
    let content = |name| fs::read_to_string(tree.join(name)).expect("a file");
    assert_eq!([content("a"), content("b"), content("c")], ["a", "bb", "cc"]);
}

/// Check that a package that grows too large is stopped, and that what is no package is said to be none.
#[test]
fn bombs_and_rubbish_are_errors() {
    let bomb = || Deb::new().file("./zeros", 0o644, &vec![0; 4 << 20]).file("./more", 0o644, b"x").build(".zst");
    for limits in [deb::Limits { bytes: 1 << 20, entries: 10 }, deb::Limits { bytes: 8 << 20, entries: 1 }] {
        let (_directory, result) = unpack(vec![bomb()], limits);
        assert!(matches!(result, Err(deb::DebError::TooLarge { .. })), "{result:?}");
    }
    let cut = bomb();
    for rubbish in [&b""[..], b"!<arch>\n", b"no package at all", &cut[..cut.len() / 2], &Deb::new().build(".lz4")] {
        let (_directory, result) = unpack(vec![rubbish.to_vec()], deb::Limits::default());
        assert!(matches!(result, Err(deb::DebError::Malformed { .. })), "{result:?}");
    }
}

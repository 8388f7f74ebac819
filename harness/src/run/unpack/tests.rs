//! Archives that a test, or a guest that was taken over, could send.

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

const LIMITS: Limits = Limits { bytes: 1000, files: 5 };

/// An archive of entries with any kind, path and link, however bad.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn entry(mut self, kind: EntryType, path: &[u8], link: &str, content: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path);
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o6777);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(EntryType::Regular, path.as_bytes(), "", content)
    }
}

/// Unpacks into `out` below a directory that holds nothing else.
fn unpacked(tar: &Tar) -> (TempDir, Unpacked) {
    let directory = tempfile::tempdir().unwrap();
    let unpacked = unpack(&tar.0[..], &directory.path().join("out"), LIMITS);
    let around: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(around.iter().all(|name| name == "out"), "something was written beside the directory: {around:?}");
    (directory, unpacked)
}

/// Check that an archive keeps `kept`, and that the rest is told as `trouble`.
#[track_caller]
fn check(tar: Tar, kept: &[&str], trouble: Option<&str>) {
    let (directory, unpacked) = unpacked(&tar);
    assert_eq!(unpacked.trouble.as_deref(), trouble);
    assert_eq!(unpacked.files, kept);
    for file in kept {
        let data = fs::symlink_metadata(directory.path().join("out").join(file)).unwrap();
        assert!(data.is_file(), "{file}");
        assert_eq!(data.permissions().mode() & 0o7133, 0, "{file}: neither set-user-id nor executable");
    }
}

#[test]
fn files_come_with_their_directories_and_in_order() {
    let tar = Tar::default().file("./b.json", b"{}").file("a/deep/er", b"").file("./.hidden", b"x");
    let (directory, _) = unpacked(&tar);
    assert_eq!(fs::read(directory.path().join("out/b.json")).unwrap(), b"{}");
    check(tar, &[".hidden", "a/deep/er", "b.json"], None);
}

#[test]
fn archives_may_follow_each_other() {
    let mut tar = Tar::default().file("a", b"1");
    tar.0.extend([0; 1024]);
    check(tar.file("b", b"2"), &["a", "b"], None);
}

#[test]
fn an_archive_without_files_makes_no_directory() {
    let (directory, unpacked) = unpacked(&Tar(vec![0; 1024]));
    assert!(unpacked.files.is_empty() && unpacked.trouble.is_none(), "{unpacked:?}");
    assert!(!directory.path().join("out").exists());
}

#[test]
fn a_path_that_leaves_the_directory_is_left_out() {
    for path in ["../evil", "a/../../evil", "/tmp/evil-of-ukci", "a/../b"] {
        let trouble = format!("the entry `{path}` would leave its directory");
        check(Tar::default().file(path, b"x").file("good", b"x"), &["good"], Some(&trouble));
    }
    assert!(!Path::new("/tmp/evil-of-ukci").exists());
}

/// Check that no link is made, and that a file behind one is written where its name says, if at all.
#[test]
fn links_and_devices_are_left_out() {
    let link = |kind| Tar::default().entry(kind, b"link", "../..", b"");
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Block, EntryType::Fifo] {
        let trouble = Some("the entry `link` is no regular file");
        check(link(kind).file("link/evil", b"x"), &["link/evil"], trouble);
    }
}

#[test]
fn what_has_the_place_of_another_is_left_out() {
    let twice = Tar::default().file("a", b"first").file("a", b"second");
    let (directory, _) = unpacked(&twice);
    assert_eq!(fs::read(directory.path().join("out/a")).unwrap(), b"first");
    check(twice, &["a"], Some("the entry `a` has the place of another"));
    let below = Tar::default().file("a", b"").file("a/b", b"").file("c/d", b"").file("c", b"");
    check(below, &["a", "c/d"], Some("the entry `a/b` has the place of another, and 1 more are left out"));
}

#[test]
fn names_that_are_no_names_are_left_out() {
    check(
        Tar::default().file("a\u{1b}[2J", b""),
        &[],
        Some("the entry `a\u{1b}[2J` has a control character in its name"),
    );
    let no_text = Tar::default().entry(EntryType::Regular, b"a\xff", "", b"");
    check(no_text, &[], Some("the entry `a\u{fffd}` has a name that is no text"));
    check(Tar::default().file("./.", b""), &[], Some("the entry `./.` has no name"));
    let long = [b"x".repeat(300), b"\0".to_vec()].concat();
    let long = Tar::default().entry(EntryType::GNULongName, b"././@LongLink", "", &long).file("x", b"");
    let trouble = format!("the entry `{}` has a name that is too long", "x".repeat(300));
    check(long, &[], Some(&trouble));
}

#[test]
fn no_more_than_the_limits_is_unpacked() {
    let large = Tar::default().file("a", &[1; 600]).file("b", &[1; 600]);
    check(large, &["a"], Some("together larger than is kept"));
    let many = ["1", "2", "3", "4", "5", "6"].iter().fold(Tar::default(), |tar, name| tar.file(name, b""));
    check(many, &["1", "2", "3", "4", "5"], Some("more than 5 files"));
    // A file that claims to be larger than the archive.
    let mut liar = Tar::default().file("a", &[1; 600]);
    liar.0.truncate(1024);
    check(liar, &[], Some("the archive ends within a file"));
}

#[test]
fn damage_is_told_and_what_came_before_stays() {
    let mut damaged = Tar::default().file("good", b"x");
    damaged.0.extend([7; 512]);
    let (_directory, unpacked) = unpacked(&damaged);
    assert_eq!(unpacked.files, ["good"]);
    let trouble = unpacked.trouble.unwrap();
    assert!(trouble.starts_with("the archive is damaged: "), "{trouble}");
}

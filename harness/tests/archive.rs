//! The package archive, from a mirror on 127.0.0.1 to directories in the store.

#[path = "common/fake_archive.rs"]
mod fake_archive;
#[path = "archive/mirror.rs"]
mod mirror;
#[path = "archive/store.rs"]
mod store;
#[path = "archive/unpack.rs"]
mod unpack;

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rstest::rstest;
use ukci::archive::{Archive, ArchiveError, ClosureError, FetchError, IndexError, Progress, Settings, SignatureError};
use ukci::matrix::Arch::{Riscv64, X86_64};

use fake_archive::{Answer, FakeArchive, FakePackage, Signer, Suite, dists, names_in};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An archive with `hello`, which depends on `libhello`.
fn greeting() -> FakeArchive {
    let fake = FakeArchive::new();
    fake.publish(&greeting_suite());
    fake
}

fn greeting_suite() -> Suite {
    let packages = [
        FakePackage::new("hello", "1.0-1").depends("libhello (>= 0.9) | nothing"),
        FakePackage::new("libhello", "0.9"),
        FakePackage::new("libhello", "0.10"),
    ];
    Suite::new("trixie", &packages)
}

#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Progress for Warnings {
    fn downloaded(&self, _name: &str, _bytes: u64, _total: u64) {}

    fn warn(&self, text: &str) {
        self.0.lock().expect("no panic").push(text.into());
    }
}

#[track_caller]
fn refused(archive: &Archive) -> SignatureError {
    match archive.index("trixie", X86_64) {
        Err(ArchiveError::Signature { source, .. }) => source,
        other => panic!("expected a refused signature, found {other:?}"),
    }
}

/// Check that a closure is found, fetched and unpacked, and that all of it then works without any request or setting.
#[test]
fn a_tree_is_made_once_and_then_needs_no_mirror() {
    let fake = greeting();
    let (packages, tree) = fake.open().closure_tree(&["trixie"], X86_64, &["hello"], &[]).expect("a tree");
    let found: Vec<_> = packages.iter().map(|package| (package.name.as_str(), package.version.as_str())).collect();
    assert_eq!(found, [("hello", "1.0-1"), ("libhello", "0.10")]);
    assert_eq!(fs::read_to_string(tree.join("usr/share/doc/libhello/version")).expect("a file"), "0.10");
    assert_eq!(fake.requests().len(), 4, "{:?}", fake.requests());

    let settings = Settings { mirror: None, keyring: None, ..fake.settings() };
    let offline = Archive::open(settings, fake.store(), Arc::new(()));
    let again = offline.closure_tree(&["trixie"], X86_64, &["hello"], &[]).expect("a tree");
    assert_eq!(again, (packages.clone(), tree));
    offline.fetch(&packages).expect("packages");
    assert!(offline.index("trixie", X86_64).expect("an index").newest("hello").expect("well-formed").is_some());
    assert_eq!(fake.requests().len(), 4, "{:?}", fake.requests());
    assert!(names_in(&fake.store_path().join("locks")).is_empty());

    let error = offline.refresh("trixie", X86_64).expect_err("no mirror is set");
    assert!(error.to_string().contains("export UKCI_MIRROR=http://HOST/debian"), "{error}");
}

/// Check that alternatives, virtual packages, exclusions and several suites give the closure that they should.
#[test]
fn a_closure_follows_alternatives_and_virtual_packages() {
    let fake = FakeArchive::new();
    let packages = [
        FakePackage::new("app", "1").depends("missing | libc:any (>= 2), mailer, debconf (>= 1) | cdebconf, [bad"),
        FakePackage::new("app", "0"),
        FakePackage::new("libc", "2").depends("app"),
        FakePackage::new("postfix", "1").provides("x, mailer (= 3)"),
        FakePackage::new("exim", "1").provides("mailer"),
        FakePackage::new("debconf", "1").depends("perl"),
        FakePackage::new("cdebconf", "1"),
        FakePackage::new("perl", "1"),
    ];
    fake.publish(&Suite::new("trixie", &packages));
    fake.publish(&Suite::new("trixie-security", &[FakePackage::new("libc", "1:1"), FakePackage::new("app", "0.9")]));
    let archive = fake.open();
    let names = |suites: &[&str], without: &[&str]| -> Vec<String> {
        let found = archive.closure(suites, X86_64, &["app"], without).expect("a closure");
        found.into_iter().map(|package| format!("{}={} {}", package.name, package.version, package.suite)).collect()
    };
    let all = ["app=1 trixie", "libc=2 trixie", "exim=1 trixie", "debconf=1 trixie", "perl=1 trixie"];
    assert_eq!(names(&["trixie"], &[]), all);
    assert_eq!(names(&["trixie"], &["debconf", "exim"]), all[..2]);
    let both = names(&["trixie", "trixie-security"], &["debconf", "exim"]);
    assert_eq!(both, ["app=1 trixie", "libc=1:1 trixie-security"]);
    archive.tree(&archive.closure(&["trixie-security"], X86_64, &["libc"], &[]).expect("a closure")).expect("a tree");

    fake.publish(&Suite::new("sid", &[FakePackage::new("needy", "1").depends("nowhere")]));
    let needy = |without: &[&str]| archive.closure(&["sid"], X86_64, &["needy"], without);
    let error = needy(&[]).expect_err("it cannot be satisfied").to_string();
    assert_eq!(error, "no package `nowhere` in `sid`, which `needy` depends on");
    assert_eq!(needy(&["nowhere"]).expect("left out, so not looked for").len(), 1);

    let error = archive.closure(&["trixie-security"], X86_64, &["perl"], &[]).expect_err("it is not there");
    assert!(matches!(error, ArchiveError::Closure(ClosureError::NotFound { .. })), "{error:?}");
    assert_eq!(error.to_string(), "no package `perl` in `trixie-security`");
}

/// Check that a text without a signature, with one that does not fit, or with one by the wrong key is not believed.
#[test]
fn only_a_good_signature_is_believed() {
    let fake = greeting();
    let text = greeting_suite().release();
    fake.publish_release("trixie", text.clone().into_bytes());
    assert!(matches!(refused(&fake.open()), SignatureError::NotSigned { .. }));

    fake.publish_release("trixie", Signer::new(DAY).sign(&text));
    let error = refused(&fake.open()).to_string();
    assert!(error.contains("is not in the keyring"), "{error}");

    let signed = String::from_utf8(fake.signer.sign(&text)).expect("text");
    fake.publish_release("trixie", signed.replace("Origin: Debian", "Origin: Devil").into_bytes());
    let error = refused(&fake.open()).to_string();
    assert!(error.contains("does not fit the text"), "{error}");

    // What stands outside the signature must never be read.
    for outside in [format!("Evil: yes\n{signed}"), format!("{signed}\nEvil: yes\n")] {
        fake.publish_release("trixie", outside.into_bytes());
        assert!(matches!(refused(&fake.open()), SignatureError::NotSigned { .. }));
    }
    assert!(names_in(&fake.store_path().join("indexes")).is_empty());
    fake.publish_release("trixie", signed.into_bytes());
    fake.open().index("trixie", X86_64).expect("the good one is believed");
}

/// Check that a key that had expired or is revoked does not count, and that one that expires later does.
#[rstest]
#[case::expired(Signer::new(10 * DAY).expired(DAY), Some("had expired when it signed"))]
#[case::revoked(Signer::new(10 * DAY).revoked(), Some("is revoked"))]
#[case::not_yet(Signer::new(10 * DAY).expired(20 * DAY), None)]
fn a_bad_key_does_not_count(#[case] signer: Signer, #[case] reason: Option<&str>) {
    let fake = FakeArchive::with_signer(signer);
    fake.publish(&greeting_suite());
    match reason {
        Some(reason) => {
            let error = refused(&fake.open()).to_string();
            assert!(error.contains(reason), "{error}");
        }
        None => drop(fake.open().index("trixie", X86_64).expect("an index")),
    }
}

/// Check that an outdated Release file is a warning, and that of another suite an error.
#[test]
fn an_old_release_is_a_warning_and_a_foreign_one_an_error() {
    let fake = FakeArchive::new();
    let suite = Suite { valid_until: "Thu, 05 Nov 2020 08:09:10 UTC".into(), ..greeting_suite() };
    fake.publish(&suite);
    let warnings = Arc::new(Warnings::default());
    let archive = fake.open_with(Arc::clone(&warnings) as Arc<dyn Progress>);
    archive.index("trixie", X86_64).expect("an index, in spite of the warning");
    archive.refresh("trixie", X86_64).expect("an index");
    let text = warnings.0.lock().expect("no panic").join("\n");
    assert_eq!(text.lines().count(), 1, "said once: {text}");
    assert!(text.contains("should have been replaced by 2020-11-05T08:09:10Z"), "{text}");

    fake.publish_release("bookworm", fake.signer.sign(&suite.release()));
    let error = archive.index("bookworm", X86_64).expect_err("it is another suite's");
    assert!(error.to_string().contains("expected `bookworm`, found suite `stable`, codename `trixie`"), "{error}");
    let error = archive.index("../x", X86_64).expect_err("no suite");
    assert!(matches!(error, ArchiveError::Index(IndexError::BadSuite(_))), "{error:?}");
    let error = archive.index("trixie", Riscv64).expect_err("no packages");
    assert!(matches!(error, ArchiveError::Index(IndexError::NoIndex { arch: Riscv64, .. })), "{error:?}");
}

/// Check that a mirror in the middle of an update is asked again, and that the old path serves where by-hash does not.
#[test]
fn a_mirror_out_of_step_heals() {
    let fake = greeting();
    let plain = format!("{}/main/binary-amd64/Packages.xz", dists("trixie"));
    // The first Release file lists an index that is gone already.
    let mut newer = greeting_suite();
    newer.packages.pop();
    fake.next(&format!("{}/InRelease", dists("trixie")), Answer::Body(fake.signer.sign(&newer.release())));
    let index = fake.open().index("trixie", X86_64).expect("an index");
    assert_eq!(index.versions("libhello").expect("well-formed").len(), 2);

    let fake = greeting();
    fake.remove("by-hash");
    fake.open().index("trixie", X86_64).expect("an index");
    assert!(fake.requests().contains(&plain));

    let fake = greeting();
    fake.remove("by-hash");
    let mut wrong = fake_archive::xz(greeting_suite().index().as_bytes());
    wrong[100] ^= 1; // The size stays, so that nothing but the hash can tell.
    fake.put(&plain, Answer::Body(wrong));
    let error = fake.open().index("trixie", X86_64).expect_err("never the right one");
    assert!(matches!(error, ArchiveError::Index(IndexError::OutOfStep { tries: 3, .. })), "{error:?}");
    assert!(error.to_string().contains("hint: it is probably being updated"), "{error}");
    assert!(names_in(&fake.store_path().join("trees")).is_empty());
}

/// Check that a package with the wrong content, one that the mirror dropped and one that ends too early are not kept.
#[test]
fn a_wrong_package_is_not_kept() {
    let fake = greeting();
    let archive = fake.open();
    let package = archive.index("trixie", X86_64).expect("an index").newest("hello").expect("well-formed");
    let packages = [package.expect("it is there")];
    let path = format!("/debian/{}", packages[0].filename);
    let right = FakePackage::new("hello", "1.0-1").deb;
    let mut wrong = right.clone();
    wrong[20] ^= 1;

    fake.put(&path, Answer::Body(wrong));
    let error = archive.tree(&packages).expect_err("wrong content");
    assert!(matches!(error, ArchiveError::Fetch(FetchError::Hash { .. })), "{error:?}");

    fake.put(&path, Answer::Body([&right[..], b"more"].concat()));
    let error = archive.tree(&packages).expect_err("wrong size");
    assert!(matches!(error, ArchiveError::Fetch(FetchError::Size { more: true, .. })), "{error:?}");

    fake.put(&path, Answer::Half(right.clone()));
    let error = archive.tree(&packages).expect_err("half of it");
    assert!(matches!(error, ArchiveError::Fetch(FetchError::Unreachable { tries: 3, .. })), "{error:?}");

    fake.put(&path, Answer::Status(404));
    let error = archive.tree(&packages).expect_err("gone");
    assert!(matches!(&error, ArchiveError::Fetch(FetchError::Gone { package, .. }) if package == "hello"), "{error:?}");

    assert!(names_in(&fake.store_path().join("blobs/sha256")).is_empty());
    for session in fs::read_dir(fake.store_path().join("tmp")).expect("a directory").flatten() {
        let path = session.path();
        assert!(path.is_file() || names_in(&path).is_empty(), "{path:?}");
    }

    // A busy server and a broken connection are tried again.
    fake.put(&path, Answer::Body(right.clone()));
    fake.next(&path, Answer::Status(503));
    fake.next(&path, Answer::Half(right));
    archive.tree(&packages).expect("the third try is good");
}

/// Check that a package that the mirror has replaced makes the index be fetched anew.
#[test]
fn a_replaced_package_is_found_again() {
    let fake = greeting();
    let archive = fake.open();
    archive.index("trixie", X86_64).expect("an index");
    fake.remove("hello_1.0-1");
    let mut newer = greeting_suite();
    newer.packages[0] = FakePackage::new("hello", "1.1");
    fake.publish(&newer);
    let (packages, _tree) = archive.closure_tree(&["trixie"], X86_64, &["hello"], &[]).expect("a tree");
    assert_eq!(packages[0].version, "1.1");
}

/// Check that a server that is not there is named, with a hint, and not waited for.
#[test]
fn a_missing_server_is_an_error_with_a_hint() {
    let fake = greeting();
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let settings = Settings { mirror: Some(format!("http://{address}/debian")), ..fake.settings() };
    let error = Archive::open(settings, fake.store(), Arc::new(())).index("trixie", X86_64).expect_err("nobody there");
    let text = error.to_string();
    assert!(text.contains(&format!("http://{address}/debian/dists/trixie/InRelease` (tried once)")), "{text}");
    assert!(text.contains("\n  hint: check the network"), "{text}");
}

/// Check that an archive and a store can be shared between threads.
#[test]
fn archives_can_be_shared() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Archive>();
    shared::<ukci::archive::Store>();
}

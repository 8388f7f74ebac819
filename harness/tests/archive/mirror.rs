//! Where the mirror comes from: the environment, the configuration file, apt.

use std::fs;
use std::path::{Path, PathBuf};

use rstest::rstest;
use tempfile::TempDir;
use ukci::archive::{Mirror, MirrorError, Settings};

const ONE_LINE: &str = "# comment\ndeb-src http://src.example/debian trixie main\n\
    deb [arch=amd64 signed-by=/usr/share/keyrings/vendor.gpg] https://vendor.example/debian trixie main\n\
    deb cdrom:[Debian 13]/ trixie main\ndeb http://extra.example/debian trixie contrib\n\
    deb [trusted=no] http://mirror.example/debian/ trixie main contrib # the one\n\
    deb http://mirror.example/debian trixie-updates main\n\
    deb http://mirror.example/debian-security trixie-security main\n";

const DEB822: &str = "# comment\nTypes: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: trixie\nComponents: main\n\n\
    Types: deb deb-src\nURIs: mirror+file:/etc/mirrors http://mirror.example/debian http://other.example/debian\n\
    Suites: trixie trixie-updates\nComponents: main contrib\nSigned-By: /usr/share/keyrings/debian-archive-keyring.pgp\n\n\
    Types: deb\nURIs: http://mirror.example/debian-security/\nSuites: trixie-security\nComponents: main\n\
    Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n";

const UBUNTU: &str = "Types: deb\nURIs: http://mirror.example/ubuntu\nSuites: noble noble-updates\nComponents: main universe\n\
    Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg\n";

/// A root with these files, and a keyring.
fn root(files: &[(&str, &str)]) -> (TempDir, Settings) {
    let root = TempDir::new().expect("a directory");
    write(root.path(), "usr/share/keyrings/debian-archive-keyring.gpg", "keys");
    for (path, content) in files {
        write(root.path(), path, content);
    }
    let path = root.path().to_owned();
    let config = Some(path.join("config.yaml"));
    (root, Settings { mirror: None, mirror_security: None, keyring: None, config, root: path })
}

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("below the root"))
        .and_then(|()| fs::write(&path, content))
        .expect("written");
}

fn urls(mirror: &Mirror) -> (&str, &str) {
    (&mirror.main, &mirror.security)
}

/// Check that both of apt's formats lead to the same two archives, and that other archives are passed over.
#[rstest]
#[case::sources_list("etc/apt/sources.list", ONE_LINE)]
#[case::list("etc/apt/sources.list.d/x.list", ONE_LINE)]
#[case::sources("etc/apt/sources.list.d/debian.sources", DEB822)]
fn apt_tells_the_mirror(#[case] path: &str, #[case] content: &str) {
    let (root, settings) = root(&[(path, content), ("etc/apt/sources.list.d/a.sources", UBUNTU)]);
    let mirror = settings.discover().expect("a mirror");
    assert_eq!(urls(&mirror), ("http://mirror.example/debian", "http://mirror.example/debian-security"));
    assert_eq!(mirror.keyring, root.path().join("usr/share/keyrings/debian-archive-keyring.gpg"));
    assert_eq!(mirror.base("trixie-backports"), "http://mirror.example/debian");
    assert_eq!(mirror.base("trixie-security"), "http://mirror.example/debian-security");
}

/// Check that the environment wins over the file, and the file over apt; and that no mirror's parts are mixed unasked.
#[test]
fn the_environment_comes_first() {
    let config = "mirror: http://file.example/debian/\nmirror_security: http://file.example/sec\nkeyring: /keys.gpg\n";
    let (_root, mut settings) = root(&[("etc/apt/sources.list", ONE_LINE), ("config.yaml", config)]);
    let mirror = settings.discover().expect("a mirror");
    assert_eq!(urls(&mirror), ("http://file.example/debian", "http://file.example/sec"));
    assert_eq!(mirror.keyring, PathBuf::from("/keys.gpg"));

    settings.mirror = Some("http://env.example/debian".into());
    settings.keyring = Some("/other.gpg".into());
    let mirror = settings.discover().expect("a mirror");
    assert_eq!(urls(&mirror), ("http://env.example/debian", "http://env.example/debian-security"));
    assert_eq!(mirror.keyring, PathBuf::from("/other.gpg"));

    settings.mirror_security = Some("http://env.example/sec/".into());
    assert_eq!(urls(&settings.discover().expect("a mirror")), ("http://env.example/debian", "http://env.example/sec"));
}

/// Check that what is missing or wrong is said, and how to set it.
#[test]
fn wrong_settings_are_errors() {
    let (root, mut settings) = root(&[("etc/apt/sources.list.d/ubuntu.sources", UBUNTU)]);
    let error = settings.discover().expect_err("Ubuntu's archive is not Debian's");
    assert!(matches!(error, MirrorError::NotFound), "{error:?}");
    assert!(error.to_string().contains("\n  hint: export UKCI_MIRROR=http://HOST/debian, or write"), "{error}");

    write(root.path(), "etc/apt/sources.list", "deb http://mirror.example/debian trixie main\n");
    assert_eq!(settings.discover().expect("a mirror").security, "http://mirror.example/debian-security");
    fs::remove_file(root.path().join("usr/share/keyrings/debian-archive-keyring.gpg")).expect("removed");
    assert!(matches!(settings.discover(), Err(MirrorError::NotFound)));
    settings.mirror = Some("http://mirror.example/debian".into());
    assert!(matches!(settings.discover(), Err(MirrorError::NoKeyring)));
    write(root.path(), "usr/share/keyrings/debian-archive-keyring.pgp", "keys");
    settings.discover().expect("the newer name is known too");

    for bad in ["ftp://mirror.example/debian", "/srv/debian", "http://", "http:///debian"] {
        settings.mirror = Some(bad.into());
        let error = settings.discover().expect_err("no URL");
        assert!(error.to_string().starts_with(&format!("`UKCI_MIRROR` is `{bad}`: expected a URL")), "{error}");
    }
    write(root.path(), "config.yaml", "# nothing\nmirrors: http://mirror.example/debian\n");
    let error = settings.discover().expect_err("an unknown key").to_string();
    assert!(error.contains("unknown field `mirrors`") && error.contains("config.yaml"), "{error}");
}

//! A signed package archive on 127.0.0.1: [`FakeArchive`] serves what a test publishes, and counts what is asked for.

#![allow(dead_code, reason = "every test program that uses this module compiles it anew, and needs another part of it")]

#[path = "fake_deb.rs"]
mod fake_deb;

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use pgp::composed::{CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey};
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{KeyDetails, Password, Timestamp};
use rand_core::OsRng;
use tempfile::TempDir;
use ukci::archive::{Archive, Patience, Progress, Settings, Sha256, Store};

pub(crate) use fake_deb::{Deb, xz};

/// How the server answers a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// With status 200 and this body.
    Body(Vec<u8>),
    /// With this status and no body.
    Status(u16),
    /// With status 200, the length of this body, half of it, and the end of the connection.
    Half(Vec<u8>),
    /// As [`Self::Half`], but the connection stays until the client hangs up.
    Stall(Vec<u8>),
}

#[derive(Default)]
struct Served {
    files: HashMap<String, Answer>,
    next: HashMap<String, VecDeque<Answer>>,
    log: Vec<String>,
}

/// A key that signs Release files.
pub(crate) struct Signer(SignedSecretKey);

impl Signer {
    /// A new key, made `age` ago.
    pub(crate) fn new(age: Duration) -> Self {
        let created = Timestamp::now().as_secs() - u32::try_from(age.as_secs()).expect("fits");
        let key = SecretKeyParamsBuilder::default()
            .key_type(KeyType::Ed25519Legacy)
            .can_certify(true)
            .can_sign(true)
            .created_at(Timestamp::from_secs(created))
            .primary_user_id("Archive <archive@mirror.example>".into())
            .build()
            .map(|params| params.generate(OsRng))
            .expect("parameters")
            .expect("a key");
        Self(key)
    }

    /// The same key, which expired `lifetime` after it was made.
    pub(crate) fn expired(mut self, lifetime: Duration) -> Self {
        let seconds = u32::try_from(lifetime.as_secs()).expect("fits");
        let flags = self.0.details.users[0].signatures[0].key_flags();
        let packets = [
            SubpacketData::KeyExpirationTime(pgp::types::Duration::from_secs(seconds)),
            SubpacketData::KeyFlags(flags),
        ];
        let signature = self.about_itself(SignatureType::Key, packets.to_vec());
        self.0.details.direct_signatures.push(signature);
        self
    }

    /// The same key, revoked.
    pub(crate) fn revoked(mut self) -> Self {
        let signature = self.about_itself(SignatureType::KeyRevocation, Vec::new());
        self.0.details.revocation_signatures.push(signature);
        self
    }

    fn about_itself(&self, kind: SignatureType, more: Vec<SubpacketData>) -> pgp::packet::Signature {
        let key = &self.0.primary_key;
        let mut config = SignatureConfig::from_key(OsRng, key, kind).expect("a configuration");
        let mut packets = vec![
            SubpacketData::SignatureCreationTime(Timestamp::now()),
            SubpacketData::IssuerFingerprint(key.fingerprint()),
        ];
        packets.extend(more);
        config.hashed_subpackets =
            packets.into_iter().map(|data| Subpacket::regular(data).expect("a subpacket")).collect();
        config.sign_key(key, &Password::empty(), key.public_key()).expect("a signature")
    }

    fn public(&self) -> Vec<u8> {
        SignedPublicKey::from(self.0.clone()).to_bytes().expect("a key")
    }

    /// `text` with a signature around it.
    pub(crate) fn sign(&self, text: &str) -> Vec<u8> {
        CleartextSignedMessage::sign(OsRng, text, &self.0.primary_key, &Password::empty())
            .and_then(|message| message.to_armored_bytes(pgp::composed::ArmorOptions::default()))
            .expect("a signature")
    }
}

/// A package to publish.
#[derive(Clone, Debug)]
pub(crate) struct FakePackage {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) depends: String,
    pub(crate) provides: String,
    pub(crate) deb: Vec<u8>,
}

impl FakePackage {
    /// A package with one file, `usr/share/doc/<name>/version`.
    pub(crate) fn new(name: &str, version: &str) -> Self {
        let deb = Deb::new().file(&format!("./usr/share/doc/{name}/version"), 0o644, version.as_bytes()).build(".xz");
        Self { name: name.into(), version: version.into(), depends: String::new(), provides: String::new(), deb }
    }

    pub(crate) fn depends(mut self, depends: &str) -> Self {
        self.depends = depends.into();
        self
    }

    pub(crate) fn provides(mut self, provides: &str) -> Self {
        self.provides = provides.into();
        self
    }

    pub(crate) fn deb(mut self, deb: Vec<u8>) -> Self {
        self.deb = deb;
        self
    }

    /// Where it is below the archive's base.
    pub(crate) fn filename(&self) -> String {
        format!("pool/main/{0}_{1}_all.deb", self.name, self.version)
    }
}

/// What is published as one suite.
#[derive(Clone, Debug)]
pub(crate) struct Suite {
    pub(crate) codename: String,
    pub(crate) valid_until: String,
    pub(crate) packages: Vec<FakePackage>,
}

impl Suite {
    pub(crate) fn new(codename: &str, packages: &[FakePackage]) -> Self {
        let valid_until = "Thu, 01 Jan 2099 00:00:00 UTC".into();
        Self { codename: codename.into(), valid_until, packages: packages.to_vec() }
    }

    /// The text of its index.
    pub(crate) fn index(&self) -> String {
        let mut index = String::new();
        for package in &self.packages {
            write!(index, "Package: {}\nVersion: {}\n", package.name, package.version).expect("a string");
            index.push_str("Architecture: all\nMaintainer: Nobody\nDescription: one line\n and another\n");
            for (field, value) in [("Depends", &package.depends), ("Provides", &package.provides)] {
                if !value.is_empty() {
                    writeln!(index, "{field}: {value}").expect("a string");
                }
            }
            let hash = Sha256::of(&package.deb);
            write!(index, "Filename: {}\nSize: {}\n", package.filename(), package.deb.len()).expect("a string");
            write!(index, "SHA256: {hash}\n\n").expect("a string");
        }
        index
    }

    /// The text of its Release file, with an index for amd64.
    pub(crate) fn release(&self) -> String {
        let packed = xz(self.index().as_bytes());
        format!(
            "Origin: Debian\nSuite: stable\nCodename: {}\nDate: Thu, 05 Nov 2026 08:00:00 UTC\nValid-Until: {}\n\
             Acquire-By-Hash: yes\nSHA256:\n {} {} {INDEX}\n",
            self.codename,
            self.valid_until,
            Sha256::of(&packed),
            packed.len()
        )
    }
}

const INDEX: &str = "main/binary-amd64/Packages.xz";

/// The archive, with its key. Stores and settings of a test live in its directory.
pub(crate) struct FakeArchive {
    pub(crate) signer: Signer,
    pub(crate) address: String,
    pub(crate) directory: TempDir,
    served: Arc<Mutex<Served>>,
}

impl FakeArchive {
    /// An archive with nothing in it.
    pub(crate) fn new() -> Self {
        Self::with_signer(Signer::new(Duration::ZERO))
    }

    pub(crate) fn with_signer(signer: Signer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let served = Arc::new(Mutex::new(Served::default()));
        let shared = Arc::clone(&served);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || answer(connection, &shared));
            }
        });
        let directory = TempDir::new().expect("a directory");
        fs::write(directory.path().join("keyring.gpg"), signer.public()).expect("a keyring");
        Self { signer, address, directory, served }
    }

    /// Publishes a suite: its Release file, its index and its packages. `…-security` goes where it belongs.
    pub(crate) fn publish(&self, suite: &Suite) {
        self.publish_release(&suite.codename, self.signer.sign(&suite.release()));
        let packed = xz(suite.index().as_bytes());
        let dists = dists(&suite.codename);
        self.put(
            &format!("{dists}/main/binary-amd64/by-hash/SHA256/{}", Sha256::of(&packed)),
            Answer::Body(packed.clone()),
        );
        self.put(&format!("{dists}/{INDEX}"), Answer::Body(packed));
        for package in &suite.packages {
            let path = format!("{}/{}", base(&suite.codename), package.filename());
            self.put(&path, Answer::Body(package.deb.clone()));
        }
    }

    /// Publishes a Release file.
    pub(crate) fn publish_release(&self, suite: &str, message: Vec<u8>) {
        self.put(&format!("{}/InRelease", dists(suite)), Answer::Body(message));
    }

    /// Answers requests for `path` with `answer` from now on.
    pub(crate) fn put(&self, path: &str, answer: Answer) {
        self.served.lock().expect("no panic").files.insert(path.into(), answer);
    }

    /// Answers the next request for `path` with `answer`, once.
    pub(crate) fn next(&self, path: &str, answer: Answer) {
        self.served.lock().expect("no panic").next.entry(path.into()).or_default().push_back(answer);
    }

    /// Answers requests for paths that contain `part` with status 404 from now on.
    pub(crate) fn remove(&self, part: &str) {
        self.served.lock().expect("no panic").files.retain(|path, _| !path.contains(part));
    }

    /// The paths of the requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.served.lock().expect("no panic").log.clone()
    }

    /// Settings that lead here.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            mirror: Some(format!("http://{}/debian/", self.address)),
            mirror_security: None,
            keyring: Some(self.directory.path().join("keyring.gpg")),
            config: None,
            root: self.directory.path().into(),
        }
    }

    /// The path of this test's store.
    pub(crate) fn store_path(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// The store, opened.
    pub(crate) fn store(&self) -> Store {
        Store::open(&self.store_path()).expect("a store")
    }

    /// An archive that fetches from here into this test's store.
    pub(crate) fn open(&self) -> Archive {
        self.open_with(Arc::new(()))
    }

    pub(crate) fn open_with(&self, progress: Arc<dyn Progress>) -> Archive {
        Archive::open(self.settings(), self.store(), progress).with_patience(QUICK)
    }
}

/// As patient as a test needs to be.
pub(crate) const QUICK: Patience =
    Patience { tries: 3, backoff: Duration::from_millis(5), silence: Duration::from_secs(10) };

/// The path of the archive that has `suite`.
pub(crate) fn base(suite: &str) -> &'static str {
    if suite.ends_with("-security") { "/debian-security" } else { "/debian" }
}

/// The path of the directory of `suite`.
pub(crate) fn dists(suite: &str) -> String {
    format!("{}/dists/{suite}", base(suite))
}

fn answer(mut connection: TcpStream, served: &Mutex<Served>) {
    let mut request = BufReader::new(connection.try_clone().expect("a socket"));
    let mut line = String::new();
    request.read_line(&mut line).expect("a request");
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut header = String::new();
    while request.read_line(&mut header).is_ok_and(|count| count > 2) {
        header.clear();
    }
    let answer = {
        let mut served = served.lock().expect("no panic");
        served.log.push(path.clone());
        let next = served.next.get_mut(&path).and_then(VecDeque::pop_front);
        next.or_else(|| served.files.get(&path).cloned()).unwrap_or(Answer::Status(404))
    };
    let (status, length, body) = match &answer {
        Answer::Body(body) => (200, body.len(), &body[..]),
        Answer::Half(body) | Answer::Stall(body) => (200, body.len(), &body[..body.len() / 2]),
        Answer::Status(status) => (*status, 0, &[][..]),
    };
    let head = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    // The client hangs up early when it does not like what comes.
    drop(connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(body)));
    if matches!(answer, Answer::Stall(_)) {
        drop(request.read_line(&mut String::new()));
    }
}

/// The names in a directory, sorted.
pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

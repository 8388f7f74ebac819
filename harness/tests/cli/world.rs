//! Where `ukci` runs in these tests: [`World`] is a project, a private PATH with fake programs, and a signed archive on
//! 127.0.0.1. Nothing of the machine's own is used but `/bin/sh`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::fake_archive::{Answer, Deb, FakeArchive, FakePackage, Suite, names_in};
use crate::running::{Ended, Running};

/// In the environment of `ukci` and of all its descendants, with a value of this test alone.
const MARK: &str = "UKCI_TEST_MARK";
/// What the fake QEMU does; see [`crate::player`].
pub(crate) const FAULT: &str = "UKCI_TEST_FAULT";
/// The suite that has the kernels.
pub(crate) const KERNELS: &str = "trixie-security";
/// What is in the fake kernel's package besides its image.
const RELEASE: &str = "6.12.9+deb13-cloud-amd64";

pub(crate) const MATRIX: &str = "\
project: {directory: ., package: demo, build_timeout: 1m}
archive: {kernels: [trixie-security], tools: trixie, sysroot: bookworm}
arches:
  x86_64: {boot_timeout: 60s}
kernels:
  - {name: \"6.12\", series: \"6.12\"}
  - {name: \"6.18\", series: \"6.18\"}
llvm:
  - {version: 22}
  - {version: 21}
";

pub(crate) struct World {
    pub(crate) archive: FakeArchive,
    pub(crate) project: PathBuf,
    pub(crate) bin: PathBuf,
    pub(crate) env: BTreeMap<String, String>,
}

/// Writes what was asked for.
pub(crate) const COMPILE: &str = "for out; do [ \"$last\" = -o ] && echo relay > \"$out\"; last=$out; done";

impl World {
    /// A world in which nothing is wrong, but that every guest panics.
    pub(crate) fn new() -> Self {
        let archive = FakeArchive::new();
        for suite in suites() {
            archive.publish(&suite);
        }
        let directory = archive.directory.path().to_owned();
        let (project, bin) = (directory.join("project"), directory.join("bin"));
        for directory in [&project, &bin, &directory.join("home")] {
            fs::create_dir_all(directory).expect("a directory");
        }
        let at = |path: &str| directory.join(path).display().to_string();
        let env = [
            (MARK, at("")),
            (FAULT, "panic".to_owned()),
            ("PATH", at("bin")),
            ("HOME", at("home")),
            ("UKCI_STORE", at("store")),
            ("UKCI_MIRROR", format!("http://{}/debian", archive.address)),
            ("UKCI_MIRROR_SECURITY", format!("http://{}/debian-security", archive.address)),
            ("UKCI_KEYRING", at("keyring.gpg")),
        ];
        let env = env.map(|(key, value)| (key.to_owned(), value)).into();
        let world = Self { archive, project, bin, env };
        world.file("Cargo.toml", "[package]\nname = \"demo\"\n");
        world.matrix(MATRIX);
        world.healthy_programs();
        world
    }

    fn healthy_programs(&self) {
        let player = std::env::current_exe().expect("this program");
        self.program(
            "qemu-system-x86_64",
            &format!(
                "case $1 in --version) echo 'QEMU emulator version 10.0.0 (fake)';; -help) echo '-sandbox on';; *) \
                 exec '{}' player::fake_qemu --exact --ignored --nocapture -- \"$@\";; esac",
                player.display()
            ),
        );
        self.rustc("one", COMPILE);
        for llvm in [21, 22] {
            self.program(&format!("clang-{llvm}"), &format!("echo clang version {llvm}.1.0"));
        }
        let demo = self.file("demo-test", "a test executable");
        let message = format!(
            r#"{{"reason":"compiler-artifact","target":{{"name":"demo","kind":["lib"]}},"profile":{{"test":true}},"executable":"{}"}}"#,
            demo.display()
        );
        self.program(
            "cargo",
            &format!(r#"case $1 in metadata) echo '{{"packages":[{{"name":"demo"}}]}}';; *) echo '{message}';; esac"#),
        );
    }

    /// A compiler with a standard library that says it is of the release `version`, and compiles by the command `compile`.
    pub(crate) fn rustc(&self, version: &str, compile: &str) {
        let std = self.file("rust/libstd-0.rlib", "a standard library");
        let std = std.parent().expect("below the project").display().to_string();
        let text = format!("case $1 in -vV) echo {version};; --print) echo '{std}';; *) {compile};; esac");
        self.program("rustc", &text);
    }

    /// Puts a program, in sh, on the PATH.
    pub(crate) fn program(&self, name: &str, text: &str) {
        let path = self.bin.join(name);
        // Another thread's fork may hold the file open for writing for a moment, and exec would fail; a rename has no such moment.
        let draft = self.bin.join(format!(".{name}"));
        fs::write(&draft, format!("#!/bin/sh\n{text}\n")).expect("written");
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).expect("a mode");
        fs::rename(&draft, path).expect("renamed");
    }

    /// Writes a file of the project.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.project.join(name);
        fs::create_dir_all(path.parent().expect("below the project")).expect("a directory");
        fs::write(&path, text).expect("written");
        path
    }

    pub(crate) fn matrix(&self, text: &str) {
        self.file("ukci.yaml", text);
    }

    /// The matrix, with a part of it replaced.
    #[track_caller]
    pub(crate) fn edit_matrix(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.project.join("ukci.yaml")).expect("a matrix");
        assert!(text.contains(from), "`{from}` is not in the matrix");
        self.matrix(&text.replace(from, to));
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_through(&[], args)
    }

    /// `ukci` with `args`, run by the command line `through`.
    pub(crate) fn command_through(&self, through: &[&str], args: &[&str]) -> Command {
        let words: Vec<&OsStr> =
            through.iter().chain([&env!("CARGO_BIN_EXE_ukci")]).chain(args).map(OsStr::new).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env_clear().envs(&self.env).current_dir(&self.project).stdin(Stdio::null());
        command
    }

    /// Runs `ukci` to its end, and checks that it leaves nothing behind.
    #[track_caller]
    pub(crate) fn ukci(&self, args: &[&str]) -> Ended {
        let ended = self.start(args).end();
        self.nothing_is_left();
        ended
    }

    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::start(self.command(args))
    }

    /// Runs `ukci` with a file system of `kilobytes` at `place`; `None` where that is forbidden, which is said.
    #[track_caller]
    #[expect(clippy::print_stderr, reason = "a test that is skipped must say why")]
    pub(crate) fn on_a_small_disk(&self, place: &str, kilobytes: u32, args: &[&str]) -> Option<Ended> {
        let mount = format!("/bin/mount -t tmpfs -o size={kilobytes}k none '{place}' && exec \"$@\"");
        let through = ["/usr/bin/unshare", "-rm", "/bin/sh", "-c", &mount, "sh"];
        if !Path::new(through[0]).exists() {
            eprintln!("skipped: this machine has no unshare(1)");
            return None;
        }
        let ended = Running::start(self.command_through(&through, args)).end();
        let forbidden = ["Operation not permitted", "ermission denied"];
        if ended.stdout.is_empty() && forbidden.iter().any(|reason| ended.stderr.contains(reason)) {
            eprintln!("skipped: no file system may be mounted here: {}", ended.stderr.trim());
            return None;
        }
        self.no_process_is_left();
        Some(ended)
    }

    /// The processes of this world that live, with their command lines.
    pub(crate) fn processes(&self) -> Vec<(Pid, String)> {
        let mark = format!("{MARK}={}", self.env[MARK]);
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // A process that is ending has no environment any more.
            let Ok(environment) = fs::read(entry.path().join("environ")) else { continue };
            if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
                let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                found.push((Pid::from_raw(pid), String::from_utf8_lossy(&line).replace('\0', " ")));
            }
        }
        found
    }

    /// Check that no process is left, and no half-made file in the store.
    #[track_caller]
    pub(crate) fn nothing_is_left(&self) {
        self.no_process_is_left();
        assert_eq!(self.in_tmp(), [""; 0], "in the store's tmp");
    }

    #[track_caller]
    pub(crate) fn no_process_is_left(&self) {
        wait_for(|| self.processes().is_empty(), || format!("the end of {:?}", self.processes()));
    }

    pub(crate) fn in_tmp(&self) -> Vec<String> {
        let tmp = self.archive.store_path().join("tmp");
        if tmp.exists() { names_in(&tmp) } else { Vec::new() }
    }

    /// The record of the newest run.
    #[track_caller]
    pub(crate) fn record(&self) -> Value {
        read_json(&self.project.join("target/ukci/runs/latest/run.json"))
    }

    /// Answers the next download of the package with what `answer` makes of it.
    #[track_caller]
    pub(crate) fn next_package(&self, package: &str, answer: impl FnOnce(Vec<u8>) -> Answer) {
        let suites = suites();
        let found = suites.iter().find_map(|suite| Some((suite, suite.packages.iter().find(|it| it.name == package)?)));
        let (suite, package) = found.expect("a published package");
        let path = format!("{}/{}", crate::fake_archive::base(&suite.codename), package.filename());
        self.archive.next(&path, answer(package.deb.clone()));
    }
}

impl Drop for World {
    /// What a failed test found left must not outlive it.
    fn drop(&mut self) {
        for (pid, _line) in self.processes() {
            // It may have ended by itself meanwhile.
            let _gone = kill(pid, Signal::SIGKILL);
        }
    }
}

#[track_caller]
pub(crate) fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}\n{text}", path.display()))
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn wait_for(mut condition: impl FnMut() -> bool, what: impl Fn() -> String) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 60 s for {}", what());
        thread::sleep(Duration::from_millis(5));
    }
}

/// Everything that the matrix needs.
pub(crate) fn suites() -> [Suite; 3] {
    let guest = [
        ("busybox-static", "usr/bin/busybox"),
        ("dropbear-bin", "usr/sbin/dropbear"),
        ("libc6", "usr/lib/x86_64-linux-gnu/libc.so.6"),
        ("libcrypt1", "usr/lib/x86_64-linux-gnu/libcrypt.so.1"),
        ("libtomcrypt1", "usr/lib/x86_64-linux-gnu/libtomcrypt.so.1"),
        ("libtommath1", "usr/lib/x86_64-linux-gnu/libtommath.so.1"),
        ("zlib1g", "usr/lib/x86_64-linux-gnu/libz.so.1"),
        ("libgmp10", "usr/lib/x86_64-linux-gnu/libgmp.so.10"),
    ];
    let package = |(name, file): (&str, &str)| {
        FakePackage::new(name, "1").deb(Deb::new().file(&format!("./{file}"), 0o755, name.as_bytes()).build(".xz"))
    };
    let tools: Vec<_> = guest.map(package).into();
    let sysroot = [package(("libelf-dev", "usr/lib/x86_64-linux-gnu/libelf.a"))];
    let kernels = [kernel(RELEASE, "6.12.9-1"), kernel("6.18.3+deb14-cloud-amd64", "6.18.3-1")];
    [Suite::new("trixie", &tools), Suite::new("bookworm", &sysroot), Suite::new(KERNELS, &kernels)]
}

/// A kernel's package, whose image is as large as an image must be.
pub(crate) fn kernel(release: &str, version: &str) -> FakePackage {
    let image = vec![7; 1 << 20];
    let deb = Deb::new().file(&format!("./boot/vmlinuz-{release}"), 0o644, &image).build("");
    FakePackage::new(&format!("linux-image-{release}"), version).deb(deb)
}

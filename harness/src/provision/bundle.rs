//! The test executables of the project, compiled for the guest: [`Bundle`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use super::instrument::Instrument;
use super::{Toolchain, in_background};
use crate::archive::Sha256;
use crate::matrix::{Arch, ProjectSpec};
use crate::process::{Command, ProcessError};

/// Reading the manifests takes some milliseconds.
const METADATA: Duration = Duration::from_secs(60);

/// The project's test executables for one architecture, with the BPF side compiled by one LLVM.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The LLVM release.
    pub llvm: u32,
    /// What it is for.
    pub variant: Variant,
    /// The BPF objects that are needed to read the coverage of a bundle that is for that, on this machine.
    pub objects: Vec<PathBuf>,
    /// The executables, by name: cargo's own order is another each time.
    pub executables: Vec<TestExecutable>,
    /// What tells it from other bundles: a hash over the names and contents of the executables.
    pub fingerprint: Sha256,
}

/// What a bundle is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// To be judged.
    Plain,
    /// To count what the tests reach.
    Coverage,
}

/// One test executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestExecutable {
    /// The target, as cargo-nextest names it: `tracer`, `tracer::exec`, `tracer::bin/tracer`.
    pub name: String,
    /// The file's name in the guest, unique in the bundle.
    pub file: String,
    /// The file on this machine.
    pub path: PathBuf,
}

/// Why there is no bundle.
#[derive(Debug, Error)]
pub enum BundleError {
    /// Cargo failed, which is most likely the compiler's verdict on the project.
    #[error("cannot compile the tests of `{package}`: {message}\n  log: {}", log.display())]
    Compile {
        /// The cargo package.
        package: String,
        /// The first errors that were printed.
        message: String,
        /// Everything that was printed.
        log: PathBuf,
    },
    /// Cargo said something else than what it was asked.
    #[error("cannot read what `cargo metadata` printed: {0}")]
    Metadata(serde_json::Error),
    /// Cargo could not be run, or did not end.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// What cargo made cannot be read.
    #[error("cannot read the test executable `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The target directory cannot be made ready.
    #[error("cannot prepare cargo's target directory: `{}`: {source}", path.display())]
    Target {
        /// What cannot be written or removed there.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is needed for coverage cannot be made or found.
    #[error("cannot read or write the files for coverage in the target directory: {0}")]
    Objects(io::Error),
    /// The package has no test executables.
    #[error(
        "the package `{package}` has no test targets\n  hint: `project.package` in the matrix names the cargo package"
    )]
    Empty {
        /// The cargo package.
        package: String,
    },
}

impl BundleError {
    /// Cargo's verdict on `package`, which it printed to `log`.
    pub(super) fn compile(package: &str, log: &Path) -> Self {
        let printed = std::fs::read(log).unwrap_or_default();
        let message = first_errors(&String::from_utf8_lossy(&printed));
        Self::Compile { package: package.to_owned(), message, log: log.to_owned() }
    }
}

/// Compiles the tests of `project`, whose root is the directory `root`, in the target directory `target`. Cargo decides
/// what has to be compiled again.
///
/// # Errors
/// When cargo fails or finds no tests.
pub(super) async fn build(
    project: &ProjectSpec,
    root: &Path,
    toolchain: &Toolchain,
    instrument: Option<&Instrument>,
    target: &Path,
    log: &Path,
) -> Result<Bundle, BundleError> {
    let mut cargo = cargo()
        .args(["test", "--no-run", "--message-format=json-render-diagnostics", "--package", &project.package])
        .args(["--target", toolchain.userland.arch.rust_target()])
        .arg("--target-dir")
        .arg(target)
        // They would take the place of the flags that make the executables static.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .current_dir(root)
        .log(log)
        .capture();
    for member in workspace_members(project, root, log).await? {
        cargo = cargo.args(["--config", &apart(&member, toolchain.clang.llvm)]);
    }
    if !project.features.is_empty() {
        cargo = cargo.args(["--features", &project.features.join(",")]);
    }
    for (key, value) in toolchain.env().into_iter().chain([toolchain.userland.static_env()]) {
        cargo = cargo.env(key, value);
    }
    for (key, value) in instrument.map(|instrument| instrument.env(root)).into_iter().flatten() {
        cargo = cargo.env(key, value);
    }
    let deadline = Duration::try_from(project.build_timeout).unwrap_or(Duration::MAX);
    let (place, triple) = (target.to_owned(), toolchain.userland.arch.rust_target());
    let at_work = in_background(move || AtWork::begin(&place, triple)).await?;
    let finished = cargo.run_any(deadline).await?;
    at_work.end();
    if !finished.status.success() {
        return Err(BundleError::compile(&project.package, log));
    }
    let executables = executables(&String::from_utf8_lossy(&finished.stdout), &project.package);
    if executables.is_empty() {
        return Err(BundleError::Empty { package: project.package.clone() });
    }
    let (executables, fingerprint) = in_background(move || {
        let fingerprint = fingerprint(&executables)?;
        Ok::<_, BundleError>((executables, fingerprint))
    })
    .await?;
    let (variant, objects) = match instrument {
        None => (Variant::Plain, Vec::new()),
        Some(instrument) => (Variant::Coverage, instrument.objects().map_err(BundleError::Objects)?),
    };
    Ok(Bundle { llvm: toolchain.clang.llvm, variant, objects, executables, fingerprint })
}

/// That cargo is at work on a target, noted in a file beside it. A compiler that is killed may leave something that the next one
/// takes for its own (`undefined hidden symbol`): the incremental state, which is removed where the note was left.
struct AtWork(File);

impl AtWork {
    /// Waits until nobody else is at work there, as cargo does.
    fn begin(target: &Path, triple: &str) -> Result<Self, BundleError> {
        let path = target.join(format!("{triple}.building"));
        let failed = |source| BundleError::Target { path: path.clone(), source };
        std::fs::create_dir_all(target).map_err(failed)?;
        let mut note =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        note.lock().map_err(failed)?;
        if note.metadata().map_err(failed)?.len() > 0 {
            match std::fs::remove_dir_all(target.join(triple).join("debug/incremental")) {
                Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(failed(err)),
                _ => {}
            }
        }
        note.write_all(b"cargo is at work\n").map_err(failed)?;
        Ok(Self(note))
    }

    /// Cargo has ended by itself. A note that stays costs no more than time.
    fn end(self) {
        let _ = self.0.set_len(0);
    }
}

fn fingerprint(executables: &[TestExecutable]) -> Result<Sha256, BundleError> {
    let mut lines = String::new();
    for TestExecutable { file, path, .. } in executables {
        let hash = Sha256::of_file(path).map_err(|source| BundleError::Read { path: path.clone(), source })?;
        lines += &format!("{hash} {file}\n");
    }
    Ok(Sha256::of(lines.as_bytes()))
}

/// The names of the packages in the workspace at `root`.
async fn workspace_members(project: &ProjectSpec, root: &Path, log: &Path) -> Result<Vec<String>, BundleError> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let metadata = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root).capture();
    let finished = metadata.log(log).run_any(METADATA).await?;
    if !finished.status.success() {
        return Err(BundleError::compile(&project.package, log));
    }
    let metadata: Metadata = serde_json::from_slice(&finished.stdout).map_err(BundleError::Metadata)?;
    Ok(metadata.packages.into_iter().map(|package| package.name).collect())
}

/// A setting that lets cargo keep what it compiled of `package` for one LLVM beside what it compiled for another, and run
/// its build script for each: whatever the script says about `CLANG`, and without anything being compiled a second time
/// when the next run asks for both again. How many units code is cut into changes nothing that a test could see.
fn apart(package: &str, llvm: u32) -> String {
    format!("profile.dev.package.\"{package}\".codegen-units={llvm}")
}

pub(super) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// What a person needs of a failed build's output: the lines with errors, few of them.
fn first_errors(printed: &str) -> String {
    let is_error = |line: &&str| line.starts_with("error") || line.contains(" error: ");
    let errors: Vec<&str> = printed.lines().map(str::trim).filter(is_error).take(5).collect();
    match errors.as_slice() {
        [] => printed.lines().last().unwrap_or("cargo printed nothing").to_owned(),
        errors => errors.join("\n    "),
    }
}

/// The messages of cargo that matter here; the others are skipped.
#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

fn executables(messages: &str, package: &str) -> Vec<TestExecutable> {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    let mut found: Vec<(String, PathBuf)> = messages
        .filter(|message| {
            message.reason == "compiler-artifact" && message.profile.as_ref().is_some_and(|profile| profile.test)
        })
        .filter_map(|message| {
            let (path, target) = (message.executable?, message.target?);
            let name = match target.kind.first().map(String::as_str) {
                Some("test") => format!("{package}::{}", target.name),
                Some(kind @ ("bin" | "example" | "bench")) => format!("{package}::{kind}/{}", target.name),
                _ => package.to_owned(),
            };
            Some((name, path))
        })
        .collect();
    found.sort();
    found
        .into_iter()
        .map(|(name, path)| {
            let base = name.replace("::", "-").replace('/', "-");
            let uses = taken.entry(base.clone()).or_default();
            *uses += 1;
            let file = if *uses == 1 { base } else { format!("{base}-{uses}") };
            TestExecutable { name, file, path }
        })
        .collect()
}

impl Bundle {
    /// The directory of the guest in which the bundles of all LLVM releases lie.
    pub const GUEST_DIRECTORY: &'static str = "/ukci/bundle";

    /// What no other bundle in a guest is called.
    #[must_use]
    pub fn name(&self) -> String {
        match self.variant {
            Variant::Plain => format!("llvm{}", self.llvm),
            Variant::Coverage => format!("llvm{}-coverage", self.llvm),
        }
    }

    /// The directory of this bundle in the guest.
    #[must_use]
    pub fn guest_directory(&self) -> String {
        format!("{}/{}", Self::GUEST_DIRECTORY, self.name())
    }
}

/// What makes two bundles the same.
pub type BundleKey = (Arch, u32, Variant);

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that the incremental state is removed where cargo was interrupted, and only there.
    #[test]
    fn what_an_interrupted_compiler_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("some-triple/debug/incremental/crate-1");
        let begin = || AtWork::begin(dir.path(), "some-triple").unwrap();
        std::fs::create_dir_all(&state).unwrap();
        begin().end();
        drop(begin());
        assert!(state.exists());
        begin().end();
        assert!(!state.exists());
        std::fs::create_dir_all(&state).unwrap();
        begin().end();
        assert!(state.exists());
    }

    #[test]
    fn the_test_executables_are_found_among_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"dep","kind":["lib"]},"profile":{"test":false},"executable":null}
{"reason":"compiler-artifact","target":{"name":"my_crate","kind":["lib"]},"profile":{"test":true},"executable":"/t/my_crate-1"}
{"reason":"compiler-artifact","target":{"name":"tool","kind":["bin"]},"profile":{"test":false},"executable":"/t/tool"}
{"reason":"compiler-artifact","target":{"name":"tool","kind":["bin"]},"profile":{"test":true},"executable":"/t/tool-2"}
{"reason":"compiler-artifact","target":{"name":"exec","kind":["test"]},"profile":{"test":true},"executable":"/t/exec-3"}
not json
{"reason":"build-finished","success":true}
"#;
        let found = executables(messages, "my-crate");
        let names: Vec<_> = found.iter().map(|found| (found.name.as_str(), found.file.as_str())).collect();
        assert_eq!(
            names,
            [
                ("my-crate", "my-crate"),
                ("my-crate::bin/tool", "my-crate-bin-tool"),
                ("my-crate::exec", "my-crate-exec")
            ]
        );
        let reversed: Vec<&str> = messages.lines().rev().collect();
        assert_eq!(executables(&reversed.join("\n"), "my-crate"), found, "cargo's order is another each time");
    }

    #[test]
    fn bundles_differ_when_a_name_or_a_content_does() {
        let directory = tempfile::tempdir().unwrap();
        let executable = |file: &str, content: &str| {
            let path = directory.path().join(format!("{file}-{content}"));
            std::fs::write(&path, content).unwrap();
            TestExecutable { name: file.into(), file: file.into(), path }
        };
        let hash = |executables: &[TestExecutable]| fingerprint(executables).unwrap();
        let one = hash(&[executable("a", "1"), executable("b", "2")]);
        assert_eq!(one, hash(&[executable("a", "1"), executable("b", "2")]));
        assert_ne!(one, hash(&[executable("a", "1"), executable("b", "3")]));
        assert_ne!(one, hash(&[executable("a", "1"), executable("c", "2")]));
        assert_ne!(one, hash(&[executable("a", "1")]));
        let gone = TestExecutable { path: directory.path().join("gone"), ..executable("a", "1") };
        assert!(fingerprint(&[gone]).unwrap_err().to_string().contains("gone`: No such file"));
    }

    #[test]
    fn a_failed_build_is_told_by_its_first_errors() {
        assert_eq!(first_errors("Compiling x\n  error[E0425]: no y\n note\n"), "error[E0425]: no y");
        assert_eq!(first_errors("a\nb"), "b");
    }
}

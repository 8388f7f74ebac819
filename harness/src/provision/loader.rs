//! The loader: a program for guests that loads objects and says what the verifier said, compiled from the sources that ukci was
//! built with. Besides, the bundles that hold it: [`LoadObject`] is what it is to load.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::bundle::{self, BundleError};
use super::{BuiltBundle, Bundle, NoBundle, Provisioner, TestExecutable, Variant, in_background};
use crate::archive::{Key, Sha256, StoreError};
use crate::matrix::Arch;

/// An object file that is loaded in guests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadObject {
    /// Its name in reports: that of its file, without `.bpf.o`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The LLVM release that compiled it; 0 when it does not say.
    pub llvm: u32,
}

impl LoadObject {
    /// The file's name in the guest.
    #[must_use]
    pub fn file(&self) -> String {
        format!("{}.bpf.o", self.name)
    }
}

/// The loader's package and program, and what it is called in guests.
const LOADER: &str = "bpf-complexity";

/// It takes about a minute, most of it for libbpf.
const DEADLINE: Duration = Duration::from_secs(1800);

/// The loader's sources, and the lock that says which releases of its dependencies are meant.
const SOURCES: [(&str, &str); 12] = [
    ("Cargo.lock", include_str!("../../../Cargo.lock")),
    ("complexity/Cargo.toml", include_str!("../../../complexity/Cargo.toml")),
    ("complexity/src/case.rs", include_str!("../../../complexity/src/case.rs")),
    ("complexity/src/elf.rs", include_str!("../../../complexity/src/elf.rs")),
    ("complexity/src/lib.rs", include_str!("../../../complexity/src/lib.rs")),
    ("complexity/src/load.rs", include_str!("../../../complexity/src/load.rs")),
    ("complexity/src/main.rs", include_str!("../../../complexity/src/main.rs")),
    ("complexity/src/measure.rs", include_str!("../../../complexity/src/measure.rs")),
    ("complexity/src/parse.rs", include_str!("../../../complexity/src/parse.rs")),
    ("complexity/src/read.rs", include_str!("../../../complexity/src/read.rs")),
    ("complexity/src/record.rs", include_str!("../../../complexity/src/record.rs")),
    ("complexity/src/stack.rs", include_str!("../../../complexity/src/stack.rs")),
];

/// The manifest of a workspace with the loader alone: ours, with other members.
fn workspace() -> String {
    let ours = include_str!("../../../Cargo.toml");
    let line =
        |line: &str| if line.starts_with("members = ") { "members = [\"complexity\"]\n" } else { line }.to_owned();
    ours.split_inclusive('\n').map(line).collect()
}

impl Provisioner {
    /// The bundle with the loader and the objects that `llvm` compiled.
    pub(super) async fn loads(&self, arch: Arch, llvm: u32) -> Result<BuiltBundle, NoBundle> {
        let loader = self.loader(arch).await?;
        let objects = self.objects.iter().filter(|object| object.llvm == llvm);
        let mut files = vec![(LOADER.to_owned(), loader.clone())];
        files.extend(objects.map(|object| (object.file(), object.path.clone())));
        let fingerprint = in_background({
            let files = files.clone();
            move || {
                let lines = files.iter().map(|(name, path)| {
                    let read = |source| BundleError::Read { path: path.clone(), source };
                    Ok(format!("{} {name}\n", Sha256::of_file(path).map_err(read)?))
                });
                Ok(Sha256::of(lines.collect::<Result<String, BundleError>>()?.as_bytes()))
            }
        });
        let fingerprint = fingerprint.await.map_err(|error: BundleError| NoBundle::Toolchain(error.to_string()))?;
        let executable = TestExecutable { name: LOADER.into(), file: LOADER.into(), path: loader };
        let bundle = Rc::new(Bundle {
            llvm,
            variant: Variant::Plain,
            executables: vec![executable],
            objects: Vec::new(),
            fingerprint,
        });
        let segment = self.bundle_segment(&format!("{arch}-llvm{llvm}"), &bundle.name(), files).await?;
        Ok(BuiltBundle { bundle, segment })
    }

    /// The loader for guests of `arch`, which is compiled once and kept in the store.
    async fn loader(&self, arch: Arch) -> Result<PathBuf, NoBundle> {
        let broken = |error: &dyn std::fmt::Display| NoBundle::Toolchain(format!("cannot make the loader: {error}"));
        let userland = self.userland(arch).await.map_err(|error| broken(&error))?;
        let manifest = workspace();
        let mut parts: Vec<&str> = vec![&userland.rust.version, arch.rust_target(), &manifest];
        parts.extend(SOURCES.iter().flat_map(|(name, text)| [*name, *text]));
        let key = Key::new("loader", parts);
        let store = self.archive.store();
        // One at a time: of two LLVM releases, the second finds what the first has made.
        let _cargo = self.cargo.lock().await;
        if let Some(directory) = store.derived(&key).map_err(|error| broken(&error))? {
            return Ok(directory.join(LOADER));
        }
        let made = self.compile_loader(arch, &manifest, &userland).await?;
        let directory = store.derive(&key, &format!("loader for {arch}"), |directory| {
            let place = directory.join(LOADER);
            std::fs::copy(&made, &place).map(drop).map_err(StoreError::at("write", &place))
        });
        Ok(directory.map_err(|error| broken(&error))?.join(LOADER))
    }

    /// Compiles the loader in our scratch directory.
    async fn compile_loader(
        &self,
        arch: Arch,
        manifest: &str,
        userland: &super::Userland,
    ) -> Result<PathBuf, NoBundle> {
        let home = self.scratch.path().join(format!("loader-{arch}"));
        write_sources(&home, manifest).map_err(|error| NoBundle::Toolchain(error.to_string()))?;
        let log = self.logs.join(format!("loader-{arch}.log"));
        let (target, triple) = (home.join("target"), arch.rust_target());
        // Without --locked: the lock has more packages than this workspace. Those that it has keep their releases.
        let mut cargo = bundle::cargo()
            .args(["build", "--release", "--package", LOADER, "--bin", LOADER, "--target", triple])
            .arg("--target-dir")
            .arg(&target)
            .arg("--manifest-path")
            .arg(home.join("Cargo.toml"))
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            // There rustup finds the toolchain that has the standard library.
            .current_dir(&self.project.root)
            .log(&log);
        for (key, value) in userland.env().into_iter().chain([userland.static_env()]) {
            cargo = cargo.env(key, value);
        }
        let finished = cargo.run_any(DEADLINE).await.map_err(|error| NoBundle::Toolchain(error.to_string()))?;
        if !finished.status.success() {
            // Ours, and no verdict on what it was to load.
            return Err(NoBundle::Toolchain(BundleError::compile(LOADER, &log).to_string()));
        }
        Ok(target.join(triple).join("release").join(LOADER))
    }
}

fn write_sources(home: &Path, manifest: &str) -> Result<(), StoreError> {
    for (name, text) in SOURCES.into_iter().chain([("Cargo.toml", manifest)]) {
        let path = home.join(name);
        let directory = path.parent().unwrap_or(home);
        std::fs::create_dir_all(directory).map_err(StoreError::at("make the directory", directory))?;
        std::fs::write(&path, text).map_err(StoreError::at("write", &path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Check that no source file of the loader was forgotten, and that its workspace has no other member.
    #[test]
    fn the_loader_has_all_of_its_sources() {
        let complexity = Path::new(env!("CARGO_MANIFEST_DIR")).join("../complexity");
        let there = std::fs::read_dir(complexity.join("src")).unwrap();
        let there: BTreeSet<String> =
            there.map(|entry| format!("complexity/src/{}", entry.unwrap().file_name().display())).collect();
        let ours = SOURCES.iter().map(|(name, _)| (*name).to_owned()).filter(|name| name.contains("/src/"));
        assert_eq!(ours.collect::<BTreeSet<_>>(), there);
        let members: Vec<String> =
            workspace().lines().filter(|line| line.starts_with("members")).map(ToOwned::to_owned).collect();
        assert_eq!(members, ["members = [\"complexity\"]"]);
    }
}

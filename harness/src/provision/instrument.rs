//! How a bundle for coverage is compiled: [`Instrument`].

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::matrix::Arch;

/// What compiles the packages of the workspace for coverage, and where the build leaves what is needed to read it.
#[derive(Clone, Debug)]
pub(super) struct Instrument {
    /// For `RUSTC_WORKSPACE_WRAPPER`. Cargo takes its path, which is always the same, into what tells two compilations of a
    /// package of the workspace apart, so neither replaces the other; dependencies are compiled once for both.
    wrapper: PathBuf,
    /// For `BPF_COVERAGE_OBJECTS`. Always the same too: another one would make build scripts run again.
    objects: PathBuf,
}

/// What the wrapper passes on. Only what is compiled for a target that was named is instrumented: what runs on this machine,
/// build scripts and macros, must not leave profiles. The paths in a report are then those of the repository.
const WRAPPER: &str = r#"#!/bin/sh
case " $* " in
*" --target "*) exec "$@" -C instrument-coverage --remap-path-prefix "$UKCI_REPOSITORY/=" ;;
*) exec "$@" ;;
esac
"#;

impl Instrument {
    /// Prepares the files in the directory `target`, where they are the same in every run.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(super) fn prepare(target: &Path, arch: Arch, llvm: u32) -> io::Result<Self> {
        let base = target.join("ukci/coverage");
        let objects = base.join(format!("objects/{arch}/llvm{llvm}"));
        fs::create_dir_all(&objects)?;
        let wrapper = base.join("rustc");
        if fs::read(&wrapper).ok().as_deref() != Some(WRAPPER.as_bytes()) {
            // Another ukci may run it at this moment.
            let mut draft =
                tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempfile_in(&base)?;
            io::Write::write_all(draft.as_file_mut(), WRAPPER.as_bytes())?;
            draft.into_temp_path().persist(&wrapper)?;
        }
        Ok(Self { wrapper, objects })
    }

    /// The environment of cargo for the project in `root`.
    pub(super) fn env(&self, root: &Path) -> [(&'static str, PathBuf); 4] {
        let repository = root.ancestors().find(|directory| directory.join(".git").exists()).unwrap_or(root);
        [
            ("RUSTC_WORKSPACE_WRAPPER", self.wrapper.clone()),
            ("UKCI_REPOSITORY", repository.to_owned()),
            ("BPF_COVERAGE", "1".into()),
            ("BPF_COVERAGE_OBJECTS", self.objects.clone()),
        ]
    }

    /// The objects that build scripts have left, by name.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(super) fn objects(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.objects)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Check that what is compiled for the guest is instrumented, with the paths of the repository, and nothing else.
    #[test]
    fn only_what_runs_in_the_guest_is_instrumented() {
        let target = tempfile::tempdir().unwrap();
        let instrument = Instrument::prepare(target.path(), Arch::X86_64, 22).unwrap();
        fs::create_dir_all(target.path().join("repo/.git")).unwrap();
        let root = target.path().join("repo/in/it");
        fs::create_dir_all(&root).unwrap();
        let env = instrument.env(&root);
        let passed_on = |args: &[&str]| {
            let output = Command::new(&env[0].1).args([&["echo"], args].concat()).envs(env.clone()).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
        };
        let repository = target.path().join("repo").display().to_string();
        assert_eq!(
            passed_on(&["rustc", "--target", "x86_64-unknown-linux-gnu"]),
            format!(
                "rustc --target x86_64-unknown-linux-gnu -C instrument-coverage --remap-path-prefix {repository}/="
            )
        );
        assert_eq!(passed_on(&["rustc", "build.rs"]), "rustc build.rs");
        assert_eq!(passed_on(&["rustc", "-vV"]), "rustc -vV");
    }

    /// Check that a second run finds the same files, so that cargo has nothing to compile.
    #[test]
    fn preparing_again_changes_nothing() {
        let target = tempfile::tempdir().unwrap();
        let prepare = || Instrument::prepare(target.path(), Arch::X86_64, 22).unwrap();
        let first = prepare();
        let written = fs::metadata(&first.wrapper).unwrap().modified().unwrap();
        fs::write(first.objects.join("b.o"), "").unwrap();
        fs::write(first.objects.join("a.o"), "").unwrap();
        let again = prepare();
        assert_eq!(fs::metadata(&again.wrapper).unwrap().modified().unwrap(), written);
        assert_eq!(again.objects().unwrap(), ["a.o", "b.o"].map(|name| first.objects.join(name)));
    }
}

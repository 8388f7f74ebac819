//! Refuses a specification that contradicts itself, with the line that does.

use std::collections::BTreeSet;
use std::path::Path;

use globset::Glob;
use jiff::SignedDuration;

use super::{MatrixSpec, RuleSpec, SetSpec, list};
use crate::matrix::text::{self, SpecError};

impl MatrixSpec {
    pub(super) fn check(&self, path: &Path, text: &str) -> Result<(), SpecError> {
        let refuse = |value: &str, nth, message: String| Err(text::error_at(path, text, value, nth, message));
        for (key, empty) in
            [("arches", self.arches.is_empty()), ("kernels", self.kernels.is_empty()), ("llvm", self.llvm.is_empty())]
        {
            if empty {
                return refuse(
                    key,
                    0,
                    format!("`{key}` is empty, so the matrix has 0 cells; expected at least one entry"),
                );
            }
        }
        let mut names = BTreeSet::new();
        for kernel in &self.kernels {
            let name = &kernel.name;
            let plain = |c: char| c.is_ascii_alphanumeric() || ".-_+".contains(c);
            if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
                return refuse(
                    name,
                    0,
                    format!("kernels: name `{name}` cannot name a directory; expected letters, digits, and . - _ +"),
                );
            }
            if !names.insert(name.as_str()) {
                return refuse(name, 1, format!("kernels: name `{name}` stands twice; expected a name for each row"));
            }
            for arch in kernel.arches.iter().flatten() {
                if !self.arches.contains_key(arch) {
                    return refuse(
                        name,
                        0,
                        format!(
                            "kernels: `{name}`: arch `{arch}` is not among `arches` (known: {})",
                            list(self.arches.keys())
                        ),
                    );
                }
            }
        }
        let mut releases = BTreeSet::new();
        for llvm in &self.llvm {
            let version = llvm.version.to_string();
            if !(14..=99).contains(&llvm.version) {
                return refuse(
                    &version,
                    0,
                    format!("llvm: version `{version}` is out of range: must be between 14 and 99"),
                );
            }
            if !releases.insert(llvm.version) {
                return refuse(&version, 1, format!("llvm: version `{version}` stands twice"));
            }
        }
        for given in &self.project.once {
            if let Err(error) = Glob::new(given) {
                return refuse(given, 0, format!("project.once: `{given}` is not a glob: {}", error.kind()));
            }
        }
        let versions = self.llvm_versions();
        if let Some(choice) = self.project.coverage.llvm.iter().find(|choice| choice.of(&versions).is_none()) {
            let message = format!("project.coverage: unknown llvm `{choice}` (known: {})", list(versions));
            return refuse(&choice.to_string(), 0, message);
        }
        if self.project.coverage.llvm.is_empty() {
            return refuse(
                "coverage",
                0,
                "project.coverage: `llvm` is empty; expected at least one, like `newest`".into(),
            );
        }
        self.check_rules("exclude", &self.exclude, path, text)?;
        self.check_rules("include", &self.include, path, text)?;
        for (name, set) in &self.sets {
            self.check_set(name, set, path, text)?;
        }
        if self.guest.vcpus == 0 || self.arches.keys().any(|arch| self.guest(*arch).memory_mib < 128) {
            return refuse("guest", 0, "guest: expected at least 1 vcpu and 128 MiB of memory".into());
        }
        for (key, timeout) in
            [("test_timeout", self.project.test_timeout), ("build_timeout", self.project.build_timeout)]
                .into_iter()
                .chain(self.arches.values().filter_map(|arch| Some(("boot_timeout", arch.boot_timeout?))))
        {
            if timeout < SignedDuration::from_secs(1) {
                return refuse(key, 0, format!("`{key}` is `{timeout:#}`; expected at least 1s"));
            }
        }
        Ok(())
    }

    fn check_rules(&self, key: &str, rows: &[RuleSpec], path: &Path, text: &str) -> Result<(), SpecError> {
        let refuse = |value: &str, message: String| Err(text::error_at(path, text, value, 0, message));
        for row in rows {
            if row.reason.trim().is_empty() {
                let verb = if key == "exclude" { "cannot work" } else { "run all the same" };
                return refuse(key, format!("{key}: `reason` is empty; expected why these cells {verb}"));
            }
            if let Some(name) = row.kernel.as_deref()
                && !self.kernels.iter().any(|kernel| kernel.name == name)
            {
                return Err(self.unknown_kernel(key, name, path, text));
            }
            if let Some(arch) = row.arch.filter(|arch| !self.arches.contains_key(arch)) {
                return refuse(
                    arch.name(),
                    format!("{key}: arch `{arch}` is not among `arches` (known: {})", list(self.arches.keys())),
                );
            }
            if let Some(version) = row.llvm.filter(|version| !self.llvm_versions().contains(version)) {
                return refuse(
                    &version.to_string(),
                    format!("{key}: unknown llvm `{version}` (known: {})", list(self.llvm_versions())),
                );
            }
        }
        Ok(())
    }

    fn check_set(&self, name: &str, set: &SetSpec, path: &Path, text: &str) -> Result<(), SpecError> {
        let refuse = |value: &str, message: String| Err(text::error_at(path, text, value, 0, message));
        let SetSpec { kernels, arches, llvm } = set;
        let empty = [
            ("kernels", kernels.as_ref().is_some_and(Vec::is_empty)),
            ("arches", arches.as_ref().is_some_and(BTreeSet::is_empty)),
            ("llvm", llvm.as_ref().is_some_and(Vec::is_empty)),
        ];
        if let Some((key, _)) = empty.into_iter().find(|(_, empty)| *empty) {
            return refuse(
                name,
                format!("sets.{name}: `{key}` is empty, so the set has 0 cells; without the key it has all"),
            );
        }
        for given in kernels.iter().flatten() {
            let glob = Glob::new(given).map(|glob| glob.compile_matcher());
            match glob {
                Err(error) => return refuse(given, format!("sets.{name}: `{given}` is not a glob: {}", error.kind())),
                Ok(glob) if self.kernels.iter().any(|kernel| glob.is_match(&kernel.name)) => {}
                Ok(_) => return Err(self.unknown_kernel(&format!("sets.{name}"), given, path, text)),
            }
        }
        if let Some(arch) = arches.iter().flatten().find(|arch| !self.arches.contains_key(arch)) {
            let known = list(self.arches.keys());
            return refuse(arch.name(), format!("sets.{name}: arch `{arch}` is not among `arches` (known: {known})"));
        }
        let versions = self.llvm_versions();
        if let Some(choice) = llvm.iter().flatten().find(|choice| choice.of(&versions).is_none()) {
            let known = list(versions);
            return refuse(&choice.to_string(), format!("sets.{name}: unknown llvm `{choice}` (known: {known})"));
        }
        Ok(())
    }

    fn unknown_kernel(&self, key: &str, name: &str, path: &Path, text: &str) -> SpecError {
        let names = || self.kernels.iter().map(|kernel| kernel.name.as_str());
        let message = format!("{key}: unknown kernel `{name}` (known: {})", list(names()));
        let mut error = text::error_at(path, text, name, 0, message);
        error.hint = text::nearest(name, names()).map(|name| format!("did you mean `{name}`?"));
        error
    }
}

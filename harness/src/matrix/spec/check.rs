//! Refuses a specification that contradicts itself, with the line that does.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::SignedDuration;

use super::{MatrixSpec, list};
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
        for row in &self.exclude {
            if row.reason.trim().is_empty() {
                return refuse("exclude", 0, "exclude: `reason` is empty; expected why these cells cannot work".into());
            }
            if let Some(name) = row.kernel.as_deref().filter(|name| !names.contains(name)) {
                let mut error = text::error_at(
                    path,
                    text,
                    name,
                    0,
                    format!("exclude: unknown kernel `{name}` (known: {})", list(&names)),
                );
                error.hint = text::nearest(name, names.iter().copied()).map(|name| format!("did you mean `{name}`?"));
                return Err(error);
            }
            if let Some(version) = row.llvm.filter(|version| !releases.contains(version)) {
                return refuse(
                    &version.to_string(),
                    0,
                    format!("exclude: unknown llvm `{version}` (known: {})", list(&releases)),
                );
            }
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
}

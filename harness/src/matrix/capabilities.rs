//! What each kernel is expected to be capable of: [`Capabilities`], from `capabilities.yaml` beside the matrix.

use std::collections::BTreeMap;
use std::path::Path;

use globset::{Glob, GlobMatcher};
use serde::Deserialize;

use super::Arch;
use super::text::{self, SpecError};

/// One row of `capabilities.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowSpec {
    #[serde(default)]
    arch: Option<String>,
    #[serde(default)]
    kernel: Option<String>,
    #[serde(default)]
    cell: Option<String>,
    expect: BTreeMap<String, Option<String>>,
    reason: String,
}

/// A row whose globs are checked. One that is absent matches everything.
#[derive(Clone, Debug)]
struct Row {
    arch: Option<GlobMatcher>,
    kernel: Option<GlobMatcher>,
    cell: Option<GlobMatcher>,
    expect: BTreeMap<String, Option<String>>,
    reason: String,
}

impl Row {
    fn names(&self, arch: Arch, kernel: &str, cell: &str) -> bool {
        let matches = |glob: &Option<GlobMatcher>, text| glob.as_ref().is_none_or(|glob| glob.is_match(text));
        matches(&self.arch, arch.name()) && matches(&self.kernel, kernel) && matches(&self.cell, cell)
    }
}

/// What a row says of one capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedCapability<'a> {
    /// What is to be found; `None` for a capability that must not be reported.
    pub value: Option<&'a str>,
    /// Why.
    pub reason: &'a str,
}

/// What is expected of each kernel.
#[derive(Clone, Debug, Default)]
pub struct Capabilities {
    rows: Vec<Row>,
}

impl Capabilities {
    /// Parses `text`, which stands in the file `path`. An empty file expects that nothing is reported.
    ///
    /// # Errors
    /// When the text is not YAML, has an unknown key or a malformed glob, or a row without a reason or without expectations.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SpecError> {
        let rows: Option<Vec<RowSpec>> = text::parse(path, text)?;
        let rows = rows.unwrap_or_default().into_iter().map(|row| check(row, path, text));
        Ok(Self { rows: rows.collect::<Result<_, _>>()? })
    }

    /// What the cell `arch/kernel/llvmN` with this id is expected to report, by capability: of the rows that name one, the last
    /// counts.
    #[must_use]
    pub fn of_cell(&self, arch: Arch, kernel: &str, cell: &str) -> BTreeMap<&str, ExpectedCapability<'_>> {
        let mut expected = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.names(arch, kernel, cell)) {
            for (name, value) in &row.expect {
                expected.insert(name.as_str(), ExpectedCapability { value: value.as_deref(), reason: &row.reason });
            }
        }
        expected
    }
}

fn check(row: RowSpec, path: &Path, text: &str) -> Result<Row, SpecError> {
    let RowSpec { arch, kernel, cell, expect, reason } = row;
    let refuse = |value: &str, message: String| text::error_at(path, text, value, 0, message);
    let Some(first) = expect.keys().next() else {
        return Err(refuse(
            "expect",
            "`expect` is empty; expected at least one capability, like `{execve: fentry}`".into(),
        ));
    };
    if reason.trim().is_empty() {
        return Err(refuse(first, format!("capability `{first}`: `reason` is empty")));
    }
    let glob = |key: &str, glob: Option<String>| {
        let compile = |glob: String| {
            let wrong = |error: globset::Error| format!("{key}: `{glob}` is not a glob: {}", error.kind());
            Glob::new(&glob).map(|glob| glob.compile_matcher()).map_err(|error| refuse(&glob, wrong(error)))
        };
        glob.map(compile).transpose()
    };
    let (arch, kernel, cell) = (glob("arch", arch)?, glob("kernel", kernel)?, glob("cell", cell)?);
    Ok(Row { arch, kernel, cell, expect, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Capabilities, String> {
        Capabilities::parse(Path::new("c.yaml"), text).map_err(|error| error.to_string())
    }

    /// Check that later rows win, capability by capability, and that a row may say that one is absent.
    #[test]
    fn the_last_row_that_names_a_capability_counts() {
        let text = "\
- {expect: {execve: fentry, fds: storage}, reason: usual}
- {kernel: '5.*', expect: {execve: kprobe}, reason: no fentry}
- {arch: riscv64, kernel: '{5.10,7.2}', expect: {fds: null}, reason: broken}
- {cell: '*/llvm19', expect: {execve: none}, reason: old clang}
";
        let rows = parse(text).unwrap();
        let of = |arch, kernel: &str, llvm: u32| {
            let cell = format!("{arch}/{kernel}/llvm{llvm}");
            let expected = rows.of_cell(arch, kernel, &cell);
            expected
                .into_iter()
                .map(|(name, it)| format!("{name}={} {}", it.value.unwrap_or("-"), it.reason))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(Arch::X86_64, "6.1", 22), ["execve=fentry usual", "fds=storage usual"]);
        assert_eq!(of(Arch::X86_64, "5.10", 22), ["execve=kprobe no fentry", "fds=storage usual"]);
        assert_eq!(of(Arch::Riscv64, "7.2", 22), ["execve=fentry usual", "fds=- broken"]);
        assert_eq!(of(Arch::Riscv64, "5.10", 19), ["execve=none old clang", "fds=- broken"]);
        assert_eq!(parse("# none\n").unwrap().of_cell(Arch::X86_64, "6.1", "x"), BTreeMap::new());
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let error = |text| parse(text).unwrap_err();
        assert_eq!(
            error("- {kernal: '6.1', expect: {a: b}, reason: c}\n"),
            "c.yaml:1: .[0]: unknown field `kernal`, expected one of `arch`, `kernel`, `cell`, `expect`, `reason`\n  \
             hint: did you mean `kernel`?"
        );
        assert_eq!(
            error("# x\n- {kernel: '6[', expect: {a: b}, reason: c}\n"),
            "c.yaml:2: kernel: `6[` is not a glob: unclosed character class; missing ']'"
        );
        assert_eq!(error("- {expect: {a: b}, reason: ' '}\n"), "c.yaml:1: capability `a`: `reason` is empty");
        assert!(error("- {expect: {}, reason: c}\n").starts_with("c.yaml:1: `expect` is empty; expected"));
        assert!(error("- {expect: {a: b}}\n").contains("missing field `reason`"));
    }
}

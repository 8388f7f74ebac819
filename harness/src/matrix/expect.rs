//! What is known to fail: [`Expectations`], from `expect.yaml` beside the matrix.

use std::path::Path;

use globset::{Glob, GlobMatcher};
use serde::Deserialize;

use super::text::{self, SpecError};

/// One row of `expect.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    cell: String,
    test: String,
    reason: String,
    #[serde(default)]
    link: Option<String>,
}

/// A known failure. A test that passes against one is a failure of its own: the expectation is out of date.
#[derive(Clone, Debug)]
pub struct Expectation {
    cell: GlobMatcher,
    test: GlobMatcher,
    /// Why it fails, with the link when there is one.
    pub reason: String,
}

/// Every known failure.
#[derive(Clone, Debug, Default)]
pub struct Expectations(Vec<Expectation>);

impl Expectations {
    /// Parses `text`, which stands in the file `path`. An empty file has no expectations.
    ///
    /// # Errors
    /// When the text is not YAML, has an unknown key, a malformed glob or an empty reason.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SpecError> {
        let rows: Option<Vec<Row>> = text::parse(path, text)?;
        let glob = |key: &str, glob: &str| {
            let compiled = Glob::new(glob).map_err(|error| {
                text::error_at(path, text, glob, 0, format!("{key}: `{glob}` is not a glob: {}", error.kind()))
            })?;
            Ok(compiled.compile_matcher())
        };
        let mut expectations = Vec::new();
        for row in rows.unwrap_or_default() {
            if row.reason.trim().is_empty() {
                return Err(text::error_at(
                    path,
                    text,
                    &row.test,
                    0,
                    format!("test `{}`: `reason` is empty", row.test),
                ));
            }
            expectations.push(Expectation {
                cell: glob("cell", &row.cell)?,
                test: glob("test", &row.test)?,
                reason: row.link.map_or(row.reason.clone(), |link| format!("{} ({link})", row.reason)),
            });
        }
        Ok(Self(expectations))
    }

    /// Why `test` is known to fail in `cell`, if it is.
    #[must_use]
    pub fn reason(&self, cell: &str, test: &str) -> Option<&str> {
        let row = self.0.iter().find(|row| row.cell.is_match(cell) && row.test.is_match(test));
        row.map(|row| row.reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_that_matches_cell_and_test_gives_the_reason() {
        let text = "- {cell: 'x86_64/5.10/*', test: '*_kfunc', reason: no kfuncs, link: see-1}\n- {cell: '*', test: slow, reason: slow}\n";
        let expectations = Expectations::parse(Path::new("e.yaml"), text).unwrap();
        assert_eq!(expectations.reason("x86_64/5.10/llvm22", "uses_kfunc"), Some("no kfuncs (see-1)"));
        assert_eq!(expectations.reason("x86_64/6.1/llvm22", "uses_kfunc"), None);
        assert_eq!(expectations.reason("x86_64/6.1/llvm22", "slow"), Some("slow"));
        assert_eq!(Expectations::parse(Path::new("e.yaml"), "# none\n").unwrap().reason("a", "b"), None);
    }

    #[test]
    fn a_bad_glob_or_an_empty_reason_is_refused_with_its_line() {
        let error = |text| Expectations::parse(Path::new("e.yaml"), text).unwrap_err().to_string();
        assert_eq!(
            error("- {cell: 'a[', test: b, reason: c}\n"),
            "e.yaml:1: cell: `a[` is not a glob: unclosed character class; missing ']'"
        );
        assert_eq!(error("- {cell: a, test: b, reason: ' '}\n"), "e.yaml:1: test `b`: `reason` is empty");
    }
}

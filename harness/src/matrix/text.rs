//! From YAML text to a value, or to an error that says where, what, and what would be right: [`SpecError`].

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thiserror::Error;

/// Why a YAML file of the matrix is refused.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{}{}: {message}{}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default(),
    hint.as_ref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default())]
pub struct SpecError {
    /// The file.
    pub path: PathBuf,
    /// The line, counted from 1, where it is known.
    pub line: Option<usize>,
    /// The key, the value, and what was expected.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
}

/// Parses the whole of `text`, which stands in the file `path`.
pub(crate) fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, SpecError> {
    serde_yaml::from_str(text).map_err(|error| {
        let line = error.location().map(|location| location.line());
        let full = error.to_string();
        let message = full.rsplit_once(" at line ").map_or(full.as_str(), |(message, _)| message).to_owned();
        let hint = nearest_in(&message).map(|name| format!("did you mean `{name}`?"));
        SpecError { path: path.to_owned(), line, message, hint }
    })
}

/// An error about `value`, with the line of the `nth` place (counted from 0) where the text has it as a value of its own.
pub(crate) fn error_at(path: &Path, text: &str, value: &str, nth: usize, message: String) -> SpecError {
    // A glob may hold what separates words elsewhere.
    let quoted = [format!("'{value}'"), format!("\"{value}\"")];
    let holds = |line: &str| {
        let code = line.split(" #").next().unwrap_or_default();
        !code.trim_start().starts_with('#')
            && (code.split(|c: char| c.is_whitespace() || "{}[],\"':".contains(c)).any(|word| word == value)
                || quoted.iter().any(|value| code.contains(value)))
    };
    let is_top_level_key = |line: &str| line.strip_prefix(value).is_some_and(|rest| rest.starts_with(':'));
    let line = text
        .lines()
        .position(is_top_level_key)
        .or_else(|| text.lines().enumerate().filter(|(_, line)| holds(line)).nth(nth).map(|(index, _)| index))
        .map(|index| index + 1);
    SpecError { path: path.to_owned(), line, message, hint: None }
}

/// The name of `known` that is most like `given`, when one is alike enough to be meant.
pub(super) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(given, name), name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

/// The nearest valid name, from serde's "unknown field `x`, expected one of `a`, `b`".
fn nearest_in(message: &str) -> Option<&str> {
    let (given, rest) =
        message.split_once("unknown field `").or_else(|| message.split_once("unknown variant `"))?.1.split_once('`')?;
    nearest(given, rest.split('`').skip(1).step_by(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_points_at_the_line_that_holds_the_value() {
        let text = "kernels:\n  # 6.1 is old\n  - {name: \"6.1\"}\n  - {name: \"6.12\"}\n  - {name: \"6.1\"}\n";
        let line = |nth| error_at(Path::new("m.yaml"), text, "6.1", nth, String::new()).line;
        assert_eq!((line(0), line(1), line(2)), (Some(3), Some(5), None));
    }

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        assert_eq!(nearest("kernals", ["kernels", "llvm"]), Some("kernels"));
        assert_eq!(nearest("colour", ["kernels", "llvm"]), None);
    }
}

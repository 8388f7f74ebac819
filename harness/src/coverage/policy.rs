//! How much is to be covered: [`Policy`], from `coverage/policy.yaml` of the project.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::lines::{FileLines, Line, LineTable};
use crate::matrix::{SpecError, error_at, parse_yaml};

/// Floors, and what they do not count.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    floors: Vec<Floor>,
    exclusions: Vec<Exclusion>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    floors: Vec<Floor>,
    #[serde(default)]
    exclude: Vec<ExclusionRow>,
}

/// The least part of the lines of a file, or of a program or other function in it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Floor {
    file: String,
    #[serde(default, alias = "program")]
    function: Option<String>,
    percent: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExclusionRow {
    file: String,
    #[serde(default, deserialize_with = "line_or_range")]
    lines: Option<String>,
    #[serde(default, alias = "program")]
    function: Option<String>,
    reason: String,
}

#[derive(Clone, Debug)]
struct Exclusion {
    file: String,
    what: Excluded,
}

#[derive(Clone, Debug)]
enum Excluded {
    Lines { first: u32, last: u32 },
    Function(String),
}

impl fmt::Display for Excluded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lines { first, last } if first == last => write!(f, "line {first}"),
            Self::Lines { first, last } => write!(f, "lines {first}-{last}"),
            Self::Function(name) => write!(f, "`{name}`"),
        }
    }
}

/// Covered lines and all lines, without those that are excluded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Lines that ran in some cell.
    pub covered: usize,
    /// Lines with code.
    pub total: usize,
}

impl Share {
    /// Hundredths; all of nothing.
    #[must_use]
    pub fn percent(self) -> f64 {
        if self.total == 0 { 100.0 } else { self.covered as f64 * 100.0 / self.total as f64 }
    }

    fn of<'a>(lines: impl Iterator<Item = &'a Line>) -> Self {
        lines.fold(Self::default(), |share, line| Self {
            covered: share.covered + usize::from(line.count > 0),
            total: share.total + 1,
        })
    }
}

/// A floor that is not reached.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shortfall {
    /// The file, or the function and its file.
    pub of: String,
    /// What it should be at least.
    pub floor_percent: f64,
    /// What it is; absent when there is no data at all.
    pub percent: Option<f64>,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.percent {
            Some(percent) => {
                write!(f, "{}: {percent:.1} % of the lines ran, expected at least {} %", self.of, self.floor_percent)
            }
            None => write!(f, "{}: no data, expected at least {} %", self.of, self.floor_percent),
        }
    }
}

impl Policy {
    /// Parses `text`, which stands in the file `path`.
    ///
    /// # Errors
    /// When it is not YAML, has an unknown key, a percentage that is none, an exclusion without reason, or one that names
    /// neither lines nor a function, or both.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SpecError> {
        let file: Option<File> = parse_yaml(path, text)?;
        let File { floors, exclude } = file.unwrap_or_default();
        let refuse = |value: &str, message: String| Err(error_at(path, text, value, 0, message));
        for floor in &floors {
            if !(0.0..=100.0).contains(&floor.percent) {
                let message = format!("floors: `{}`: percent is {}, expected 0 to 100", floor.file, floor.percent);
                return refuse(&floor.percent.to_string(), message);
            }
        }
        let mut exclusions = Vec::new();
        for row in exclude {
            if row.reason.trim().is_empty() {
                return refuse(&row.file, format!("exclude: `{}`: `reason` is empty", row.file));
            }
            let what = match (&row.lines, row.function) {
                (Some(lines), None) => match range(lines) {
                    Some((first, last)) => Excluded::Lines { first, last },
                    None => {
                        let message = format!("exclude: lines are `{lines}`, expected a line or a range such as 12-15");
                        return refuse(lines, message);
                    }
                },
                (None, Some(function)) => Excluded::Function(function),
                _ => return refuse(&row.file, format!("exclude: `{}`: expected `lines` or `function`", row.file)),
            };
            exclusions.push(Exclusion { file: row.file, what });
        }
        Ok(Self { floors, exclusions })
    }

    /// The lines of a file that are not excluded, of one function or of all.
    #[must_use]
    pub fn share(&self, file: &FileLines, function: Option<&super::Function>) -> Share {
        let excluded = self.excluded(file);
        let counts = |line: &&Line| !excluded.contains(&line.line);
        match function {
            Some(function) => Share::of(file.lines_of(function).filter(counts)),
            None => Share::of(file.lines.iter().filter(counts)),
        }
    }

    /// The lines of a file that are excluded.
    #[must_use]
    pub fn excluded(&self, file: &FileLines) -> BTreeSet<u32> {
        let of_file = self.exclusions.iter().filter(|exclusion| exclusion.file == file.path);
        of_file.flat_map(|exclusion| exclusion.lines(file)).collect()
    }

    /// Exclusions that exclude nothing: the file, and what of it.
    #[must_use]
    pub fn unused(&self, table: &LineTable) -> Vec<String> {
        let excludes = |exclusion: &&Exclusion| {
            !table.files.iter().any(|file| file.path == exclusion.file && !exclusion.lines(file).is_empty())
        };
        let unused = self.exclusions.iter().filter(excludes);
        unused.map(|exclusion| format!("{} of `{}`", exclusion.what, exclusion.file)).collect()
    }

    /// The floors that are not reached.
    #[must_use]
    pub fn shortfalls(&self, table: &LineTable) -> Vec<Shortfall> {
        self.floors.iter().filter_map(|floor| self.shortfall(floor, table)).collect()
    }

    fn shortfall(&self, floor: &Floor, table: &LineTable) -> Option<Shortfall> {
        let file = table.files.iter().find(|file| file.path == floor.file);
        let share = match (&floor.function, file) {
            (_, None) => None,
            (None, Some(file)) => Some(self.share(file, None)),
            (Some(name), Some(file)) => {
                let function = file.functions.iter().find(|function| function.name == *name);
                function.map(|function| self.share(file, Some(function)))
            }
        };
        let percent = share.map(Share::percent);
        if percent.is_some_and(|percent| percent >= floor.percent) {
            return None;
        }
        let of = match &floor.function {
            Some(function) => format!("`{function}` of `{}`", floor.file),
            None => format!("`{}`", floor.file),
        };
        Some(Shortfall { of, floor_percent: floor.percent, percent })
    }
}

impl Exclusion {
    fn lines(&self, file: &FileLines) -> Vec<u32> {
        match &self.what {
            Excluded::Lines { first, last } => {
                let within = file.lines.iter().map(|line| line.line).filter(|line| (*first..=*last).contains(line));
                within.collect()
            }
            Excluded::Function(name) => {
                let functions = file.functions.iter().filter(|function| function.name == *name);
                functions.flat_map(|function| file.lines_of(function)).map(|line| line.line).collect()
            }
        }
    }
}

/// A single line is a number for YAML.
fn line_or_range<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Lines {
        One(u32),
        Range(String),
    }
    Ok(Some(match Lines::deserialize(deserializer)? {
        Lines::One(line) => line.to_string(),
        Lines::Range(range) => range,
    }))
}

/// `12` or `12-15`.
fn range(text: &str) -> Option<(u32, u32)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests;

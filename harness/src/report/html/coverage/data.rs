//! What `coverage/lines.json` says: [`Coverage`].

use std::collections::BTreeMap;

use serde::Deserialize;

/// The layout that this version reads.
const SCHEMA: u64 = 1;

/// Which lines and functions ran in which cells.
#[derive(Clone, Debug, Deserialize)]
pub struct Coverage {
    schema: u64,
    pub(super) files: Vec<CoveredFile>,
    #[serde(default)]
    pub(super) no_data: Vec<NoData>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct CoveredFile {
    /// The path as in git.
    pub(super) path: String,
    /// The lines that have code.
    pub(super) lines: Vec<CoveredLine>,
    #[serde(default)]
    pub(super) functions: Vec<CoveredFunction>,
    /// The text of the file, where it was found.
    #[serde(skip)]
    pub(super) source: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct CoveredLine {
    /// Its number, from 1.
    pub(super) line: u32,
    /// How often it ran; `None` when nobody counted.
    pub(super) count: Option<u64>,
    /// The ids of the cells in which it ran.
    #[serde(default)]
    pub(super) cells: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct CoveredFunction {
    pub(super) name: String,
    /// The line that it begins in.
    pub(super) line: u32,
    /// How often it was entered; `None` when nobody counted.
    pub(super) count: Option<u64>,
    /// The ids of the cells in which it ran.
    #[serde(default)]
    pub(super) cells: Vec<String>,
}

/// An object that left no counters.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct NoData {
    pub(super) cell: String,
    pub(super) test: Option<String>,
    pub(super) object: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) mode: Option<String>,
}

/// Why a `lines.json` cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CoverageError {
    /// It is not what this version reads.
    #[error("{0}")]
    Malformed(#[source] serde_json::Error),
    /// It has another layout.
    #[error("written by a newer ukci: found schema `{0}`, expected `{SCHEMA}`")]
    Schema(u64),
}

impl Coverage {
    /// Reads a `lines.json`. Keys that this version does not know are skipped.
    ///
    /// # Errors
    ///
    /// When the text is not one, or of another layout.
    pub fn parse(json: &str) -> Result<Self, CoverageError> {
        let mut coverage: Self = serde_json::from_str(json).map_err(CoverageError::Malformed)?;
        if coverage.schema != SCHEMA {
            return Err(CoverageError::Schema(coverage.schema));
        }
        for file in &mut coverage.files {
            file.lines.sort_by_key(|line| line.line);
            file.lines.iter_mut().for_each(|line| line.cells.sort());
            file.functions.sort_by_key(|function| function.line);
        }
        Ok(coverage)
    }

    /// The files that it is about, by their paths as in git.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.path.as_str())
    }

    /// The same with the texts of the files that were found, by their paths.
    #[must_use]
    pub fn with_sources(mut self, mut texts: BTreeMap<String, String>) -> Self {
        for file in &mut self.files {
            file.source = texts.remove(&file.path);
        }
        self
    }
}

impl CoveredFile {
    /// The function that the line is in: the last one that begins before it.
    pub(super) fn function_of(&self, line: u32) -> Option<&CoveredFunction> {
        self.functions.iter().rev().find(|function| function.line <= line)
    }

    /// The text of the line, where the file was found.
    pub(super) fn text_of(&self, line: u32) -> Option<&str> {
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        self.source.as_deref()?.lines().nth(index)
    }
}

//! The table's contents: [`Summary`], which `ukci coverage --json` prints.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::lines::{FileLines, Function, LineTable, NoData};
use super::policy::{Policy, Share, Shortfall};

/// How much of each file and function ran, and where only.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// 1.
    pub schema: u32,
    /// How many cells left something.
    pub cells: usize,
    /// All files together.
    pub all: Portion,
    /// In the order of their paths.
    pub files: Vec<FileSummary>,
    /// Floors of the policy that are not reached.
    pub shortfalls: Vec<Shortfall>,
    /// What is not known.
    pub no_data: Vec<NoData>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileSummary {
    /// As git has it.
    pub path: String,
    /// All of it.
    #[serde(flatten)]
    pub share: Portion,
    /// How many lines the policy excludes.
    pub excluded: usize,
    /// In the order of their lines.
    pub functions: Vec<FunctionSummary>,
    /// Lines that ran nowhere and are not excluded.
    pub never: Vec<u32>,
    /// Lines that ran in some of the cells only, by those cells.
    pub only: Vec<Only>,
}

/// One function.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FunctionSummary {
    /// Its name.
    pub name: String,
    /// Its lines.
    #[serde(flatten)]
    pub share: Portion,
    /// In how many cells it was entered.
    pub cells: usize,
}

/// A part of lines.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Portion {
    /// Lines that ran in some cell.
    pub covered: usize,
    /// Lines with code that are not excluded.
    pub total: usize,
    /// Hundredths.
    pub percent: f64,
}

impl From<Share> for Portion {
    fn from(share: Share) -> Self {
        Self { covered: share.covered, total: share.total, percent: share.percent() }
    }
}

/// Lines that ran in the same cells, which are not all that have data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Only {
    /// In order.
    pub lines: Vec<u32>,
    /// The cells.
    pub cells: BTreeSet<String>,
}

impl Summary {
    /// Sums the table up as the policy demands.
    #[must_use]
    pub fn new(table: &LineTable, cells: usize, policy: &Policy) -> Self {
        let all = table.files.iter().map(|file| policy.share(file, None)).fold(Share::default(), |all, file| Share {
            covered: all.covered + file.covered,
            total: all.total + file.total,
        });
        Self {
            schema: 1,
            cells,
            all: all.into(),
            files: table.files.iter().map(|file| summarise(file, policy)).collect(),
            shortfalls: policy.shortfalls(table),
            no_data: table.no_data.clone(),
        }
    }
}

fn summarise(file: &FileLines, policy: &Policy) -> FileSummary {
    let portion = |function: Option<&Function>| policy.share(file, function).into();
    let functions = file.functions.iter().map(|function| FunctionSummary {
        name: function.name.clone(),
        share: portion(Some(function)),
        cells: function.cells.len(),
    });
    let excluded = policy.excluded(file);
    let mut by_cells: BTreeMap<&BTreeSet<String>, Vec<u32>> = BTreeMap::new();
    for line in file.lines.iter().filter(|line| !line.cells.is_empty() && line.cells != file.cells) {
        by_cells.entry(&line.cells).or_default().push(line.line);
    }
    let never = file.lines.iter().filter(|line| line.cells.is_empty()).map(|line| line.line);
    FileSummary {
        path: file.path.clone(),
        share: portion(None),
        functions: functions.collect(),
        never: never.filter(|line| !excluded.contains(line)).collect(),
        excluded: excluded.len(),
        only: by_cells.into_iter().map(|(cells, lines)| Only { lines, cells: cells.clone() }).collect(),
    }
}

//! A table as JSON, for scripts and for a comparison later: [`Export`].

use std::collections::{BTreeMap, BTreeSet};

use bpf_complexity::Record;
use bpf_complexity::read::{self, ReadError};
use serde::{Deserialize, Serialize};

use super::table::{ArchTable, Program, ProgramId, Table};
use crate::matrix::Arch;

/// The version of the layout.
const SCHEMA: u32 = 1;

/// What `ukci complexity --json` prints.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Export {
    schema: u32,
    /// The run's name.
    pub run: String,
    /// The cells that should have numbers.
    cells: BTreeSet<String>,
    records: Vec<Row>,
}

/// A record with its place.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    arch: Arch,
    kernel: String,
    llvm: u32,
    object: String,
    #[serde(flatten)]
    record: Record,
}

impl Export {
    /// The table of the run with this name.
    #[must_use]
    pub fn new(run: &str, table: &Table) -> Self {
        let row = |entry: super::Entry<'_>| Row {
            arch: entry.arch,
            kernel: entry.kernel.to_owned(),
            llvm: entry.llvm,
            object: entry.id.object.clone(),
            record: entry.record.clone(),
        };
        let records = table.entries().map(row).collect();
        Self { schema: SCHEMA, run: run.to_owned(), cells: table.cells.clone(), records }
    }

    /// Reads what was printed.
    ///
    /// # Errors
    /// When the text is something else.
    pub fn parse(text: &str) -> Result<Self, ReadError> {
        read::versioned(text, SCHEMA)
    }

    /// The table that it was made from.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut arches: Vec<ArchTable> = Vec::new();
        for row in &self.records {
            let Row { arch, kernel, llvm, object, record } = row;
            let place = arches.iter().position(|table| table.arch == *arch).unwrap_or_else(|| {
                arches.push(ArchTable { arch: *arch, kernels: Vec::new(), llvm: Vec::new(), programs: Vec::new() });
                arches.len() - 1
            });
            let table = &mut arches[place];
            if !table.kernels.contains(kernel) {
                table.kernels.push(kernel.clone());
            }
            if let Err(place) = table.llvm.binary_search(llvm) {
                table.llvm.insert(place, *llvm);
            }
            let id = ProgramId { object: object.clone(), case: record.case.clone(), program: record.program.clone() };
            let place = table.programs.iter().position(|program| program.id == id).unwrap_or_else(|| {
                table.programs.push(Program { id, records: BTreeMap::new() });
                table.programs.len() - 1
            });
            table.programs[place].records.insert((kernel.clone(), *llvm), record.clone());
        }
        Table { arches, cells: self.cells.clone() }
    }
}

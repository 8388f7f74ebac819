//! The numbers in order: [`Table`] goes from architecture to program to kernel and LLVM.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bpf_complexity::record::{DEFAULT_CASE, Mode};
use bpf_complexity::{Record, Verdict};

use super::collect::Found;
use crate::matrix::Arch;
use crate::run::outcome::{CellOutcome, RunOutcome};

/// What names a program over all cells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProgramId {
    /// The object that it is in.
    pub object: String,
    /// The configuration in which that is loaded; `default` for the object as it is.
    pub case: String,
    /// Its function.
    pub program: String,
}

/// `object/case/program`, as budgets name it; without the case when the object is loaded as it is.
impl fmt::Display for ProgramId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.case.as_str() {
            DEFAULT_CASE => write!(f, "{}/{}", self.object, self.program),
            case => write!(f, "{}/{case}/{}", self.object, self.program),
        }
    }
}

/// Everything that is known of the programs of a run. Objects that were compiled for coverage are not in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The architectures that have numbers, in the matrix's order.
    pub arches: Vec<ArchTable>,
    /// The ids of the cells that should have numbers: a program that has none in one of them has vanished.
    pub cells: BTreeSet<String>,
}

/// The programs on the kernels of one architecture.
#[derive(Clone, Debug, PartialEq)]
pub struct ArchTable {
    /// The architecture.
    pub arch: Arch,
    /// The kernels that have numbers, in the matrix's order.
    pub kernels: Vec<String>,
    /// The LLVM releases that have numbers, oldest first.
    pub llvm: Vec<u32>,
    /// The programs, by object, then in the order in which they were measured.
    pub programs: Vec<Program>,
}

/// A program on each kernel with each LLVM.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Which one.
    pub id: ProgramId,
    /// What is known of it, by kernel and LLVM release.
    pub records: BTreeMap<(String, u32), Record>,
}

impl Program {
    /// What is known of it on this kernel when this LLVM compiles it; `None` when it was not measured.
    #[must_use]
    pub fn record(&self, kernel: &str, llvm: u32) -> Option<&Record> {
        self.records.get(&(kernel.to_owned(), llvm))
    }
}

/// A record with its place.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The architecture.
    pub arch: Arch,
    /// The kernel's name.
    pub kernel: &'a str,
    /// The LLVM release.
    pub llvm: u32,
    /// The program.
    pub id: &'a ProgramId,
    /// What is known of it there.
    pub record: &'a Record,
}

impl Entry<'_> {
    /// The cell's id.
    #[must_use]
    pub fn cell(&self) -> String {
        format!("{}/{}/llvm{}", self.arch, self.kernel, self.llvm)
    }
}

impl Table {
    /// Puts what was `found` in the cells of `run` in order. Of two records of the same program in the same cell the later one
    /// counts: it is of a later attempt.
    #[must_use]
    pub fn new(run: &RunOutcome, found: &[Found]) -> Self {
        let tables = Arch::ALL.map(|arch| ArchTable::new(arch, run, found));
        let arches = tables.into_iter().filter(|table| !table.programs.is_empty()).collect();
        let table = Self { arches, cells: BTreeSet::new() };
        let measured: BTreeSet<String> = table.entries().map(|entry| entry.cell()).collect();
        let ended = run.cells.iter().filter(|cell| run.test_globs.is_empty() && came_to_its_end(cell));
        let cells = ended.map(|cell| cell.id.clone()).chain(measured).collect();
        Self { cells, ..table }
    }

    /// Every record, in the table's order: by architecture, program, kernel and LLVM.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.arches.iter().flat_map(|table| {
            table.programs.iter().flat_map(move |program| {
                table.kernels.iter().flat_map(move |kernel| {
                    table.llvm.iter().filter_map(move |&llvm| {
                        let record = program.record(kernel, llvm)?;
                        Some(Entry { arch: table.arch, kernel, llvm, id: &program.id, record })
                    })
                })
            })
        })
    }

    /// The names of all programs, as people read them: without the object when there is only one.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<&ProgramId, String> {
        let ids = || self.arches.iter().flat_map(|table| &table.programs).map(|program| &program.id);
        let objects: BTreeSet<&str> = ids().map(|id| id.object.as_str()).collect();
        let label = |id: &ProgramId| match id.to_string().split_once('/') {
            Some((_object, rest)) if objects.len() == 1 => rest.to_owned(),
            _ => id.to_string(),
        };
        ids().map(|id| (id, label(id))).collect()
    }

    /// Whether nothing was measured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.arches.is_empty()
    }

    /// How many of the records have this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.entries().filter(|entry| entry.record.verdict == verdict).count()
    }
}

/// Whether every test that the cell was to run has run.
fn came_to_its_end(cell: &CellOutcome) -> bool {
    !cell.is_interrupted() && cell.attempts.last().is_some_and(|attempt| attempt.loss.is_none())
}

impl ArchTable {
    fn new(arch: Arch, run: &RunOutcome, found: &[Found]) -> Self {
        let (mut kernels, mut llvm) = (Vec::new(), BTreeSet::new());
        let mut programs: Vec<Program> = Vec::new();
        for cell in run.cells.iter().filter(|cell| cell.arch == arch) {
            let reports = found.iter().filter(|found| found.cell == cell.id).map(|found| &found.report);
            for report in reports.filter(|report| report.object.mode == Mode::Release) {
                for record in &report.records {
                    if kernels.last() != Some(&cell.kernel.name) {
                        kernels.push(cell.kernel.name.clone());
                    }
                    llvm.insert(cell.llvm);
                    let id = ProgramId {
                        object: report.object.name.clone(),
                        case: record.case.clone(),
                        program: record.program.clone(),
                    };
                    let place = programs.iter().position(|program| program.id == id).unwrap_or_else(|| {
                        programs.push(Program { id, records: BTreeMap::new() });
                        programs.len() - 1
                    });
                    programs[place].records.insert((cell.kernel.name.clone(), cell.llvm), record.clone());
                }
            }
        }
        programs.sort_by(|one, other| one.id.object.cmp(&other.id.object));
        Self { arch, kernels, llvm: llvm.into_iter().collect(), programs }
    }
}

#[cfg(test)]
mod tests;

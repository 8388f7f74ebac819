//! Where coverage was measured: [`Places`].

use std::collections::{BTreeSet, HashMap};

use super::Reach;
use super::data::Coverage;
use crate::matrix::Arch;
use crate::report::cells::{self, Cells};
use crate::run::outcome::{CellOutcome, RunOutcome};

/// The cells of the run that left coverage, and their names.
pub(super) struct Places<'a> {
    /// By their ids.
    pub(super) measured: HashMap<&'a str, &'a CellOutcome>,
    /// The kernels of those, in the run's order.
    pub(super) kernels: Vec<Kernel<'a>>,
    /// Cells that the coverage names and the run does not have.
    pub(super) unknown: usize,
    names: Cells<'a>,
}

/// A kernel of one architecture, with the cells that left coverage.
#[derive(Debug)]
pub(super) struct Kernel<'a> {
    pub(super) arch: Arch,
    pub(super) name: &'a str,
    pub(super) cells: Vec<&'a str>,
}

impl<'a> Places<'a> {
    pub(super) fn of(coverage: &Coverage, run: &'a RunOutcome) -> Self {
        let lines = coverage.files.iter().flat_map(|file| &file.lines).flat_map(|line| &line.cells);
        let functions = coverage.files.iter().flat_map(|file| &file.functions).flat_map(|function| &function.cells);
        let named: BTreeSet<&str> = lines.chain(functions).map(String::as_str).collect();
        let measured: Vec<&CellOutcome> = run.cells.iter().filter(|cell| named.contains(cell.id.as_str())).collect();
        let mut kernels: Vec<Kernel<'a>> = Vec::new();
        for arch in Arch::ALL {
            for cell in measured.iter().filter(|cell| cell.arch == arch) {
                let known = kernels.iter_mut().find(|known| known.arch == arch && known.name == cell.kernel.name);
                match known {
                    Some(kernel) => kernel.cells.push(&cell.id),
                    None => kernels.push(Kernel { arch, name: &cell.kernel.name, cells: vec![&cell.id] }),
                }
            }
        }
        Self {
            unknown: named.len() - measured.len(),
            names: Cells::of(measured.iter().map(|cell| cells::place(cell))),
            measured: measured.into_iter().map(|cell| (cell.id.as_str(), cell)).collect(),
            kernels,
        }
    }

    /// Where something ran that was counted `count` times, in `cells`.
    pub(super) fn reach(&self, count: Option<u64>, cells: &[String]) -> Reach {
        let ran = cells.iter().filter(|cell| self.measured.contains_key(cell.as_str())).count();
        match (count, ran) {
            (None, 0) => Reach::Unknown,
            (Some(0), 0) => Reach::Never,
            (_, ran) if ran > 0 && ran == self.measured.len() => Reach::Everywhere,
            _ => Reach::Somewhere,
        }
    }

    /// The names of those of `cells` that are measured, or with `others` of the measured ones that are not among them.
    pub(super) fn list(&self, cells: &[String], others: bool) -> String {
        let ran: BTreeSet<&str> = cells.iter().map(String::as_str).collect();
        let places: Vec<_> = self
            .kernels
            .iter()
            .flat_map(|kernel| &kernel.cells)
            .filter(|cell| ran.contains(**cell) != others)
            .filter_map(|cell| self.measured.get(cell))
            .map(|cell| cells::place(cell))
            .collect();
        if places.is_empty() { "none".into() } else { self.names.list(&places, usize::MAX).join(", ") }
    }

    /// On how many kernels something ran that ran in `cells`, and on how many it could have.
    pub(super) fn kernels_of(&self, cells: &[String]) -> (usize, usize) {
        let ran: BTreeSet<&str> = cells.iter().map(String::as_str).collect();
        let hit = self.kernels.iter().filter(|kernel| kernel.cells.iter().any(|cell| ran.contains(cell))).count();
        (hit, self.kernels.len())
    }
}

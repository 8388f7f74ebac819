//! Tests × kernels, a table per architecture. Where the LLVM releases differ, the worst stands there with how many have it.

use std::collections::HashMap;

use super::parts::{self, table, verdict_cell};
use super::writer::Html;
use super::{Context, Link};
use crate::matrix::Arch;
use crate::report::grid::{self, mark_verdict};
use crate::run::outcome::{CellOutcome, Verdict};

/// A test: its executable and its name.
type Key<'a> = (&'a str, &'a str);

/// What the cells of one kernel say of one test.
#[derive(Clone, Debug, Default)]
struct Entry {
    verdicts: Vec<Verdict>,
    /// What the page says of the worst of them.
    finding: Option<usize>,
}

pub(super) fn write(context: &Context<'_>, html: &mut Html) {
    let mut any = false;
    for arch in Arch::ALL {
        let cells: Vec<_> = context.page.run.cells.iter().filter(|cell| cell.arch == arch).collect();
        any |= write_arch(context, arch, &cells, html);
    }
    if any {
        parts::legend(html);
    } else {
        html.leaf("p", &[("class", "absent")], "No test is known: no bundle was listed.");
    }
}

fn write_arch(context: &Context<'_>, arch: Arch, cells: &[&CellOutcome], html: &mut Html) -> bool {
    let kernels = positions(cells.iter().map(|cell| cell.kernel.name.as_str()));
    let tests = positions(cells.iter().flat_map(|cell| cell.tests()).map(|test| (test.binary.as_str(), &*test.name)));
    if tests.order.is_empty() {
        return false;
    }
    let mut entries = vec![vec![Entry::default(); kernels.order.len()]; tests.order.len()];
    for cell in cells {
        let Some(&column) = kernels.of.get(cell.kernel.name.as_str()) else { continue };
        for test in cell.tests() {
            let key: Key<'_> = (&test.binary, &test.name);
            if let Some(&row) = tests.of.get(&key) {
                let finding = context.by_test.get(&(cell.id.as_str(), key.0, key.1));
                let finding = finding.or_else(|| context.by_cell.get(cell.id.as_str()));
                entries[row][column].add(mark_verdict(cell, test), finding);
            }
        }
        // A cell whose tests are not known says of each what it says of itself.
        if cell.tests().is_empty() {
            let finding = context.by_cell.get(cell.id.as_str());
            entries.iter_mut().for_each(|row| row[column].add(cell.verdict(), finding));
        }
    }
    let caption = format!("{arch}: each test on each kernel, over all LLVM releases");
    table(html, &format!("tests-{arch}"), "marks", &caption, |html| {
        parts::heads(html, ["Test"].into_iter().chain(kernels.order.iter().copied()));
        html.element("tbody", &[], |html| {
            for ((binary, name), entries) in tests.order.iter().zip(&entries) {
                html.element("tr", &[], |html| {
                    html.element("th", &[("scope", "row")], |html| {
                        html.name(name).text(" ").leaf("small", &[], binary);
                    });
                    entries.iter().for_each(|entry| entry.write(html));
                });
                html.line();
            }
        });
    });
    true
}

impl Entry {
    fn add(&mut self, verdict: Verdict, finding: Option<&usize>) {
        if verdict != Verdict::Pass && self.verdicts.iter().all(|known| *known < verdict) {
            self.finding = finding.copied();
        }
        self.verdicts.push(verdict);
    }

    fn write(&self, html: &mut Html) {
        let Some(worst) = self.verdicts.iter().copied().max() else {
            html.leaf("td", &[("class", "void")], "");
            return;
        };
        let count = self.verdicts.iter().filter(|verdict| **verdict == worst).count();
        let small =
            if count == self.verdicts.len() { String::new() } else { format!("{count}/{}", self.verdicts.len()) };
        let link = self.finding.map(|number| Link::place("finding", number));
        verdict_cell(html, &[("class", worst.name())], &grid::mark(worst).to_string(), link.as_ref(), &small);
    }
}

/// Keys in the order in which they first came, and where each stands.
struct Positions<K> {
    order: Vec<K>,
    of: HashMap<K, usize>,
}

fn positions<K: Copy + Eq + std::hash::Hash>(keys: impl Iterator<Item = K>) -> Positions<K> {
    let mut positions = Positions { order: Vec::new(), of: HashMap::new() };
    for key in keys {
        positions.of.entry(key).or_insert_with(|| {
            positions.order.push(key);
            positions.order.len() - 1
        });
    }
    positions
}

//! A plan for a terminal: a table per architecture, why cells do not run, one line that sums it up. [`render`] makes it.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::matrix::{Arch, Cell, Plan};
use crate::report::cells::{Cells, Place};
use crate::report::grid::{Entry, Grid, Row};
use crate::report::table::{INDENT, MOST_KERNELS, render_grid};
use crate::report::text::{self, Style, WIDTH};
use crate::run::outcome::Verdict;

/// What a person needs to know of the plan, at most 100 columns wide. Its VMs live for `expected_seconds`, one after another;
/// `release` says what the kernel of a cell is pinned to.
#[must_use]
pub fn render(plan: &Plan, expected_seconds: f64, release: impl Fn(&Cell) -> Option<String>, style: Style) -> String {
    let mut out = String::new();
    for cells in plan.cells().chunk_by(|one, other| one.arch == other.arch) {
        render_grid(&grid(cells[0].arch, cells, &release), style, &mut out);
    }
    let all = Cells::of(plan.cells().iter().map(place));
    let mut told = false;
    for (word, groups) in [("added", by_reason(plan, |cell| cell.included.as_deref())), ("not run", not_run(plan))] {
        for (reason, cells) in groups {
            let mut lines = text::wrap(&text::one_line(reason), WIDTH - INDENT);
            let hit: Vec<Place<'_>> = cells.into_iter().map(place).collect();
            lines.extend(text::wrap_list(&all.list(&hit, MOST_KERNELS), WIDTH - INDENT));
            for (index, line) in lines.iter().enumerate() {
                _ = writeln!(out, "{:INDENT$}{line}", if index == 0 { word } else { "" });
            }
            told = true;
        }
    }
    if told {
        out.push('\n');
    }
    out += &summary(plan, expected_seconds);
    out
}

/// Why cells of the plan do not run, each reason with `1 cell`, `2 cells` and so on.
pub fn reasons_not_to_run(plan: &Plan) -> impl Iterator<Item = (&str, String)> {
    not_run(plan).into_iter().map(|(reason, cells)| (reason, text::count(cells.len(), "cell")))
}

fn not_run(plan: &Plan) -> Vec<(&str, Vec<&Cell>)> {
    by_reason(plan, |cell| cell.not_run.as_deref())
}

/// The cells that have a reason, by that reason, in the plan's order.
fn by_reason<'plan>(
    plan: &'plan Plan,
    reason: impl Fn(&'plan Cell) -> Option<&'plan str>,
) -> Vec<(&'plan str, Vec<&'plan Cell>)> {
    let mut places = HashMap::new();
    let mut groups: Vec<(&str, Vec<&Cell>)> = Vec::new();
    for cell in plan.cells() {
        let Some(reason) = reason(cell) else { continue };
        let place = *places.entry(reason).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, cells)) => cells.push(cell),
            None => groups.push((reason, vec![cell])),
        }
    }
    groups
}

/// Kernels × LLVM releases of one architecture.
fn grid(arch: Arch, cells: &[Cell], release: impl Fn(&Cell) -> Option<String>) -> Grid {
    let mut llvms: Vec<u32> = cells.iter().map(|cell| cell.llvm).collect();
    llvms.sort_unstable();
    llvms.dedup();
    let names = cells.iter().map(|cell| text::width(&cell.kernel)).max().unwrap_or(0).min(16);
    let rows = cells.chunk_by(|one, other| one.kernel == other.kernel).map(|cells| {
        let name = text::pad(&text::fit_middle(&cells[0].kernel, names), names);
        let release = release(&cells[0]);
        let runs = cells.iter().any(|cell| cell.not_run.is_none());
        let release = release.as_deref().filter(|_| runs).unwrap_or_default();
        let label = format!("{name}  {release}").trim_end().to_owned();
        let mut entries = vec![None; llvms.len()];
        for cell in cells {
            entries[llvms.binary_search(&cell.llvm).unwrap_or_default()] = Some(entry(cell));
        }
        Row { label, entries }
    });
    Grid {
        title: arch.to_string(),
        cut_labels: true,
        columns: llvms.iter().map(|llvm| format!("LLVM {llvm}")).collect(),
        rows: rows.collect(),
    }
}

fn entry(cell: &Cell) -> Entry {
    let (verdict, text) = if cell.not_run.is_some() { (Verdict::NotRun, "–") } else { (Verdict::Pass, "run") };
    Entry { verdict, text: text.into(), time: String::new() }
}

fn place(cell: &Cell) -> Place<'_> {
    (cell.arch, &cell.kernel, cell.llvm)
}

fn summary(plan: &Plan, expected_seconds: f64) -> String {
    let shard = match plan.shard() {
        Some(shard) => format!("shard {shard} of {}: ", text::count(plan.whole_cells(), "cell")),
        None => String::new(),
    };
    let cells = text::count(plan.cells().len(), "cell");
    let vms = text::count(plan.jobs().len(), "VM");
    let waiting = plan.cells().iter().filter(|cell| cell.not_run.is_some()).count();
    let waiting = if waiting > 0 { format!(", {waiting} of them not run") } else { String::new() };
    let expected = text::seconds(expected_seconds);
    format!("{shard}{cells} in {vms}{waiting} · about {expected}, one VM after another\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::matrix::{Filter, MatrixSpec};

    /// Check that no shape of a matrix makes a line too wide, and that nothing in a reason reaches the terminal as a command.
    #[test]
    fn a_plan_fits_a_terminal() {
        let names = (0..20)
            .map(|minor| format!("  - {{name: a-kernel-with-quite-a-long-name-9.{minor}, series: '9.{minor}'}}\n"));
        let versions = (20..60).map(|version| format!("{{version: {version}}}"));
        let text = format!(
            "project: {{directory: ., package: demo}}\narchive: {{kernels: [a], tools: a, sysroot: a}}\n\
             arches: {{x86_64: {{}}, riscv64: {{}}}}\nkernels:\n{}llvm: [{}]\n\
             exclude: [{{arch: riscv64, reason: \"\\e[2J{}\"}}]\ninclude: [{{arch: riscv64, llvm: 21, reason: {}}}]\n",
            names.collect::<String>(),
            versions.collect::<Vec<_>>().join(", "),
            "why ".repeat(60),
            "because".repeat(30),
        );
        let spec = MatrixSpec::parse(Path::new("m.yaml"), &text).unwrap();
        let plan = Plan::expand(&spec, &Filter::default()).unwrap();
        let text = render(&plan, 1e6, |_| Some("9.9.117+deb13-cloud-amd64".repeat(3)), Style::default());
        assert!(!text.contains('\x1b'));
        let wide: Vec<&str> = text.lines().filter(|line| text::width(line) > WIDTH).collect();
        assert_eq!(wide, [""; 0]);
    }
}

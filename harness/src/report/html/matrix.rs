//! The matrix: a table per architecture, kernels × LLVM releases, each cell of the run exactly once.

use std::collections::{BTreeMap, BTreeSet};

use super::parts::{table, verdict_cell};
use super::writer::Html;
use super::{Context, parts};
use crate::matrix::Arch;
use crate::report::cells;
use crate::report::grid::{self, cell_text, cell_time};
use crate::report::text;
use crate::run::outcome::{CellOutcome, KernelId, Verdict};

/// The row of one kernel: its cells with their places in the run.
struct Row<'a> {
    kernel: &'a KernelId,
    cells: Vec<(usize, &'a CellOutcome)>,
}

pub(super) fn write(context: &Context<'_>, html: &mut Html) {
    if context.page.run.cells.is_empty() {
        html.leaf("p", &[("class", "absent")], "The run has no cells.");
        return;
    }
    for arch in Arch::ALL {
        let cells = context.page.run.cells.iter().enumerate().filter(|(_, cell)| cell.arch == arch);
        let rows = rows(cells);
        if !rows.is_empty() {
            write_arch(context, arch, &rows, html);
        }
    }
    parts::legend(html);
    reasons_not_to_run(context, html);
}

fn rows<'a>(cells: impl Iterator<Item = (usize, &'a CellOutcome)>) -> Vec<Row<'a>> {
    let mut places = std::collections::HashMap::new();
    let mut rows: Vec<Row<'a>> = Vec::new();
    for (number, cell) in cells {
        let place = *places.entry(cell.kernel.name.as_str()).or_insert(rows.len());
        match rows.get_mut(place) {
            Some(row) => row.cells.push((number, cell)),
            None => rows.push(Row { kernel: &cell.kernel, cells: vec![(number, cell)] }),
        }
    }
    rows
}

fn write_arch(context: &Context<'_>, arch: Arch, rows: &[Row<'_>], html: &mut Html) {
    let llvms: BTreeSet<u32> = rows.iter().flat_map(|row| &row.cells).map(|(_, cell)| cell.llvm).collect();
    let ran = rows.iter().flat_map(|row| &row.cells).filter(|(_, cell)| !cell.attempts.is_empty()).count();
    let all = rows.iter().map(|row| row.cells.len()).sum();
    let caption = format!("{arch}: {}, {ran} of them run", text::count(all, "cell"));
    table(html, &format!("matrix-{arch}"), "cells", &caption, |html| {
        let heads = llvms.iter().map(|llvm| format!("LLVM {llvm}"));
        let heads: Vec<String> = ["Kernel".to_owned()].into_iter().chain(heads).collect();
        parts::heads(html, heads.iter().map(String::as_str));
        html.element("tbody", &[], |html| {
            for row in rows {
                html.element("tr", &[], |html| write_row(context, row, &llvms, html));
                html.line();
            }
        });
    });
}

fn write_row(context: &Context<'_>, row: &Row<'_>, llvms: &BTreeSet<u32>, html: &mut Html) {
    html.element("th", &[("scope", "row")], |html| {
        html.text(&row.kernel.name);
        let details = [Some(&row.kernel.release), row.kernel.version.as_ref()];
        let details: Vec<&str> =
            details.into_iter().flatten().map(String::as_str).filter(|detail| !detail.is_empty()).collect();
        if !details.is_empty() {
            html.text(" ").leaf("small", &[], &details.join(" · "));
        }
    });
    for llvm in llvms {
        // One, unless somebody wrote the record by hand: then all that there are.
        let mut here = row.cells.iter().filter(|(_, cell)| cell.llvm == *llvm).peekable();
        if here.peek().is_none() {
            html.leaf("td", &[("class", "void")], "not in the plan");
        }
        for (number, cell) in here {
            let verdict = cell.verdict();
            let text = format!("{} {}", grid::mark(verdict), cell_text(cell));
            let attributes = [("id", &*format!("cell{number}")), ("class", verdict.name())];
            verdict_cell(html, &attributes, &text, context.finding_of(cell).as_ref(), &cell_time(cell));
        }
    }
}

/// Why cells did not run: each reason, to the letter, with its cells.
fn reasons_not_to_run(context: &Context<'_>, html: &mut Html) {
    let mut reasons: BTreeMap<String, Vec<&CellOutcome>> = BTreeMap::new();
    for cell in context.page.run.cells.iter().filter(|cell| cell.verdict() == Verdict::NotRun) {
        reasons.entry(text::one_line(&cell.reason().unwrap_or_default())).or_default().push(cell);
    }
    if reasons.is_empty() {
        return;
    }
    html.leaf("h3", &[], "Not run");
    html.element("ul", &[("class", "reasons")], |html| {
        for (reason, cells) in reasons {
            html.element("li", &[], |html| {
                let places: Vec<_> = cells.iter().map(|cell| cells::place(cell)).collect();
                html.text(&reason).text(": ");
                html.leaf("small", &[], &context.names.list(&places, usize::MAX).join(", "));
            });
        }
    });
}

//! Which kernels took which path: functions × kernels, and the lines that ran on some kernels only or never.

use std::collections::BTreeSet;

use super::data::{Coverage, CoveredFile, CoveredLine};
use super::places::{Kernel, Places};
use super::{Link, Reach};
use crate::report::html::parts::{self, table};
use crate::report::html::writer::Html;

pub(super) fn write(coverage: &Coverage, places: &Places<'_>, html: &mut Html) {
    if coverage.files.iter().any(|file| !file.functions.is_empty()) && !places.kernels.is_empty() {
        functions(coverage, places, html);
    }
    let caption = "Lines that ran on some kernels only: fallbacks, and what not every kernel has";
    ranges(coverage, places, Reach::Somewhere, "coverage-some", caption, html);
    ranges(coverage, places, Reach::Never, "coverage-never", "Lines that never ran", html);
}

/// Each function on each kernel.
fn functions(coverage: &Coverage, places: &Places<'_>, html: &mut Html) {
    let caption = "Which kernels ran which function. A fraction counts LLVM releases, where not all ran it";
    table(html, "coverage-functions", "marks", caption, |html| {
        html.element("thead", &[], |html| {
            html.element("tr", &[], |html| {
                html.leaf("th", &[("scope", "col"), ("rowspan", "2")], "Function");
                for kernels in places.kernels.chunk_by(|one, other| one.arch == other.arch) {
                    let span = kernels.len().to_string();
                    html.leaf("th", &[("scope", "colgroup"), ("colspan", &span)], kernels[0].arch.name());
                }
            });
            html.element("tr", &[], |html| {
                for kernel in &places.kernels {
                    html.leaf("th", &[("scope", "col")], kernel.name);
                }
            });
        });
        html.element("tbody", &[], |html| {
            for (number, file) in coverage.files.iter().enumerate() {
                for function in &file.functions {
                    html.element("tr", &[], |html| {
                        html.element("th", &[("scope", "row")], |html| {
                            html.link(&Link::line(number, function.line), &function.name);
                            html.text(" ").leaf("small", &[], &format!("{}:{}", file.path, function.line));
                        });
                        let ran: BTreeSet<&str> = function.cells.iter().map(String::as_str).collect();
                        for kernel in &places.kernels {
                            function_cell(kernel, &ran, function.count, html);
                        }
                    });
                    html.line();
                }
            }
        });
    });
    html.leaf("p", &[("class", "legend")], "✓ ran · ✗ did not run · – nobody counted");
}

fn function_cell(kernel: &Kernel<'_>, ran: &BTreeSet<&str>, count: Option<u64>, html: &mut Html) {
    let (hit, all) = (kernel.cells.iter().filter(|cell| ran.contains(**cell)).count(), kernel.cells.len());
    match hit {
        0 if count.is_none() => html.leaf("td", &[("class", "unknown")], "–"),
        // A fallback that another kernel takes is nothing to worry about.
        0 if !ran.is_empty() => html.leaf("td", &[("class", "not_run")], "✗"),
        0 => html.leaf("td", &[("class", "never")], "✗"),
        hit if hit == all => html.leaf("td", &[("class", "all")], "✓"),
        hit => html.element("td", &[("class", "some")], |html| {
            html.text("✓ ").leaf("small", &[], &format!("{hit}/{all}"));
        }),
    };
}

/// Lines of one function, one after another, that ran in the same cells.
struct Range<'a> {
    number: usize,
    file: &'a CoveredFile,
    lines: &'a [CoveredLine],
}

/// The ranges of lines with that reach, with where they ran and where not.
fn ranges(coverage: &Coverage, places: &Places<'_>, reach: Reach, id: &str, caption: &str, html: &mut Html) {
    let files = coverage.files.iter().enumerate();
    let ranges: Vec<Range<'_>> = files
        .flat_map(|(number, file)| {
            let alike = |one: &CoveredLine, other: &CoveredLine| {
                let function = |line| file.function_of(line).map(|function| function.line);
                let counted = |line: &CoveredLine| line.count.is_some();
                one.cells == other.cells && counted(one) == counted(other) && function(one.line) == function(other.line)
            };
            file.lines.chunk_by(alike).map(move |lines| Range { number, file, lines })
        })
        .filter(|range| places.reach(range.lines[0].count, &range.lines[0].cells) == reach)
        .collect();
    if ranges.is_empty() {
        return;
    }
    let with_cells = reach == Reach::Somewhere;
    table(html, id, "plain", caption, |html| {
        let heads = ["Lines", "Function", "First line", "Ran on", "Not on"];
        parts::heads(html, heads.into_iter().take(if with_cells { 5 } else { 3 }));
        html.element("tbody", &[], |html| {
            for range in &ranges {
                html.element("tr", &[], |html| range.write(places, with_cells, html));
                html.line();
            }
        });
    });
}

impl Range<'_> {
    fn write(&self, places: &Places<'_>, with_cells: bool, html: &mut Html) {
        let (first, last) = (&self.lines[0], &self.lines[self.lines.len() - 1]);
        let name = self.file.path.rsplit('/').next().unwrap_or_default();
        let lines = match (first.line, last.line) {
            (first, last) if first == last => format!("{name}:{first}"),
            (first, last) => format!("{name}:{first}–{last}"),
        };
        html.element("th", &[("scope", "row")], |html| {
            html.link(&Link::line(self.number, first.line), &lines);
        });
        html.leaf("td", &[], self.file.function_of(first.line).map_or("–", |function| &function.name));
        html.element("td", &[], |html| {
            html.leaf("code", &[], self.file.text_of(first.line).unwrap_or("–").trim());
        });
        if with_cells {
            html.leaf("td", &[], &places.list(&first.cells, false));
            html.leaf("td", &[], &places.list(&first.cells, true));
        }
    }
}

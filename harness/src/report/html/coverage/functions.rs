//! Which kernels ran which function: first the programs, which are the ways that a project has for kernels that differ, then, folded,
//! every function.

use std::collections::BTreeSet;

use super::data::{Coverage, CoveredFunction};
use super::places::{Kernel, Places};
use super::{Link, Reach};
use crate::report::html::complexity::{LoadVerdict, Measured};
use crate::report::html::parts::table;
use crate::report::html::writer::Html;
use crate::report::text;

pub(super) fn write(coverage: &Coverage, measured: &[Measured], places: &Places<'_>, html: &mut Html) {
    if places.kernels.is_empty() {
        return;
    }
    let functions: Vec<Row<'_>> = coverage
        .files
        .iter()
        .enumerate()
        .flat_map(|(number, file)| {
            let row = move |function| Row {
                number,
                function,
                about: format!("{}:{}", file.path, function.line),
                measured: Vec::new(),
            };
            file.functions.iter().map(row)
        })
        .collect();
    let programs = programs(&functions, measured);
    if !programs.is_empty() {
        let caption = "Which kernels ran which program, by the ways to load it";
        rows("coverage-programs", caption, &programs, places, html);
        let legend =
            "✓ ran · ✗ did not run · – not loaded there, or nobody counted. Where LLVM releases differ, a fraction";
        html.leaf("p", &[("class", "legend")], legend);
    }
    if !functions.is_empty() {
        html.element("details", &[], |html| {
            let count = text::count(functions.len(), "function");
            html.leaf("summary", &[], &format!("Each function: {count} by kernel"));
            let caption = "Which kernels ran which function. A fraction counts LLVM releases, where not all ran it";
            rows("coverage-functions", caption, &functions, places, html);
            html.leaf("p", &[("class", "legend")], "✓ ran · ✗ did not run · – nobody counted");
        });
    }
}

/// A function, perhaps as a program.
struct Row<'a> {
    /// Its file's.
    number: usize,
    function: &'a CoveredFunction,
    about: String,
    /// What came of loading it.
    measured: Vec<&'a Measured>,
}

/// Those of `functions` that were loaded as programs, in the order in which they were.
fn programs<'a>(functions: &[Row<'a>], measured: &'a [Measured]) -> Vec<Row<'a>> {
    let mut programs: Vec<Row<'a>> = Vec::new();
    let mut known = BTreeSet::new();
    for (_, name) in measured.iter().map(split) {
        let Some(row) = functions.iter().find(|row| row.function.name == name).filter(|_| known.insert(name)) else {
            continue;
        };
        let own: Vec<&Measured> = measured.iter().filter(|record| split(record).1 == name).collect();
        let mut ways: Vec<&str> = Vec::new();
        for way in own.iter().filter_map(|record| split(record).0) {
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        programs.push(Row { about: ways.join(", "), measured: own, ..*row });
    }
    programs
}

/// The case that a program was loaded in, where it has one, and its function.
fn split(record: &Measured) -> (Option<&str>, &str) {
    record.program.rsplit_once('/').map_or((None, &record.program), |(case, name)| (Some(case), name))
}

/// Each of `rows` on each kernel.
fn rows(id: &str, caption: &str, rows: &[Row<'_>], places: &Places<'_>, html: &mut Html) {
    table(html, id, "marks", caption, |html| {
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
            for row in rows {
                html.element("tr", &[], |html| {
                    html.element("th", &[("scope", "row")], |html| {
                        html.link(&Link::line(row.number, row.function.line), &row.function.name);
                        html.text(" ").leaf("small", &[], &row.about);
                    });
                    let ran: BTreeSet<&str> = row.function.cells.iter().map(String::as_str).collect();
                    for kernel in &places.kernels {
                        cell(row, kernel, &ran, html);
                    }
                });
                html.line();
            }
        });
    });
}

fn cell(row: &Row<'_>, kernel: &Kernel<'_>, ran: &BTreeSet<&str>, html: &mut Html) {
    let (hit, all) = (kernel.cells.iter().filter(|cell| ran.contains(**cell)).count(), kernel.cells.len());
    let mut here =
        row.measured.iter().filter(|record| record.arch == kernel.arch && record.kernel == kernel.name).peekable();
    let is_refused = here.peek().is_some() && here.all(|record| record.verdict != LoadVerdict::Loaded);
    match hit {
        0 if row.function.count.is_none() || is_refused => html.leaf("td", &[("class", Reach::Unknown.class())], "–"),
        // A fallback that another kernel takes is nothing to worry about.
        0 if !ran.is_empty() => html.leaf("td", &[("class", "not_run")], "✗"),
        0 => html.leaf("td", &[("class", Reach::Never.class())], "✗"),
        hit if hit == all => html.leaf("td", &[("class", Reach::Everywhere.class())], "✓"),
        hit => html.element("td", &[("class", Reach::Somewhere.class())], |html| {
            html.text("✓ ").leaf("small", &[], &format!("{hit}/{all}"));
        }),
    };
}

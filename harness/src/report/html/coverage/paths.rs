//! Which lines ran on some kernels only, or never.

use super::data::{Coverage, CoveredFile, CoveredLine};
use super::places::Places;
use super::{Link, Reach};
use crate::report::html::parts::{self, table};
use crate::report::html::writer::Html;

pub(super) fn write(coverage: &Coverage, places: &Places<'_>, html: &mut Html) {
    let caption = "Lines that ran on some kernels only: fallbacks, and what not every kernel has";
    ranges(coverage, places, Reach::Somewhere, "coverage-some", caption, html);
    ranges(coverage, places, Reach::Never, "coverage-never", "Lines that never ran", html);
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

//! A file of the BPF side, line by line, with how often and on how many kernels each line ran.

use super::data::{CoveredFile, CoveredLine};
use super::places::Places;
use super::{Link, Reach, Tally};
use crate::report::html::parts::{self, table};
use crate::report::html::writer::Html;

/// Lines of a file that is not folded.
const MOST_OPEN: usize = 3000;

pub(super) fn write(number: usize, file: &CoveredFile, places: &Places<'_>, html: &mut Html) {
    let tally = Tally::of(file, places);
    let lines = file.source.as_deref().map_or(file.lines.len(), |source| source.lines().count());
    let id = format!("file{number}");
    let mut attributes = vec![("id", id.as_str()), ("class", "source")];
    if lines <= MOST_OPEN {
        attributes.push(("open", ""));
    }
    html.element("details", &attributes, |html| {
        let percent =
            tally.percent().map_or_else(|| "no data".into(), |percent| format!("{percent:.1} % of its lines ran"));
        html.leaf("summary", &[], &format!("{}: {percent}", file.path));
        if file.source.is_none() {
            html.leaf(
                "p",
                &[("class", "note")],
                "The project has no such file here: only the numbers of the lines are known.",
            );
        }
        let caption = format!("{}: how often and on how many kernels each line ran", file.path);
        table(html, &format!("{id}-lines"), "code", &caption, |html| {
            parts::heads(html, ["Line", "Count", "Kernels", "Source"]);
            html.element("tbody", &[], |html| match &file.source {
                Some(source) => with_source(number, file, source, places, html),
                None => file.lines.iter().for_each(|line| row(number, line.line, Some(line), "", places, html)),
            });
        });
    });
    html.line();
}

fn with_source(number: usize, file: &CoveredFile, source: &str, places: &Places<'_>, html: &mut Html) {
    let mut covered = file.lines.iter().peekable();
    for (line, text) in (1..).zip(source.lines()) {
        row(number, line, covered.next_if(|covered| covered.line <= line), text, places, html);
    }
    // The source is another than the one that was measured, when there are more.
    for line in covered {
        row(number, line.line, Some(line), "(beyond the end of the file)", places, html);
    }
}

fn row(file: usize, number: u32, line: Option<&CoveredLine>, text: &str, places: &Places<'_>, html: &mut Html) {
    let id = Link::line(file, number);
    let reach = line.map(|line| places.reach(line.count, &line.cells));
    html.element("tr", &[("id", id.target()), ("class", reach.map_or("", Reach::class))], |html| {
        html.leaf("th", &[("scope", "row")], &number.to_string());
        let count = line.map(|line| line.count.map_or_else(|| "–".into(), parts::grouped));
        html.leaf("td", &[], &count.unwrap_or_default());
        let kernels = line.map(|line| places.kernels_of(&line.cells));
        let reached = match (reach, kernels) {
            (Some(Reach::Everywhere), _) => "all".to_owned(),
            (Some(Reach::Somewhere), Some((hit, all))) => format!("{hit} of {all}"),
            (Some(Reach::Never), _) => "never".into(),
            (Some(Reach::Unknown), _) => "no data".into(),
            (Some(Reach::Somewhere), None) | (None, _) => String::new(),
        };
        html.leaf("td", &[], &reached);
        html.element("td", &[], |html| {
            html.leaf("code", &[], &text.replace('\t', "    "));
        });
    });
    html.line();
}

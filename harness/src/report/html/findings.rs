//! What did not pass: one entry per cause, with its cells, their attempts and phases, and the ends of their logs, folded.

use super::logs::{self, Excerpt, LogOf};
use super::parts::{self, table};
use super::writer::Html;
use super::{Context, Link, is_trouble};
use crate::report::finding::Finding;
use crate::report::markdown::reproduce;
use crate::report::text;
use crate::run::outcome::{Attempt, CellOutcome, Verdict};

/// Kernels that the list of a finding's cells names before it counts the rest: all that a matrix has, in practice.
const MOST_KERNELS: usize = 500;
/// Cells of a finding whose attempts are in its table.
const MOST_ROWS: usize = 50;

pub(super) fn write(context: &Context<'_>, html: &mut Html) {
    if context.findings.is_empty() {
        html.leaf("p", &[("class", "absent")], "Every cell passed at its first attempt.");
        return;
    }
    let trouble = context.findings.iter().filter(|finding| is_trouble(finding.verdict)).count();
    if trouble == 0 {
        html.leaf("p", &[("class", "absent")], "Nothing is wrong: all of this is expected.");
    }
    for (number, finding) in context.findings.iter().enumerate() {
        let id = format!("finding{number}");
        let heading = format!("{id}-title");
        let class = format!("finding {}", finding.verdict.name());
        // For the filter: a finding is about each of its cells.
        let cells = finding.cells.iter().filter_map(|cell| context.numbers.get(cell.id.as_str()));
        let cells = cells.map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let attributes = [
            ("id", &*id),
            ("class", &*class),
            ("aria-labelledby", &*heading),
            ("tabindex", "-1"),
            ("data-cells", &*cells),
        ];
        html.element("article", &attributes, |html| entry(context, number, finding, &heading, html));
        html.line();
    }
}

fn entry(context: &Context<'_>, number: usize, finding: &Finding<'_>, heading: &str, html: &mut Html) {
    html.element("h3", &[("id", heading)], |html| {
        html.leaf("small", &[], &format!("{}. ", number + 1));
        html.leaf("span", &[("class", "word")], &parts::word(finding.verdict));
        let subject = finding.subject();
        if !subject.is_empty() {
            html.text(" ").leaf("code", &[], &subject);
        }
        html.text(&format!(" in {}", text::count(finding.cells.len(), "cell")));
    });
    let details = finding.message.trim_end();
    if finding.line != details || finding.line.is_empty() {
        html.leaf("p", &[], &finding.line);
    }
    if !details.is_empty() {
        html.leaf("pre", &[("class", "message")], details);
    }
    html.element("p", &[("class", "where")], |html| {
        html.text(&context.names.list(&finding.places(), MOST_KERNELS).join(", ")).text(".");
        if finding.varies {
            html.text(" The numbers differ from cell to cell.");
        }
    });
    if finding.verdict == Verdict::NotRun && finding.cells.iter().all(|cell| cell.attempts.is_empty()) {
        return;
    }
    attempts(context, number, finding, html);
    for log in logs::shown(finding) {
        write_log(context, &log, html);
    }
    html.element("details", &[], |html| {
        html.leaf("summary", &[], "See it again");
        html.leaf("pre", &[], &reproduce(finding, context.page.run));
    });
}

/// Which attempts the cells took, and how each ended.
fn attempts(context: &Context<'_>, number: usize, finding: &Finding<'_>, html: &mut Html) {
    html.element("details", &[], |html| {
        html.leaf("summary", &[], "Attempts and phases");
        let heads = ["Cell", "Attempt", "Ended", "Phases, in s", "Logs"];
        let caption = format!("Attempts at each cell of finding {}", number + 1);
        table(html, &format!("attempts{number}"), "attempts", &caption, |html| {
            parts::heads(html, heads);
            html.element("tbody", &[], |html| {
                for cell in finding.cells.iter().take(MOST_ROWS) {
                    for (index, attempt) in cell.attempts.iter().enumerate() {
                        html.element("tr", &[], |html| attempt_row(context, finding, cell, index, attempt, html));
                    }
                }
            });
        });
        if finding.cells.len() > MOST_ROWS {
            let rest = text::count(finding.cells.len() - MOST_ROWS, "more cell");
            html.leaf("p", &[], &format!("And {rest}: run.json has them all."));
        }
    });
}

fn attempt_row(
    context: &Context<'_>,
    finding: &Finding<'_>,
    cell: &CellOutcome,
    index: usize,
    attempt: &Attempt,
    html: &mut Html,
) {
    html.leaf("th", &[("scope", "row")], &cell.id);
    html.leaf("td", &[], &format!("{} of {}", index + 1, cell.attempts.len()));
    let ended = match &attempt.loss {
        Some(loss) => format!("{} in {}", text::word(loss.verdict), loss.phase),
        None if attempt.is_interrupted() => "interrupted".into(),
        None => "all tests ran".into(),
    };
    html.leaf("td", &[], &ended);
    let phases = attempt.phases.iter().map(|phase| format!("{} {}", phase.name, parts::bare_seconds(phase.seconds)));
    html.leaf("td", &[], &phases.collect::<Vec<_>>().join(", "));
    html.element("td", &[], |html| {
        for log in logs::of_cell(cell, finding.test).iter().filter(|log| log.attempt == index + 1) {
            html.element("div", &[], |html| path(context, log.path, html));
        }
    });
}

/// The path of a log, which leads there from where the page lies.
fn path(context: &Context<'_>, path: &str, html: &mut Html) {
    match Link::file(path).filter(|_| context.page.lies_in_directory) {
        Some(link) => html.link(&link, path),
        None => html.leaf("code", &[], path),
    };
}

fn write_log(context: &Context<'_>, log: &LogOf<'_>, html: &mut Html) {
    let LogOf { cell, attempt, of, .. } = log;
    let attempt = if cell.attempts.len() > 1 { format!(", attempt {attempt}") } else { String::new() };
    html.element("details", &[("class", "log")], |html| {
        html.leaf("summary", &[], &format!("Log of {of} on {}{attempt}", cell.id));
        html.element("p", &[("class", "where")], |html| {
            path(context, log.path, html);
            let told = match context.page.logs.get(log.path) {
                Some(Excerpt::Tail { total_bytes, shown_bytes, .. }) if shown_bytes < total_bytes => {
                    format!("the last {} of {}", text::bytes(*shown_bytes), text::bytes(*total_bytes))
                }
                Some(Excerpt::Tail { total_bytes, .. }) => text::bytes(*total_bytes),
                Some(Excerpt::Missing(why)) => why.clone(),
                None => "it was not read".into(),
            };
            html.text(&format!(": {told}"));
        });
        if let Some(Excerpt::Tail { text, .. }) = context.page.logs.get(log.path) {
            let label = format!("The end of the log of {of} on {}", cell.id);
            html.leaf("pre", &[("tabindex", "0"), ("role", "group"), ("aria-label", &label)], text.trim_end());
        }
    });
}

//! `report.html`: a run as one page that needs nothing but itself. [`render`] makes it from a [`Page`].
//!
//! All of it is there without JavaScript; page.js adds the filter, sorting and keys. A content security policy names that
//! script by its hash and allows no other, nor any request.

mod by_test;
mod capabilities;
mod complexity;
mod coverage;
mod findings;
mod link;
mod logs;
mod matrix;
mod parts;
mod times;
mod writer;

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

pub use self::capabilities::Capability;
pub use self::complexity::{LoadVerdict, Measured};
pub use self::coverage::{Coverage, CoverageError};
pub use self::logs::{Excerpt, Logs, wanted as wanted_logs};

use self::link::Link;
use self::writer::Html;
use crate::report::cells::{self, Cells};
use crate::report::finding::{self, Finding, Tally};
use crate::report::text;
use crate::run::outcome::{CellOutcome, RunOutcome, Verdict};

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// What the page shows.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The run.
    pub run: &'a RunOutcome,
    /// The run's directory, as a person would type it.
    pub directory: &'a str,
    /// Whether the page will lie in that directory, so that a relative path leads from it to a log.
    pub lies_in_directory: bool,
    /// What was read of the logs that [`wanted_logs`] names.
    pub logs: &'a Logs,
    /// Which lines of the BPF programs ran where.
    pub coverage: &'a Part<Coverage>,
    /// What each program cost the verifier.
    pub complexity: &'a Part<Vec<Measured>>,
    /// What each kernel can do.
    pub capabilities: &'a Part<Vec<Capability>>,
}

/// A part of the page that not every run has.
#[derive(Clone, Debug)]
pub enum Part<T> {
    /// The run did not collect it.
    Absent,
    /// There is something, and this is why it cannot be shown.
    Unreadable(String),
    /// It is there.
    Read(T),
}

/// The page, with what several sections need to know of it.
struct Context<'a> {
    page: &'a Page<'a>,
    findings: &'a [Finding<'a>],
    /// Every cell of the run.
    names: Cells<'a>,
    /// The places of the cells in the run, by their ids.
    numbers: HashMap<&'a str, usize>,
    /// The gravest finding of each cell, by the cell's id.
    by_cell: HashMap<&'a str, usize>,
    /// The gravest finding of each test in a cell, by the cell's id and the test's executable and name.
    by_test: HashMap<(&'a str, &'a str, &'a str), usize>,
}

impl<'a> Context<'a> {
    fn of(page: &'a Page<'a>, findings: &'a [Finding<'a>]) -> Self {
        let (mut by_cell, mut by_test) = (HashMap::new(), HashMap::new());
        for (number, finding) in findings.iter().enumerate() {
            for cell in &finding.cells {
                by_cell.entry(cell.id.as_str()).or_insert(number);
                if let Some(test) = finding.test {
                    by_test.entry((cell.id.as_str(), test.binary.as_str(), test.name.as_str())).or_insert(number);
                }
            }
        }
        let names = Cells::of(page.run.cells.iter().map(cells::place));
        let numbers = page.run.cells.iter().enumerate().map(|(number, cell)| (cell.id.as_str(), number)).collect();
        Self { page, findings, names, numbers, by_cell, by_test }
    }

    /// What the page says of a cell that is no plain pass.
    fn finding_of(&self, cell: &CellOutcome) -> Option<Link> {
        self.by_cell.get(cell.id.as_str()).map(|number| Link::place("finding", *number))
    }
}

/// A section: its id, its heading, and what writes it.
type Section = (&'static str, &'static str, fn(&Context<'_>, &mut Html));

/// The sections in their order.
const SECTIONS: [Section; 7] = [
    ("matrix", "Matrix", matrix::write),
    ("findings", "What did not pass", findings::write),
    ("tests", "Tests by kernel", by_test::write),
    ("coverage", "Coverage by line and kernel", coverage::write),
    ("complexity", "Verifier complexity", complexity::write),
    ("capabilities", "What the kernels can do", capabilities::write),
    ("times", "Phases and times", times::write),
];

/// The page as HTML.
#[must_use]
pub fn render(page: &Page<'_>) -> String {
    let findings = finding::all(page.run);
    let context = Context::of(page, &findings);
    let mut html = Html::new();
    html.element("html", &[("lang", "en")], |html| {
        html.element("head", &[], |html| head(page.run, html)).line();
        html.element("body", &[], |html| {
            html.leaf("a", &[("class", "skip"), ("href", "#main")], "Skip to the results");
            html.element("header", &[], |html| header(&context, html)).line();
            html.element("main", &[("id", "main"), ("tabindex", "-1")], |html| {
                for (id, title, write) in SECTIONS {
                    let heading = format!("{id}-title");
                    html.element("section", &[("id", id), ("aria-labelledby", &heading)], |html| {
                        html.leaf("h2", &[("id", &heading)], title);
                        write(&context, html);
                    });
                    html.line();
                }
            });
            html.literal("script", SCRIPT);
        });
    });
    html.finish()
}

fn head(run: &RunOutcome, html: &mut Html) {
    let script = BASE64_STANDARD.encode(Sha256::digest(SCRIPT));
    // Styles of single elements carry the lengths of bars.
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    );
    html.void("meta", &[("charset", "utf-8")]);
    html.void("meta", &[("http-equiv", "Content-Security-Policy"), ("content", &policy)]);
    html.void("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
    html.void("meta", &[("name", "color-scheme"), ("content", "light dark")]);
    // Without one, a browser asks the server for it.
    html.void("link", &[("rel", "icon"), ("href", "data:,")]);
    html.leaf("title", &[], &format!("{}: ukci run {}", verdicts(run), run.id));
    html.literal("style", STYLE);
}

/// `96 cells: 95 pass, 1 fail`.
fn verdicts(run: &RunOutcome) -> String {
    let tally = Tally::of(run);
    let words: Vec<String> = tally.words().into_iter().map(|(_, words)| words).collect();
    format!("{}: {}", text::count(tally.cells, "cell"), words.join(", "))
}

fn header(context: &Context<'_>, html: &mut Html) {
    let run = context.page.run;
    let tally = Tally::of(run);
    html.element("h1", &[], |html| {
        html.leaf("span", &[], &text::count(tally.cells, "cell"));
        for (verdict, words) in tally.words() {
            let class = if words.starts_with("0 ") { "none" } else { verdict.name() };
            html.text(" ").leaf("span", &[("class", &format!("tally {class}"))], &words);
        }
    });
    let cores = text::count(run.host.cores, "core");
    let machine = format!("QEMU {} ({}) on {cores}", run.host.qemu, run.host.accel);
    let took = finding::wall_time(run);
    let facts = [tally.tests(), took, machine, format!("begun {:.0}", run.started)];
    html.leaf("p", &[("class", "facts")], &facts.join(" · "));
    html.element("p", &[("class", "facts")], |html| {
        html.text("Run ").leaf("code", &[], &run.id).text(" in ").leaf("code", &[], context.page.directory);
    });
    for note in notes(run) {
        html.leaf("p", &[("class", "note")], &note);
    }
    html.element("nav", &[("aria-label", "Sections")], |html| {
        html.element("ul", &[], |html| {
            for (id, title, _) in SECTIONS {
                html.element("li", &[], |html| {
                    html.link(&Link::section(id), title);
                });
            }
        });
    });
    // page.js shows it: without JavaScript it would do nothing.
    html.element("form", &[("id", "filter"), ("role", "search"), ("hidden", "")], |html| {
        html.leaf("label", &[("for", "words")], "Filter");
        html.void(
            "input",
            &[
                ("id", "words"),
                ("type", "search"),
                ("autocomplete", "off"),
                ("spellcheck", "false"),
                ("placeholder", "x86_64 6.12 fail"),
                ("aria-describedby", "keys"),
            ],
        );
        html.leaf("output", &[("id", "found"), ("for", "words")], "");
        html.element("label", &[("class", "keys")], |html| {
            html.void("input", &[("id", "single-keys"), ("type", "checkbox"), ("checked", "")]).text(" single keys");
        });
        html.element("p", &[("id", "keys")], |html| {
            html.text("All words must stand in a cell, row or finding. ");
            html.leaf("kbd", &[], "/").text(" goes to the filter, ");
            html.leaf("kbd", &[], "Esc").text(" clears it, ");
            html.leaf("kbd", &[], "n")
                .text(" and ")
                .leaf("kbd", &[], "p")
                .text(" go to the next and the previous finding.");
        });
    });
}

/// What a reader must know before any table.
fn notes(run: &RunOutcome) -> Vec<String> {
    let mut notes = Vec::new();
    if run.finished.is_none() {
        notes.push("The run is unfinished: it is going on, or it was killed.".to_owned());
    }
    if let Some(shard) = run.shard {
        notes.push(format!("This is shard {shard} of the plan."));
    }
    if !run.resumed.is_empty() {
        notes.push(format!("The run was resumed {}.", text::count(run.resumed.len(), "time")));
    }
    if !run.hosts.is_empty() {
        notes.push("The run was merged from the runs of several machines.".to_owned());
    }
    if !run.test_globs.is_empty() {
        notes.push(format!("Only tests that match {} ran.", run.test_globs.join(", ")));
    }
    notes
}

/// Whether a finding needs a person.
fn is_trouble(verdict: Verdict) -> bool {
    !verdict.is_expected() || verdict == Verdict::Flaky
}

#[cfg(test)]
mod tests;

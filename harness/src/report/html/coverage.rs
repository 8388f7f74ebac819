//! Which lines of the BPF programs ran on which kernels: what `coverage/lines.json` says, beside the source where it is there.
//!
//! A line that ran on some of the measured kernels only is a path for those: a fallback, or what only a newer kernel has.

mod data;
mod functions;
mod paths;
mod places;
mod source;

pub use self::data::{Coverage, CoverageError};

use self::data::CoveredFile;
use self::places::Places;
use super::parts::{self, table};
use super::writer::Html;
use super::{Context, Link, Part};
use crate::report::text;

pub(super) fn write(context: &Context<'_>, html: &mut Html) {
    let absent = "The run collected no coverage. `ukci run --coverage` does.";
    let Some(coverage) = parts::part(html, context.page.coverage, absent) else { return };
    let places = Places::of(coverage, context.page.run);
    if places.unknown > 0 {
        let unknown = text::count(places.unknown, "cell");
        let note = format!("The coverage names {unknown} that this run does not have; they are left out.");
        html.leaf("p", &[("class", "note")], &note);
    }
    summary(coverage, &places, html);
    let measured = match context.page.complexity {
        Part::Read(measured) => measured.as_slice(),
        Part::Absent | Part::Unreadable(_) => &[],
    };
    functions::write(coverage, measured, &places, html);
    paths::write(coverage, &places, html);
    no_data(coverage, html);
    for (number, file) in coverage.files.iter().enumerate() {
        source::write(number, file, &places, html);
    }
}

/// How much of each file ran at all, everywhere, on some kernels only, never.
fn summary(coverage: &Coverage, places: &Places<'_>, html: &mut Html) {
    let caption = format!("Lines of each file, over {} with coverage", text::count(places.measured.len(), "cell"));
    table(html, "coverage-files", "numbers", &caption, |html| {
        parts::heads(
            html,
            ["File", "Lines", "Ran", "Ran, in %", "Everywhere", "On some kernels only", "Never", "No data"],
        );
        html.element("tbody", &[], |html| {
            for (number, file) in coverage.files.iter().enumerate() {
                html.element("tr", &[], |html| {
                    html.element("th", &[("scope", "row")], |html| {
                        html.link(&Link::place("file", number), &file.path);
                    });
                    for number in Tally::of(file, places).numbers() {
                        html.leaf("td", &[], &number);
                    }
                });
            }
        });
    });
}

/// How many lines of a file are what.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    everywhere: usize,
    somewhere: usize,
    never: usize,
    unknown: usize,
}

impl Tally {
    fn of(file: &CoveredFile, places: &Places<'_>) -> Self {
        let mut tally = Self::default();
        for line in &file.lines {
            let number = match places.reach(line.count, &line.cells) {
                Reach::Everywhere => &mut tally.everywhere,
                Reach::Somewhere => &mut tally.somewhere,
                Reach::Never => &mut tally.never,
                Reach::Unknown => &mut tally.unknown,
            };
            *number += 1;
        }
        tally
    }

    fn ran(&self) -> usize {
        self.everywhere + self.somewhere
    }

    /// The share of the lines that ran, of those of which it is known.
    fn percent(&self) -> Option<f64> {
        let known = self.ran() + self.never;
        #[expect(clippy::cast_precision_loss, reason = "a count of lines")]
        (known > 0).then(|| self.ran() as f64 * 100.0 / known as f64)
    }

    fn numbers(&self) -> [String; 7] {
        let known = self.ran() + self.never;
        let percent = self.percent().map_or_else(|| "–".into(), |percent| format!("{percent:.1}"));
        let [everywhere, somewhere, never, unknown] =
            [self.everywhere, self.somewhere, self.never, self.unknown].map(|number| number.to_string());
        [(known + self.unknown).to_string(), self.ran().to_string(), percent, everywhere, somewhere, never, unknown]
    }
}

/// Where a line or a function ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// In every cell that has coverage.
    Everywhere,
    /// In some of them.
    Somewhere,
    /// In none.
    Never,
    /// Nobody counted.
    Unknown,
}

impl Reach {
    fn class(self) -> &'static str {
        match self {
            Self::Everywhere => "all",
            Self::Somewhere => "some",
            Self::Never => "never",
            Self::Unknown => "unknown",
        }
    }
}

/// The tests that left no counters, with the verifier's reason.
fn no_data(coverage: &Coverage, html: &mut Html) {
    if coverage.no_data.is_empty() {
        return;
    }
    html.element("details", &[], |html| {
        let count = text::count(coverage.no_data.len(), "object");
        html.leaf("summary", &[], &format!("No data: {count} left no counters"));
        table(html, "coverage-none", "plain", "Objects without coverage data, and why", |html| {
            parts::heads(html, ["Cell", "Test", "Object", "Mode", "Reason"]);
            html.element("tbody", &[], |html| {
                for none in &coverage.no_data {
                    html.element("tr", &[], |html| {
                        html.leaf("th", &[("scope", "row")], &none.cell);
                        for text in [&none.test, &none.object, &none.mode, &none.reason] {
                            html.leaf("td", &[], text.as_deref().unwrap_or("–"));
                        }
                    });
                }
            });
        });
    });
}

#[cfg(test)]
mod tests;

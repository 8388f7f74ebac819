//! A finished run for a terminal: tables, what went wrong and where, one line that sums it up. [`render`] makes it.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use crate::report::cells::{self, Cells};
use crate::report::finding::{self, Finding, Tally};
use crate::report::grid::{self, Entry, Grid, Row};
use crate::report::note::{self, Note};
use crate::report::text::{self, Style, WIDTH};
use crate::run::outcome::{RunOutcome, Verdict};

/// Columns between two columns of a table.
const GAP: usize = 2;
/// Columns of a label that is cut: enough for a kernel's name and the numbers of its release.
const LEAST_LABEL: usize = 20;
/// Columns that the text of a finding is moved in by: as wide as the longest word of a verdict, and a gap.
pub(super) const INDENT: usize = 9;
/// Lines, about, of the sentence that tells why cells were lost.
const MOST_LINES: usize = 3;
/// Kernels that a finding names before it counts the rest.
pub(super) const MOST_KERNELS: usize = 24;

/// Writes what a person needs to know of the run, at most 100 columns wide. `directory` is the run's.
///
/// # Errors
///
/// Fails when the writer does.
pub fn render(run: &RunOutcome, directory: &Path, style: Style, mut writer: impl Write) -> io::Result<()> {
    let mut out = String::new();
    let grids = grid::all(run);
    for grid in &grids {
        render_grid(grid, style, &mut out);
    }
    let legend = grid::legend(&grids);
    if !legend.is_empty() {
        out += &format!("{legend}\n\n");
    }
    let findings = finding::all(run);
    let names = Cells::of(run.cells.iter().map(cells::place));
    for finding in &findings {
        render_finding(finding, &names, directory, style, &mut out);
    }
    let notes = note::all(run);
    notes.iter().for_each(|note| render_note(note, &names, &mut out));
    if !findings.is_empty() || !notes.is_empty() {
        out.push('\n');
    }
    summary(run, directory, style, &mut out);
    writer.write_all(out.as_bytes())
}

/// Appends the table, in as many blocks as its columns need.
pub(super) fn render_grid(grid: &Grid, style: Style, out: &mut String) {
    let widths: Vec<Column> = (0..grid.columns.len()).map(|index| Column::of(grid, index)).collect();
    let widest = widths.iter().map(|column| column.width() + GAP).max().unwrap_or(0);
    let labels = grid.rows.iter().map(|row| text::width(&row.label) + GAP).chain([text::width(&grid.title)]);
    let label = labels.max().unwrap_or(0).min((WIDTH - widest).min(WIDTH / 2));
    let columns: usize = widths.iter().map(|column| column.width() + GAP).sum();
    let left = WIDTH.saturating_sub(columns);
    let label = if grid.cut_labels && left >= LEAST_LABEL { label.min(left) } else { label };
    let mut from = 0;
    while from < widths.len() {
        let mut used = label;
        let fits = |column: &&Column| {
            used += GAP + column.width();
            used <= WIDTH
        };
        let to = from + widths[from..].iter().take_while(fits).count().max(1);
        let heads = (from..to).map(|index| widths[index].head(&grid.columns[index]));
        line(&style.bold(&text::pad(&text::fit_middle(&grid.title, label), label)), heads, out);
        for row in &grid.rows {
            let Row { label: name, entries } = row;
            let fit = if grid.cut_labels { text::fit } else { text::fit_middle };
            let name = format!("  {}", fit(name, label - 2));
            let entries = (from..to).map(|index| widths[index].entry(entries[index].as_ref(), style));
            line(&text::pad(&name, label), entries, out);
        }
        out.push('\n');
        from = to;
    }
}

/// Appends a line of a table without spaces at its end.
fn line(label: &str, entries: impl Iterator<Item = String>, out: &mut String) {
    let entries: String = entries.map(|entry| format!("{:GAP$}{entry}", "")).collect();
    out.push_str(format!("{label}{entries}").trim_end());
    out.push('\n');
}

/// The widths of a table's column: of its head, of its texts, of its times.
struct Column {
    head: usize,
    text: usize,
    time: usize,
}

impl Column {
    fn of(grid: &Grid, index: usize) -> Self {
        let entries = || grid.rows.iter().filter_map(|row| row.entries[index].as_ref());
        Self {
            head: text::width(&grid.columns[index]),
            text: entries().map(|entry| text::width(&entry.text)).max().unwrap_or(0),
            time: entries().map(|entry| text::width(&entry.time)).max().unwrap_or(0),
        }
    }

    fn width(&self) -> usize {
        self.head.max(self.text + if self.time > 0 { GAP + self.time } else { 0 })
    }

    fn head(&self, head: &str) -> String {
        text::pad(head, self.width())
    }

    /// Texts stand left and times right; a mark stands alone in the middle of its column.
    fn entry(&self, entry: Option<&Entry>, style: Style) -> String {
        let Some(Entry { verdict, text, time }) = entry else { return " ".repeat(self.width()) };
        let painted = style.paint(*verdict, text);
        if self.time == 0 && self.text == 1 {
            let left = (self.width() - 1) / 2;
            return format!("{:left$}{painted}{:2$}", "", "", self.width() - left - 1);
        }
        let between =
            self.text - text::width(text) + if self.time > 0 { GAP + self.time - text::width(time) } else { 0 };
        let used = text::width(text) + between + text::width(time);
        format!("{painted}{:between$}{time}{:2$}", "", "", self.width() - used)
    }
}

/// Appends one finding: its verdict and subject, its line, the cells, a log.
fn render_finding(finding: &Finding<'_>, names: &Cells<'_>, directory: &Path, style: Style, out: &mut String) {
    let room = WIDTH - INDENT;
    let subject = text::fit_middle(&finding.subject(), room);
    let word = style.paint(finding.verdict, &text::pad(text::word(finding.verdict), INDENT));
    let cells = text::wrap_list(&names.list(&finding.places(), MOST_KERNELS), room);
    let mut lines = vec![];
    if subject.is_empty() {
        lines.push(text::fit(&finding.line, room));
    } else if text::width(&subject) + 2 + text::width(&finding.line) <= room {
        lines.push(if finding.line.is_empty() { subject } else { format!("{subject}: {}", finding.line) });
    } else {
        lines.push(subject);
        match finding.test {
            Some(_) => lines.push(text::fit(&finding.line, room)),
            None => lines.extend(text::wrap(&text::fit(&finding.line, MOST_LINES * room), room)),
        }
    }
    // A lost cell has no other place that tells the way out.
    lines.extend(finding.hint().iter().flat_map(|hint| text::wrap(hint, room)));
    lines.extend(cells);
    if finding.varies {
        lines.push("(the numbers differ from cell to cell)".into());
    }
    if let Some(log) = finding.log.as_ref().filter(|_| !finding.verdict.is_expected()) {
        lines.push(log_path(directory, log, room));
    }
    for (index, line) in lines.iter().enumerate() {
        let start = if index == 0 { &word } else { &" ".repeat(INDENT) };
        _ = writeln!(out, "{start}{line}");
    }
}

/// Appends a note: its line and the cells.
fn render_note(note: &Note<'_>, names: &Cells<'_>, out: &mut String) {
    let room = WIDTH - INDENT;
    let mut lines = text::wrap(&text::fit(&note.line, MOST_LINES * room), room);
    lines.extend(text::wrap_list(&names.list(&note.places, MOST_KERNELS), room));
    for (index, line) in lines.iter().enumerate() {
        _ = writeln!(out, "{:INDENT$}{line}", if index == 0 { "note" } else { "" });
    }
}

/// The path of a log, from here if that fits, else from the run's directory, which the last line names.
fn log_path(directory: &Path, log: &str, room: usize) -> String {
    let whole = text::one_line(&directory.join(log).to_string_lossy());
    if text::width(&whole) <= room { whole } else { text::fit_middle(&format!("…/{log}"), room) }
}

/// Appends the line that sums the run up.
fn summary(run: &RunOutcome, directory: &Path, style: Style, out: &mut String) {
    let tally = Tally::of(run);
    let head = format!("{}: ", text::count(tally.cells, "cell"));
    let tail = format!(" · {} · {}", tally.tests(), finding::wall_time(run));
    let directory = format!("{}/", text::one_line(&directory.to_string_lossy()).trim_end_matches('/'));
    let plain: Vec<String> = tally.words().into_iter().map(|(_, words)| words).collect();
    let used = text::width(&head) + text::width(&plain.join(", ")) + text::width(&tail);
    let painted: Vec<String> =
        tally.words().iter().map(|(verdict, words)| paint_count(style, *verdict, words)).collect();
    // A path is for copying: it gets a line of its own rather than a cut.
    let separator = if used + 3 + text::width(&directory) <= WIDTH { " · " } else { "\n" };
    _ = writeln!(out, "{head}{}{tail}{separator}{directory}", painted.join(", "));
}

/// A count of nothing has no colour.
fn paint_count(style: Style, verdict: Verdict, words: &str) -> String {
    if words.starts_with("0 ") { words.to_owned() } else { style.paint(verdict, words) }
}

//! `summary.md`: a run in GitHub's Markdown, for the page of a CI job. [`render`] makes it.

use std::fmt::Write as _;

use crate::report::cells::{self, Cells};
use crate::report::finding::{self, Finding, Tally};
use crate::report::grid::{self, Grid};
use crate::report::{note, text};
use crate::run::outcome::{CellOutcome, RunOutcome, Verdict};

/// Findings that are shown before the rest is counted: GitHub refuses a summary of more than 1 MiB.
const MOST_FINDINGS: usize = 60;
/// Kernels that a finding names before it counts the rest.
const MOST_KERNELS: usize = 40;
/// Characters of a message that are shown.
const MOST_MESSAGE: usize = 4000;

/// The run in Markdown.
#[must_use]
pub fn render(run: &RunOutcome) -> String {
    let mut out = String::new();
    let tally = Tally::of(run);
    let words: Vec<String> = tally.words().into_iter().map(|(_, words)| words).collect();
    let icon = match (run.exit_code(), run.finished) {
        (0 | 130, None) => "⏳",
        (0, Some(_)) => "✅",
        _ => "❌",
    };
    _ = writeln!(out, "## {icon} {}: {}\n", text::count(tally.cells, "cell"), words.join(", "));
    _ = writeln!(
        out,
        "{} · {} · QEMU {} ({}) on {} · run `{}`\n",
        tally.tests(),
        finding::wall_time(run),
        escape(&run.host.qemu),
        escape(&run.host.accel),
        text::count(run.host.cores, "core"),
        run.id.replace('`', "")
    );
    let grids = grid::all(run);
    grids.iter().for_each(|grid| render_grid(grid, &mut out));
    let legend = grid::legend(&grids);
    if !legend.is_empty() {
        _ = writeln!(out, "{}\n", escape(&legend));
    }
    let findings = finding::all(run);
    let names = Cells::of(run.cells.iter().map(cells::place));
    for finding in findings.iter().take(MOST_FINDINGS) {
        render_finding(finding, run, &names, &mut out);
    }
    if findings.len() > MOST_FINDINGS {
        _ = writeln!(out, "And {} more: `run.json` has them all.", findings.len() - MOST_FINDINGS);
    }
    for note in note::all(run).iter().take(MOST_FINDINGS) {
        let cells = escape(&names.list(&note.places, MOST_KERNELS).join(", "));
        _ = writeln!(out, "- Note: {} In {cells}.", escape(&text::fit(&note.line, 200)));
    }
    format!("{}\n", out.trim_end())
}

/// Appends the table.
pub(super) fn render_grid(grid: &Grid, out: &mut String) {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let head = [format!("**{}**", escape(&grid.title))].into_iter();
    *out += &row(head.chain(grid.columns.iter().map(|column| escape(column))).collect());
    *out += &row([":--".to_owned()].into_iter().chain(grid.columns.iter().map(|_| ":-:".to_owned())).collect());
    for line in &grid.rows {
        let label = escape(&line.label.split_whitespace().collect::<Vec<_>>().join(" "));
        let entries = line.entries.iter().map(|entry| {
            entry.as_ref().map_or_else(String::new, |entry| {
                let text = escape(&entry.text);
                let text = if entry.verdict.is_expected() { text } else { format!("**{text}**") };
                format!("{text} {}", entry.time).trim_end().to_owned()
            })
        });
        *out += &row([label].into_iter().chain(entries).collect());
    }
    out.push('\n');
}

/// Appends one finding, folded: a line that says what and where, then the message and how to see it again.
fn render_finding(finding: &Finding<'_>, run: &RunOutcome, names: &Cells<'_>, out: &mut String) {
    let subject = match finding.subject() {
        subject if subject.is_empty() => String::new(),
        subject => format!(" <code>{}</code>", escape_html(&subject)),
    };
    let line = text::fit(&finding.line, 200);
    let count = text::count(finding.cells.len(), "cell");
    let word = text::word(finding.verdict);
    _ = writeln!(out, "<details><summary><b>{word}</b>{subject} ({count}): {}</summary>\n", escape_html(&line));
    if finding.message != line {
        fenced(&cut(&finding.message), "text", out);
    }
    let varies = if finding.varies { " The numbers differ from cell to cell." } else { "" };
    _ = writeln!(out, "In {}.{varies}", escape(&names.list(&finding.places(), MOST_KERNELS).join(", ")));
    if let Some(log) = &finding.log {
        _ = writeln!(out, "Log: `{}`.", log.replace('`', ""));
    }
    out.push('\n');
    if !matches!(finding.verdict, Verdict::NotRun) {
        fenced(&reproduce(finding, run), "sh", out);
    }
    *out += "</details>\n\n";
}

/// The command that runs the first of the cells again, with that test alone.
pub(crate) fn reproduce(finding: &Finding<'_>, run: &RunOutcome) -> String {
    let several =
        |same: fn(&CellOutcome, &CellOutcome) -> bool| run.cells.iter().any(|cell| !same(cell, &run.cells[0]));
    let Some(cell) = finding.cells.first() else { return String::new() };
    let mut command = String::from("cargo ukci run");
    if several(|one, other| one.arch == other.arch) {
        _ = write!(command, " --arch {}", cell.arch);
    }
    _ = write!(command, " --kernel {}", shell_quote(&cell.kernel.name));
    if several(|one, other| one.llvm == other.llvm) {
        _ = write!(command, " --llvm {}", cell.llvm);
    }
    if let Some(test) = finding.test {
        _ = write!(command, " --test {}", shell_quote(&test.name));
    }
    command
}

/// The word as a shell reads it.
fn shell_quote(word: &str) -> String {
    let word = text::one_line(word);
    let plain = |char: char| char.is_ascii_alphanumeric() || "_-+.:/,@%=".contains(char);
    if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// The beginning and the end of a message that is too long.
fn cut(message: &str) -> String {
    let message = message.trim_end();
    let length = message.chars().count();
    if length <= MOST_MESSAGE {
        return message.to_owned();
    }
    let half = MOST_MESSAGE / 2;
    let start: String = message.chars().take(half).collect();
    let end: String = message.chars().skip(length - half).collect();
    format!("{start}\n… {} characters …\n{end}", length - 2 * half)
}

/// Appends a block of code whose fence is longer than any in the text.
fn fenced(content: &str, language: &str, out: &mut String) {
    let longest = content.split(|char| char != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    _ = writeln!(out, "{fence}{language}\n{content}\n{fence}\n");
}

/// The text as Markdown that shows it as it is, also within a table.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut in_word = false;
    while let Some(char) = chars.next() {
        let joins = in_word && chars.peek().is_some_and(|next| next.is_alphanumeric());
        in_word = char.is_alphanumeric();
        match char {
            // Within a word it emphasises nothing, and the file is read as it is too.
            '_' if joins => escaped.push('_'),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '@' => escaped.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '|' | '[' | ']' | '~' | '#' | '$' => escaped.extend(['\\', char]),
            char => escaped.push(char),
        }
    }
    escaped
}

/// The text within an HTML element.
fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('@', "&#64;")
}

//! The summary for a terminal, at most 100 columns wide: [`render`].

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::summary::{FileSummary, Portion, Summary};
use crate::report::text::{self, Style, WIDTH};

/// Columns of a file's or function's name.
const NAME: usize = 60;
/// Groups of lines of one file that are told apart; `lines.json` has all.
const MOST_GROUPS: usize = 12;
/// Objects without data that are listed.
const MOST_MISSING: usize = 8;

/// The summary as text.
#[must_use]
pub fn render(summary: &Summary, style: Style) -> String {
    let mut out = String::new();
    let head = format!("{}{:>16}{:>9}{:>8}", text::pad("file, function", NAME), "lines covered", "%", "cells");
    line(&mut out, &style.bold(&head));
    for file in &summary.files {
        row(&mut out, &file.path, file.share, None);
        for function in &file.functions {
            row(&mut out, &format!("  {}", function.name), function.share, Some(function.cells));
        }
    }
    row(&mut out, "all", summary.all, None);
    for file in &summary.files {
        groups(&mut out, file, style);
    }
    missing(&mut out, summary, style);
    if !summary.shortfalls.is_empty() {
        line(&mut out, &format!("\n{}", style.bold("below the floors of the policy")));
        for shortfall in &summary.shortfalls {
            wrapped(&mut out, "  ", &shortfall.to_string());
        }
    }
    out
}

fn row(out: &mut String, name: &str, share: Portion, cells: Option<usize>) {
    let name = text::pad(&text::fit_middle(name, NAME - 1), NAME);
    let cells = cells.map_or(String::new(), |cells| cells.to_string());
    let covered = format!("{} / {}", share.covered, share.total);
    line(out, format!("{name}{covered:>16}{:>9.1}{cells:>8}", share.percent).trim_end());
}

/// Which lines ran nowhere, and which only somewhere.
fn groups(out: &mut String, file: &FileSummary, style: Style) {
    if file.never.is_empty() && file.only.is_empty() && file.excluded == 0 {
        return;
    }
    line(out, &format!("\n{}", style.bold(&text::fit_middle(&file.path, WIDTH))));
    if !file.never.is_empty() {
        wrapped(out, "  never ran: ", &ranges(&file.never));
    }
    if file.excluded > 0 {
        line(out, &format!("  {} excluded by the policy", text::count(file.excluded, "line")));
    }
    let mut only: Vec<_> = file.only.iter().collect();
    only.sort_by_key(|only| std::cmp::Reverse(only.lines.len()));
    for only in only.iter().take(MOST_GROUPS) {
        wrapped(out, &format!("  only on {}: ", places(&only.cells)), &ranges(&only.lines));
    }
    if let Some(more) = only.len().checked_sub(MOST_GROUPS).filter(|more| *more > 0) {
        line(out, &format!("  {} more in lines.json", text::count(more, "group")));
    }
}

/// What is not known, with each reason once.
fn missing(out: &mut String, summary: &Summary, style: Style) {
    if summary.no_data.is_empty() {
        return;
    }
    line(out, &format!("\n{}", style.bold("no line counts")));
    let mut reasons: Vec<(&str, &str, BTreeSet<String>, usize)> = Vec::new();
    for missing in &summary.no_data {
        match reasons.iter_mut().find(|(object, reason, ..)| (*object, *reason) == (&missing.object, &missing.reason)) {
            Some((.., cells, count)) => {
                cells.insert(missing.cell.clone());
                *count += 1;
            }
            None => reasons.push((&missing.object, &missing.reason, BTreeSet::from([missing.cell.clone()]), 1)),
        }
    }
    for (object, reason, cells, count) in reasons.iter().take(MOST_MISSING) {
        let reason = text::one_line(reason);
        let what =
            format!("{} of `{}` on {}: {reason}", text::count(*count, "load"), text::clean(object), places(cells));
        wrapped(out, "  ", &what);
    }
    if let Some(more) = reasons.len().checked_sub(MOST_MISSING).filter(|more| *more > 0) {
        line(out, &format!("  {} more in lines.json", text::count(more, "reason")));
    }
}

/// The cells in few words: kernels, architectures, LLVM releases, each where they are not too many.
fn places(cells: &BTreeSet<String>) -> String {
    let part =
        |index: usize| -> BTreeSet<&str> { cells.iter().filter_map(|cell| cell.split('/').nth(index)).collect() };
    let mut kernels: Vec<&str> = part(1).into_iter().collect();
    kernels.sort_by_key(|kernel| version(kernel));
    let arches: Vec<&str> = part(0).into_iter().collect();
    format!("{} ({}; {})", kernels.join(", "), arches.join(", "), text::count(cells.len(), "cell"))
}

/// Orders `5.10` before `6.1`, and what is no version last.
fn version(kernel: &str) -> (u32, u32, String) {
    let mut numbers = kernel.split(['.', '-']).map(|number| number.parse().unwrap_or(u32::MAX));
    (numbers.next().unwrap_or(u32::MAX), numbers.next().unwrap_or(0), kernel.to_owned())
}

/// `3, 7-9, 12`; lines of the list that follow one another are a range.
fn ranges(lines: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &line in lines {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == line => *last = line,
            _ => ranges.push((line, line)),
        }
    }
    let text = |&(first, last): &(u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ranges.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn wrapped(out: &mut String, lead: &str, what: &str) {
    let indent = lead.len() - lead.trim_start().len();
    for (index, part) in text::wrap(&format!("{}{what}", lead.trim_start()), WIDTH - indent - 2).iter().enumerate() {
        let indent = if index == 0 { indent } else { indent + 2 };
        line(out, &format!("{:indent$}{part}", ""));
    }
}

fn line(out: &mut String, text: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::lines::NoData;
    use crate::coverage::policy::Shortfall;
    use crate::coverage::summary::{FunctionSummary, Only};

    fn cells(cells: &[&str]) -> BTreeSet<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    fn summary() -> Summary {
        let half = Portion { covered: 3, total: 6, percent: 50.0 };
        let refused = |kernel: &str| {
            NoData {
            cell: format!("x86_64/{kernel}/llvm22"),
            test: "traces-argv".into(),
            object: "tracer".into(),
            reason: "counters: prog 'x': BPF program load failed: -EACCES: combined stack size of 8 calls is 544. Too large\nsingle_byte: the same".into(),
            mode: "run_counts".into(),
        }
        };
        Summary {
            schema: 1,
            cells: 4,
            all: half,
            files: vec![FileSummary {
                path: "tracer/src/bpf/tracer.bpf.c".into(),
                share: half,
                excluded: 1,
                functions: vec![FunctionSummary { name: "tracer_exec".into(), share: half, cells: 3 }],
                never: vec![7, 8, 9, 12],
                only: vec![Only {
                    lines: vec![3, 4],
                    cells: cells(&["x86_64/6.1/llvm22", "x86_64/5.10/llvm22", "aarch64/5.10/llvm22"]),
                }],
            }],
            shortfalls: vec![Shortfall { of: "`tracer_exec` of `a`".into(), floor_percent: 90.0, percent: Some(50.0) }],
            no_data: vec![refused("6.1"), refused("5.10")],
        }
    }

    /// Check the whole text.
    #[test]
    fn text() {
        insta::assert_snapshot!(render(&summary(), Style::default()));
    }

    /// Check that no line is wider than a report may be, whatever a guest put into a name or a reason.
    #[test]
    fn width() {
        let mut summary = summary();
        summary.files[0].path = "very/".repeat(60);
        summary.files[0].never = (0..400).map(|line| line * 2).collect();
        summary.no_data[0].reason = format!("\x1b[31m{}", "word".repeat(70));
        let rendered = render(&summary, Style::default());
        assert!(!rendered.contains('\x1b'));
        for line in rendered.lines() {
            assert!(text::width(line) <= WIDTH, "{line}");
        }
    }
}

//! A table for a terminal: programs × kernels × LLVM, the worst, what is left to the limits. [`render`] makes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bpf_complexity::{Record, Verdict};

use super::budget::{Breach, Quantity, Verification};
use super::diff::{Change, Diff};
use super::table::{ArchTable, Entry, Program, Table};
use crate::report::cells::{Cells, Place};
use crate::report::text::{self, Style, WIDTH};
use crate::run::outcome;

/// Columns that the names of LLVM releases take, at most.
const RELEASES: usize = 22;
/// Columns of a number, with the gap before it.
const NUMBER: usize = 7;
/// How many of the most expensive programs are listed.
const WORST: usize = 5;
/// Columns that findings are moved in by.
const INDENT: usize = 10;
/// Kernels that a finding names before it counts the rest.
const MOST_KERNELS: usize = 24;

/// What a person needs to know of the table, at most 100 columns wide.
#[must_use]
pub fn render(table: &Table, style: Style) -> String {
    let mut out = String::new();
    let labels = table.labels();
    for arch in &table.arches {
        for kernels in arch.kernels.chunks((WIDTH - RELEASES) / NUMBER) {
            render_arch(arch, kernels, &|program| text::one_line(&labels[&program.id]), style, &mut out);
        }
    }
    render_worst(table, style, &mut out);
    render_refused(table, style, &mut out);
    out + &summary(table)
}

/// Appends the programs of one architecture on some of its kernels.
fn render_arch(
    arch: &ArchTable,
    kernels: &[String],
    label: &dyn Fn(&Program) -> String,
    style: Style,
    out: &mut String,
) {
    let head: String =
        kernels.iter().map(|kernel| column(&text::fit_middle(&text::one_line(kernel), NUMBER - 1))).collect();
    let title = text::pad(&text::fit(&format!("{}, instructions", arch.arch), RELEASES), RELEASES);
    // OK here and below because writing to memory does not fail.
    _ = writeln!(out, "{}", style.bold(&format!("{title}{head}")));
    for program in &arch.programs {
        _ = writeln!(out, "{}", text::fit_middle(&label(program), WIDTH));
        for (releases, records) in by_release(arch, program, kernels) {
            // An object that does not say who compiled it stands under 0.
            let name = |llvm: &u32| if *llvm == 0 { "?".to_owned() } else { llvm.to_string() };
            let releases = releases.iter().map(name).collect::<Vec<_>>().join(" ");
            let label = text::pad(&text::fit(&format!("  LLVM {releases}"), RELEASES), RELEASES);
            let entries: String = records.iter().map(|record| entry(*record, style)).collect();
            _ = writeln!(out, "{}", format!("{label}{entries}").trim_end());
        }
    }
    out.push('\n');
}

/// The records of a program on each kernel; LLVM releases that amount to the same share a line.
fn by_release<'a>(
    arch: &ArchTable,
    program: &'a Program,
    kernels: &[String],
) -> Vec<(Vec<u32>, Vec<Option<&'a Record>>)> {
    let shown = |records: &[Option<&Record>]| records.iter().map(|record| word(*record)).collect::<Vec<_>>();
    let mut lines: Vec<(Vec<u32>, Vec<Option<&Record>>)> = Vec::new();
    for &llvm in &arch.llvm {
        let records: Vec<_> = kernels.iter().map(|kernel| program.record(kernel, llvm)).collect();
        if records.iter().all(Option::is_none) {
            continue;
        }
        match lines.iter_mut().find(|(_, other)| shown(other) == shown(&records)) {
            Some((releases, _)) => releases.push(llvm),
            None => lines.push((vec![llvm], records)),
        }
    }
    lines
}

fn column(text: &str) -> String {
    format!("{:1$}{text}", "", NUMBER - text::width(text).min(NUMBER))
}

/// What stands in the table for a record.
fn word(record: Option<&Record>) -> String {
    match record.map(|record| (record.verdict, record.processed())) {
        None => "·".into(),
        Some((Verdict::Rejected, _)) => "REJECT".into(),
        Some((Verdict::Skipped, _)) => "skip".into(),
        Some((Verdict::Ok, None)) => "?".into(),
        Some((Verdict::Ok, Some(insns))) if insns < 100_000 => insns.to_string(),
        Some((Verdict::Ok, Some(insns))) => text::fit(&format!("{}k", insns / 1000), NUMBER - 1),
    }
}

fn entry(record: Option<&Record>, style: Style) -> String {
    let word = word(record);
    let painted = style.paint(paint(record.map_or(Verdict::Skipped, |record| record.verdict)), &word);
    column(&word).replace(&word, &painted)
}

/// The colour of a verdict, by that of a test that ended so.
fn paint(verdict: Verdict) -> outcome::Verdict {
    match verdict {
        Verdict::Ok => outcome::Verdict::Pass,
        Verdict::Skipped => outcome::Verdict::NotRun,
        Verdict::Rejected => outcome::Verdict::Fail,
    }
}

/// Appends the most expensive programs, each where it costs most, and what is left to the limits.
fn render_worst(table: &Table, style: Style, out: &mut String) {
    let labels = table.labels();
    let mut worst: BTreeMap<&str, Entry<'_>> = BTreeMap::new();
    let taken = || table.entries().filter(|entry| entry.record.verdict == Verdict::Ok);
    for entry in taken() {
        let label = labels[entry.id].as_str();
        let is_worse = |other: &Entry<'_>| entry.record.processed() > other.record.processed();
        if worst.get(label).is_none_or(is_worse) {
            worst.insert(label, entry);
        }
    }
    let mut worst: Vec<(&str, Entry<'_>)> = worst.into_iter().collect();
    worst.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.record.processed()));
    if worst.is_empty() {
        return;
    }
    let line = |values: [&str; 4], place: &str| {
        let [insns, share, stack, maps] = values;
        let [insns, share] = [text::fit(insns, 9), text::fit(share, 7)];
        format!("  {insns:>9}{share:>8}{stack:>7}{maps:>6}  {place}")
    };
    _ = writeln!(out, "{}", style.bold(&line(["insns", "of 1M", "stack", "maps"], "the most expensive, and where")));
    let number = |value: Option<u64>| value.map_or_else(|| "?".to_owned(), |value| value.to_string());
    for (label, entry) in worst.iter().take(WORST) {
        let [insns, stack, maps] = [Quantity::Insns, Quantity::Stack, Quantity::Maps].map(|what| what.of(entry.record));
        let share = insns.map_or_else(|| "?".into(), |insns| percent(insns, Quantity::Insns));
        let place = format!("{}  {}", text::one_line(label), text::one_line(&entry.cell()));
        let place = text::fit_middle(&place, WIDTH - 34);
        _ = writeln!(out, "{}", line([&number(insns), &share, &number(stack), &number(maps)], &place));
    }
    let left = |quantity: Quantity, noun: &str| {
        let most = taken().filter_map(|entry| quantity.of(entry.record)).max()?;
        let left = quantity.limit().saturating_sub(most);
        Some(format!("{left} {noun} ({})", percent(left, quantity)))
    };
    let left = [(Quantity::Insns, "instructions"), (Quantity::Stack, "bytes of stack"), (Quantity::Maps, "maps")]
        .into_iter()
        .filter_map(|(quantity, noun)| left(quantity, noun));
    _ = writeln!(out, "  left to the limits: {}\n", left.collect::<Vec<_>>().join(", "));
}

#[expect(clippy::cast_precision_loss, reason = "both are far below 2^52")]
fn percent(value: u64, quantity: Quantity) -> String {
    format!("{:.1} %", 100.0 * value as f64 / quantity.limit() as f64)
}

/// Appends the programs that were not taken, by reason, with their cells.
fn render_refused(table: &Table, style: Style, out: &mut String) {
    let labels = table.labels();
    let mut groups: Vec<(Verdict, &str, &str, Vec<String>)> = Vec::new();
    for entry in table.entries().filter(|entry| entry.record.verdict != Verdict::Ok) {
        let (verdict, label) = (entry.record.verdict, labels[entry.id].as_str());
        let reason = entry.record.reason.as_deref().unwrap_or("no reason was given");
        match groups.iter_mut().find(|(v, l, r, _)| (*v, *l, *r) == (verdict, label, reason)) {
            Some((.., cells)) => cells.push(entry.cell()),
            None => groups.push((verdict, label, reason, vec![entry.cell()])),
        }
    }
    groups.sort_by_key(|(verdict, ..)| std::cmp::Reverse(*verdict));
    for (verdict, label, reason, cells) in &groups {
        let title = format!("{}: {}", text::one_line(label), text::one_line(reason));
        finding((paint(*verdict), verdict.name()), &title, cells, table, style, out);
    }
    if !groups.is_empty() {
        out.push('\n');
    }
}

/// Appends one finding: a word, what it is about, the cells.
fn finding(
    (color, word): (outcome::Verdict, &str),
    title: &str,
    cells: &[String],
    table: &Table,
    style: Style,
    out: &mut String,
) {
    let all = table.cells.iter().filter_map(|cell| place(cell));
    let hit: Vec<Place<'_>> = cells.iter().filter_map(|cell| place(cell)).collect();
    let mut lines = text::wrap(title, WIDTH - INDENT);
    lines.extend(text::wrap_list(&Cells::of(all).list(&hit, MOST_KERNELS), WIDTH - INDENT));
    for (index, line) in lines.iter().enumerate() {
        let start = if index == 0 { style.paint(color, &text::pad(word, INDENT)) } else { " ".repeat(INDENT) };
        _ = writeln!(out, "{start}{line}");
    }
}

/// The parts of a cell's id.
fn place(cell: &str) -> Option<Place<'_>> {
    let (arch, rest) = cell.split_once('/')?;
    let (kernel, llvm) = rest.rsplit_once('/')?;
    Some((arch.parse().ok()?, kernel, llvm.strip_prefix("llvm")?.parse().ok()?))
}

fn summary(table: &Table) -> String {
    let programs = table.labels().len();
    let count = |verdict| table.count(verdict);
    let (ok, rejected, skipped) = (count(Verdict::Ok), count(Verdict::Rejected), count(Verdict::Skipped));
    format!(
        "{} in {}: {ok} ok, {rejected} rejected, {skipped} skipped\n",
        text::count(programs, "program"),
        text::count(table.cells.len(), "cell")
    )
}

/// What holding the table against the budget came to.
#[must_use]
pub fn verification(verification: &Verification, table: &Table, style: Style) -> String {
    let mut out = String::new();
    let mut groups: Vec<(&str, &Breach, Vec<String>)> = Vec::new();
    for found in &verification.findings {
        let like_it =
            |(program, breach, _): &&mut (&str, &Breach, _)| *program == found.program && breach.is_like(&found.breach);
        match groups.iter_mut().find(like_it) {
            Some((_, breach, cells)) => {
                // The worst stands for all.
                *breach = if found.breach.found() > breach.found() { &found.breach } else { breach };
                cells.push(found.cell.clone());
            }
            None => groups.push((&found.program, &found.breach, vec![found.cell.clone()])),
        }
    }
    for (program, breach, cells) in &groups {
        let title = format!("{}: {}", text::one_line(program), text::one_line(&breach.to_string()));
        finding((outcome::Verdict::Fail, "BUDGET"), &title, cells, table, style, &mut out);
    }
    if !verification.uncovered.is_empty() {
        let names: Vec<String> = verification.uncovered.iter().map(|name| text::one_line(name)).collect();
        let title = format!("no ceiling everywhere for {}; `ukci complexity --bless` writes them", names.join(", "));
        finding((outcome::Verdict::NotRun, "note"), &title, &[], table, style, &mut out);
    }
    out
}

/// What changed since another table, whose name is `before`.
#[must_use]
pub fn diff(diff: &Diff, before: &str, table: &Table, style: Style) -> String {
    let mut out = String::new();
    for (cell, id, change) in &diff.changes {
        let what = match change {
            Change::Verdict { before, after, reason } => {
                let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                format!("{before}, now {after}{reason}")
            }
            Change::Vanished => "no record any more".into(),
            Change::New => "is new".into(),
            Change::Insns { before, after } => {
                let by = i128::from(*after) - i128::from(*before);
                let percent =
                    if *before == 0 { String::new() } else { format!(", {:+} %", 100 * by / i128::from(*before)) };
                format!("{before}, now {after} ({by:+}{percent})")
            }
        };
        let word =
            if change.is_worse() { (outcome::Verdict::Fail, "WORSE") } else { (outcome::Verdict::Pass, "changed") };
        let title = format!("{}: {}", text::one_line(&id.to_string()), text::one_line(&what));
        finding(word, &title, std::slice::from_ref(cell), table, style, &mut out);
    }
    let elsewhere = match diff.elsewhere {
        0 => String::new(),
        records => format!(", {} in cells that did not run now", text::count(records, "record")),
    };
    let worse = diff.changes.iter().filter(|(_, _, change)| change.is_worse()).count();
    out + &format!(
        "compared with {}: {}, {} for the worse{elsewhere}\n",
        text::one_line(before),
        text::count(diff.compared, "record"),
        text::count(worse, "change")
    )
}

#[cfg(test)]
mod tests;

//! Writes a budget over an older one: [`blessed`] keeps what a person wrote around the numbers.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::bless::{self, NewEntry, NewLine};
use super::{Budget, Ceiling};
use crate::complexity::table::Table;

const HEADER: &str = "\
# What BPF programs may cost the kernels' verifiers. `ukci complexity --bless` writes the ceilings, a tenth above what a run
# measured; comments, reasons and lines with globs stay. A program over its ceiling, one that a kernel newly refuses and one
# that is no longer measured end `ukci run` with exit code 5.

# Of the kernels' own limits (1,000,000 instructions processed, 512 bytes of stack, 64 maps), no program may take more.
limits: {insns_percent: 20, stack_percent: 90, maps_percent: 90}

# object/case/program (without the case when the object is loaded as it is), then kernels, or cells as `riscv64/6.12/*`
# and `*/{5.10,6.1}/llvm{19,21}`, which go before.
";

/// The text of a budget that `table` keeps, made from the text and content of the one of before. `cells` are the ids of those
/// that the matrix can run, in its order.
#[must_use]
pub fn blessed(text: &str, old: &Budget, table: &Table, cells: &[String]) -> String {
    let remarks = Remarks::of(text);
    let mut out = if remarks.head.trim().is_empty() { HEADER.to_owned() } else { remarks.head.clone() };
    out += "programs:\n";
    for entry in bless::entries(old, table, cells) {
        write_entry(&entry, &remarks, &mut out);
    }
    out + &remarks.foot
}

fn write_entry((key, lines): &NewEntry, remarks: &Remarks, out: &mut String) {
    let notes = remarks.entries.get(key);
    out.push_str(notes.map_or("", |notes| &notes.note.above));
    // OK here and below because writing to memory does not fail.
    _ = writeln!(out, "  {}:{}", plain_or_quoted(key), notes.map_or("", |notes| &notes.note.behind));
    let mut left: BTreeMap<&str, &Note> =
        notes.iter().flat_map(|notes| &notes.lines).map(|(key, note)| (key.as_str(), note)).collect();
    let mut found: Vec<Option<&Note>> = lines.iter().map(|line| left.remove(line.key.as_str())).collect();
    for (line, note) in lines.iter().zip(&mut found).filter(|(_, note)| note.is_none()) {
        // The kernels of a line may have been regrouped.
        let shares = |key: &&str| key.split_whitespace().any(|part| line.key.split_whitespace().any(|own| own == part));
        let like_it = left.keys().copied().find(shares);
        *note = like_it.and_then(|key| left.remove(key));
    }
    // What was said of lines that are gone may still be worth reading.
    left.values().for_each(|note| out.push_str(&note.above));
    for (line, note) in lines.iter().zip(found) {
        out.push_str(note.map_or("", |note| &note.above));
        _ = writeln!(out, "    {}: {{{}}}{}", quoted(&line.key), value(line), note.map_or("", |note| &note.behind));
    }
}

fn value(line: &NewLine) -> String {
    let mut parts = match &line.ceiling {
        Ceiling::Loads { insns, stack: Some(stack) } => vec![format!("insns: {insns}, stack: {stack}")],
        Ceiling::Loads { insns, stack: None } => vec![format!("insns: {insns}")],
        Ceiling::Known(verdict) => vec![format!("verdict: {verdict}")],
    };
    parts.extend(line.reason.as_ref().map(|reason| format!("reason: {}", quoted(reason))));
    parts.join(", ")
}

fn plain_or_quoted(key: &str) -> String {
    let is_plain = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    if is_plain { key.to_owned() } else { quoted(key) }
}

/// A text in double quotes; what JSON writes, YAML reads.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What a person wrote that is no value.
#[derive(Debug, Default)]
struct Remarks {
    /// Everything before the programs.
    head: String,
    entries: BTreeMap<String, EntryNotes>,
    /// Comments behind the last line.
    foot: String,
}

#[derive(Debug, Default)]
struct EntryNotes {
    note: Note,
    lines: BTreeMap<String, Note>,
}

/// Comments above a line, and the one behind it.
#[derive(Debug, Default)]
struct Note {
    above: String,
    behind: String,
}

impl Remarks {
    fn of(text: &str) -> Self {
        let mut remarks = Self::default();
        let mut lines = text.lines();
        for line in lines.by_ref() {
            if line.starts_with("programs:") {
                break;
            }
            remarks.head += line;
            remarks.head.push('\n');
        }
        let (mut pending, mut current) = (String::new(), None::<String>);
        for line in lines {
            let code = line.trim();
            if code.is_empty() || code.starts_with('#') {
                pending += line;
                pending.push('\n');
                continue;
            }
            let Some((key, rest)) = split_key(code) else { continue };
            let note = Note { above: std::mem::take(&mut pending), behind: comment_behind(rest) };
            if line.len() - line.trim_start().len() <= 2 {
                remarks.entries.insert(key.clone(), EntryNotes { note, lines: BTreeMap::new() });
                current = Some(key);
            } else if let Some(entry) = current.as_ref().and_then(|current| remarks.entries.get_mut(current)) {
                entry.lines.insert(key, note);
            }
        }
        remarks.foot = pending;
        remarks
    }
}

/// The key at the beginning of a line, and what is behind its colon.
fn split_key(code: &str) -> Option<(String, &str)> {
    match code.chars().next()? {
        quote @ ('"' | '\'') => {
            let (key, rest) = code[1..].split_once(quote)?;
            Some((key.to_owned(), rest.trim_start().strip_prefix(':')?))
        }
        _ => {
            let (key, rest) = code.split_once(':')?;
            Some((key.trim_end().to_owned(), rest))
        }
    }
}

/// The comment behind a value, with a space before it. A `#` in a text in quotes begins none.
fn comment_behind(rest: &str) -> String {
    let (mut quote, mut before) = (None, ' ');
    for (at, c) in rest.char_indices() {
        match (quote, c) {
            (None, '#') if before == ' ' => return format!(" {}", &rest[at..]),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c && before != '\\' => quote = None,
            _ => {}
        }
        before = c;
    }
    String::new()
}

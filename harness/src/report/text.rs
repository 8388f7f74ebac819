//! Text that fits and does no harm: messages come from guests and may hold anything. [`Style`] says whether to colour.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::run::outcome::Verdict;

/// The columns that a report may use.
pub(crate) const WIDTH: usize = 100;

/// How text for people looks. Whoever owns the writer decides: it is a terminal and `NO_COLOR` is unset, or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether verdicts are coloured. Nothing is said by colour alone.
    pub color: bool,
}

impl Style {
    /// The text in the colour of the verdict.
    pub(crate) fn paint(self, verdict: Verdict, text: &str) -> String {
        let code = match verdict {
            Verdict::Pass => "32",
            Verdict::Flaky | Verdict::Xfail => "33",
            Verdict::NotRun => "2",
            Verdict::Lost | Verdict::Timeout | Verdict::Xpass | Verdict::Fail => "1;31",
        };
        self.sgr(code, text)
    }

    /// The text as a heading.
    pub(crate) fn bold(self, text: &str) -> String {
        self.sgr("1", text)
    }

    fn sgr(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The verdict as people read it: what needs them is in capitals.
pub(crate) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fail => "FAIL",
        Verdict::Xpass => "XPASS",
        Verdict::NotRun => "not run",
        verdict => verdict.name(),
    }
}

/// The text without escape sequences, control characters and characters that reorder or hide others; lines stay.
pub(crate) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\n' => clean.push('\n'),
            '\t' => clean.push(' '),
            '\x1b' => skip_escape(&mut chars),
            // Formatting: joiners, directions, variation selectors; and what XML cannot hold.
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => {}
            '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e0fff}' => {}
            char if char.is_control() => {}
            char => clean.push(char),
        }
    }
    clean
}

/// Drops the rest of an escape sequence: CSI until its final byte, OSC until its terminator, or one character.
fn skip_escape(chars: &mut std::str::Chars<'_>) {
    match chars.next() {
        Some('[') => while chars.next().is_some_and(|char| !('\x40'..='\x7e').contains(&char)) {},
        Some(']') => while chars.next().is_some_and(|char| !matches!(char, '\x07' | '\\' | '\n')) {},
        _ => {}
    }
}

/// The text as one clean line.
pub(crate) fn one_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The columns that the text takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// As many characters as fit in `columns`.
fn take(chars: impl Iterator<Item = char>, columns: usize) -> Vec<char> {
    let mut used = 0;
    chars
        .take_while(|char| {
            used += char.width().unwrap_or(0);
            used <= columns
        })
        .collect()
}

/// The text, cut at its end when it is wider than `columns`.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    take(text.chars(), columns.saturating_sub(1)).into_iter().chain(['…']).collect()
}

/// The text, cut in its middle when it is wider than `columns`: names differ at their ends.
pub(crate) fn fit_middle(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(1);
    let end = take(text.chars().rev(), room / 2);
    let start = take(text.chars(), room - room / 2);
    start.into_iter().chain(['…']).chain(end.into_iter().rev()).collect()
}

/// The text and the spaces that make it `columns` wide.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    format!("{text}{:1$}", "", columns.saturating_sub(width(text)))
}

/// The items, joined by `, ` and broken into lines of at most `columns`.
pub(crate) fn wrap_list(items: &[String], columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for (index, item) in items.iter().enumerate() {
        let comma = if index + 1 < items.len() { "," } else { "" };
        let item = format!("{}{comma}", fit_middle(item, columns - 1));
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(&item) <= columns => {
                line.push(' ');
                line.push_str(&item);
            }
            _ => lines.push(item),
        }
    }
    lines
}

/// The words of the text in lines of at most `columns`; a word that is wider is broken.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => {
                let mut rest = word;
                while width(rest) > columns {
                    let start: String = take(rest.chars(), columns).into_iter().collect();
                    // At least one character, however wide, so that this ends.
                    let cut = start.len().max(rest.chars().next().map_or(0, char::len_utf8));
                    lines.push(rest[..cut].to_owned());
                    rest = &rest[cut..];
                }
                lines.push(rest.to_owned());
            }
        }
    }
    lines
}

/// A time for people: `4.2 s`, `41 s`, `12 min 05 s`.
pub(crate) fn seconds(seconds: f64) -> String {
    match seconds {
        short if short < 9.95 => format!("{:.1} s", short.max(0.0)),
        medium if medium < 600.0 => format!("{medium:.0} s"),
        long => format!("{:.0} min {:02.0} s", (long / 60.0).floor(), (long % 60.0).floor()),
    }
}

/// An amount of data for people.
pub(crate) fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// `1 cell`, `2 cells`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that nothing that a guest prints reaches the terminal as a command.
    #[test]
    fn cleaning_drops_escapes_and_controls_and_keeps_text() {
        assert_eq!(clean("\x1b[1;31mred\x1b[0m \x1b]0;title\x07ok\r\n\ttab\0\u{202e}évil\x1b"), "red ok\n tabévil");
        assert_eq!(one_line("  a\n\n b\tc "), "a b c");
    }

    #[test]
    fn cut_text_fits_whatever_its_script() {
        for text in ["plain ascii words", "日本語日本語日本語", "naïve café ünïcödé", "👩‍👩‍👧 family"]
        {
            for columns in 1..20 {
                assert!(width(&fit(text, columns)) <= columns, "{text} {columns}");
                assert!(width(&fit_middle(text, columns)) <= columns, "{text} {columns}");
            }
        }
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit_middle("abcdef", 5), "ab…ef");
    }

    #[test]
    fn wrapped_text_fits_and_loses_nothing() {
        assert_eq!(wrap("one two  three\nfour", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("a https://mirror.example/x b", 10), ["a", "https://mi", "rror.examp", "le/x b"]);
        assert_eq!(wrap("日本語", 3), ["日", "本", "語"]);
        assert_eq!(wrap("", 3), [""; 0]);
    }

    #[test]
    fn times_are_as_exact_as_they_are_useful() {
        let shown = [0.0, 4.24, 9.96, 599.0, 725.0].map(seconds);
        assert_eq!(shown, ["0.0 s", "4.2 s", "10 s", "599 s", "12 min 05 s"]);
    }
}

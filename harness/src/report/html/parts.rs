//! What several sections of the page are made of: tables that scroll by themselves, verdicts, numbers.

use super::Part;
use super::link::Link;
use super::writer::{Attribute, Html};
use crate::report::grid;
use crate::run::outcome::Verdict;

/// A table with a caption in a box that scrolls when the table is wider than the page. `id` names the caption and must be
/// of this table alone.
pub(super) fn table(html: &mut Html, id: &str, class: &str, caption: &str, content: impl FnOnce(&mut Html)) {
    let region =
        [("class", "scroll"), ("role", "region"), ("aria-labelledby", id), ("tabindex", "0")] as [Attribute<'_>; 4];
    html.element("div", &region, |html| {
        html.element("table", &[("class", class)], |html| {
            html.element("caption", &[("id", id)], |html| {
                html.leaf("span", &[], caption);
            });
            content(html);
        });
    });
    html.line();
}

/// A row of heads.
pub(super) fn heads<'a>(html: &mut Html, heads: impl IntoIterator<Item = &'a str>) {
    html.element("thead", &[], |html| {
        html.element("tr", &[], |html| {
            for head in heads {
                html.leaf("th", &[("scope", "col")], head);
            }
        });
    });
}

/// A cell whose text leads to what is said about it, when something is.
pub(super) fn verdict_cell(html: &mut Html, attributes: &[Attribute<'_>], text: &str, to: Option<&Link>, small: &str) {
    html.element("td", attributes, |html| {
        match to {
            Some(link) => html.link(link, text),
            None => html.text(text),
        };
        if !small.is_empty() {
            html.text(" ").leaf("small", &[], small);
        }
    });
}

/// What the marks of the verdicts mean.
pub(super) fn legend(html: &mut Html) {
    let items: Vec<String> = grid::LEGEND.iter().map(|(mark, meaning)| format!("{mark} {meaning}")).collect();
    html.leaf("p", &[("class", "legend")], &items.join(" · "));
}

/// The content of a part, or a line that says why there is none.
pub(super) fn part<'a, T>(html: &mut Html, part: &'a Part<T>, absent: &str) -> Option<&'a T> {
    match part {
        Part::Absent => {
            html.leaf("p", &[("class", "absent")], absent);
            None
        }
        Part::Unreadable(why) => {
            html.leaf("p", &[("class", "note")], why);
            None
        }
        Part::Read(content) => Some(content),
    }
}

/// `✓ pass`, `✗ FAIL`.
pub(super) fn word(verdict: Verdict) -> String {
    format!("{} {}", grid::mark(verdict), crate::report::text::word(verdict))
}

/// A number in groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 * 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A time in seconds without its unit, which stands in the head of its column.
pub(super) fn bare_seconds(seconds: f64) -> String {
    format!("{seconds:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        let groups = [0, 12, 999, 1000, 16_621, 1_000_000].map(grouped);
        assert_eq!(
            groups.map(|text| text.replace('\u{202f}', " ")),
            ["0", "12", "999", "1 000", "16 621", "1 000 000"]
        );
    }
}

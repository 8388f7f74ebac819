//! HTML that cannot be anything but what its author wrote: [`Html`].
//!
//! Guests are not trusted, and half of the page is what they said. Here the names of elements and attributes are literals of
//! the program, everything else is escaped, elements are closed by construction, and no function takes markup from a value.
//! Template crates (maud, askama) escape too, but each has a word for "leave this as it is", which is one slip; and the page is
//! mostly tables that are computed anyway.

use super::link::Link;
use crate::report::text;

/// An attribute: its name, and its value, which is escaped.
pub(super) type Attribute<'a> = (&'static str, &'a str);

/// A page that grows.
#[derive(Debug, Default)]
pub(super) struct Html {
    out: String,
}

impl Html {
    /// A page of which nothing but the type is written.
    pub(super) fn new() -> Self {
        Self { out: "<!DOCTYPE html>\n".into() }
    }

    /// The text of the page.
    pub(super) fn finish(mut self) -> String {
        self.out.push('\n');
        self.out
    }

    /// An element with whatever `content` writes.
    pub(super) fn element(
        &mut self,
        name: &'static str,
        attributes: &[Attribute<'_>],
        content: impl FnOnce(&mut Self),
    ) -> &mut Self {
        self.open(name, attributes);
        self.out.push('>');
        content(self);
        self.close(name)
    }

    /// An element with nothing but text.
    pub(super) fn leaf(&mut self, name: &'static str, attributes: &[Attribute<'_>], text: &str) -> &mut Self {
        self.element(name, attributes, |html| {
            html.text(text);
        })
    }

    /// An element that has no content, in the way that XML has it too.
    pub(super) fn void(&mut self, name: &'static str, attributes: &[Attribute<'_>]) -> &mut Self {
        self.open(name, attributes);
        self.out.push_str("/>");
        self
    }

    /// A link. There is no other way to make one: a [`Link`] is never a script.
    pub(super) fn link(&mut self, to: &Link, text: &str) -> &mut Self {
        self.leaf("a", &[("href", to.as_str())], text)
    }

    /// Text, without what a terminal would take for a command and without what hides or reorders other text.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b" .,:;/-_()[]{}+*=#!?\n".contains(byte);
        if text.as_bytes().iter().all(harmless) {
            self.out.push_str(text);
            return self;
        }
        for char in text::clean(text).chars() {
            match char {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' => self.out.push_str("&quot;"),
                char => self.out.push(char),
            }
        }
        self
    }

    /// The name of a test or a function, which can be broken into lines behind each `_` and `:` that another part follows.
    pub(super) fn name(&mut self, name: &str) -> &mut Self {
        let mut rest = name;
        while let Some(end) = rest.find(['_', ':']) {
            let joint = rest[end..].find(|char| char != '_' && char != ':').map_or(rest.len(), |joint| end + joint);
            self.text(&rest[..joint]);
            rest = &rest[joint..];
            if !rest.is_empty() {
                self.void("wbr", &[]);
            }
        }
        self.text(rest)
    }

    /// A `style` or `script` element with a file of the program.
    pub(super) fn literal(&mut self, name: &'static str, content: &'static str) -> &mut Self {
        self.open(name, &[]);
        self.out.push('>');
        self.out.push_str(content);
        self.close(name)
    }

    /// Ends a line of the source, where nobody sees it.
    pub(super) fn line(&mut self) -> &mut Self {
        self.out.push('\n');
        self
    }

    fn open(&mut self, name: &'static str, attributes: &[Attribute<'_>]) {
        self.out.push('<');
        self.out.push_str(name);
        for (key, value) in attributes {
            self.out.push(' ');
            self.out.push_str(key);
            self.out.push_str("=\"");
            self.text(value);
            self.out.push('"');
        }
    }

    fn close(&mut self, name: &'static str) -> &mut Self {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a value stays text, as content and as an attribute.
    #[test]
    fn a_value_is_never_markup() {
        let evil = "</td><script>alert('1')</script>\" onclick=\"x&amp;\x1b[2J\u{202e}\0";
        let mut html = Html::default();
        html.leaf("td", &[("title", evil)], evil);
        let escaped = "&lt;/td&gt;&lt;script&gt;alert('1')&lt;/script&gt;&quot; onclick=&quot;x&amp;amp;";
        assert_eq!(html.out, format!("<td title=\"{escaped}\">{escaped}</td>"));
    }

    /// Check where a name can be broken, and that it stays text.
    #[test]
    fn a_name_is_broken_between_its_parts() {
        let mut html = Html::default();
        html.name("a::b__c_<_");
        assert_eq!(html.out, "a::<wbr/>b__<wbr/>c_<wbr/>&lt;_");
    }

    /// Check that no character that means something in HTML counts as harmless.
    #[test]
    fn every_ascii_character_is_text() {
        for byte in 0..128_u8 {
            let char = char::from(byte);
            let mut html = Html::default();
            html.text(&char.to_string());
            let expected = match char {
                '&' => "&amp;".into(),
                '<' => "&lt;".into(),
                '>' => "&gt;".into(),
                '"' => "&quot;".into(),
                '\t' => " ".into(),
                '\n' => "\n".into(),
                char if char.is_control() => String::new(),
                char => char.to_string(),
            };
            assert_eq!(html.out, expected, "{char:?}");
        }
    }
}

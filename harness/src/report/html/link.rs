//! Where a link leads: [`Link`], which is a place on the page or a file beside it, and never anything else.

use std::fmt::Write as _;

/// The target of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link(String);

impl Link {
    /// A place on the page: the element whose `id` is `kind` and `number`.
    pub(super) fn place(kind: &'static str, number: usize) -> Self {
        Self(format!("#{kind}{number}"))
    }

    /// A line of the file with that number among the files with coverage.
    pub(super) fn line(file: usize, line: u32) -> Self {
        Self(format!("#file{file}-{line}"))
    }

    /// The section `id` of the page.
    pub(super) fn section(id: &'static str) -> Self {
        Self(format!("#{id}"))
    }

    /// A file, by its path relative to the page's own directory. `None` for a path that leads elsewhere.
    pub(super) fn file(path: &str) -> Option<Self> {
        let sane = |part: &str| !matches!(part, "" | "." | "..");
        if !path.split('/').all(sane) {
            return None;
        }
        // The dot keeps a name like `javascript:…` a name.
        let mut link = String::from("./");
        for byte in path.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'+' | b',' => {
                    link.push(char::from(byte));
                }
                // OK because writing to a string does not fail.
                byte => drop(write!(link, "%{byte:02X}")),
            }
        }
        Some(Self(link))
    }

    /// The `id` of the element that it leads to.
    pub(super) fn target(&self) -> &str {
        self.0.trim_start_matches('#')
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a log's path leads to a file below the run, whatever it is called.
    #[test]
    fn a_path_is_never_a_script_nor_a_way_out() {
        let file = |path: &str| Link::file(path).map(|link| link.0);
        assert_eq!(file("cells/x86_64/6.12/a b.log").as_deref(), Some("./cells/x86_64/6.12/a%20b.log"));
        assert_eq!(file("javascript:alert(1)").as_deref(), Some("./javascript%3Aalert%281%29"));
        assert_eq!(file("a\"><b?#%").as_deref(), Some("./a%22%3E%3Cb%3F%23%25"));
        for path in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "//host/x", "."] {
            assert_eq!(file(path), None, "{path}");
        }
    }
}

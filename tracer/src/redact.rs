//! What is kept out of the output: [`Redact`].

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::GlobSet;

use crate::baseline::Entry;

/// What stands for a value that is kept out.
pub(crate) const REDACTED: &[u8] = b"<redacted>";

/// Keeps the values of environment variables out of the output, by name. Differences are found before that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redact(pub(crate) GlobSet);

impl Redact {
    /// The value that is shown for the variable.
    pub(crate) fn value<'a>(&self, entry: Entry<'a>) -> &'a [u8] {
        if self.hides(entry.name) { REDACTED } else { entry.value }
    }

    /// The entry `NAME=value` that is shown.
    pub(crate) fn entry<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        match Entry::parse(bytes) {
            Some(entry) if self.hides(entry.name) => Cow::Owned([entry.name, REDACTED].join(&b'=')),
            _ => Cow::Borrowed(bytes),
        }
    }

    fn hides(&self, name: &[u8]) -> bool {
        self.0.is_match(Path::new(OsStr::from_bytes(name)))
    }
}

#[cfg(test)]
mod tests {
    use globset::Glob;

    use super::*;

    /// Check that the value goes, that the name stays, and that a value which looks like a name does not count.
    #[test]
    fn values_go_by_their_names() {
        let set = GlobSet::builder().add(Glob::new("*TOKEN*").expect("a pattern")).build().expect("a set");
        let redact = Redact(set);
        assert_eq!(&*redact.entry(b"GH_TOKEN=a=b"), b"GH_TOKEN=<redacted>");
        assert_eq!(&*redact.entry(b"A=TOKEN=1"), b"A=TOKEN=1");
        assert_eq!(&*redact.entry(b"TOKEN"), b"TOKEN");
        assert_eq!(redact.value(Entry { name: b"X_TOKEN", value: b"s" }), REDACTED);
        assert_eq!(redact.value(Entry { name: b"X", value: b"s" }), b"s");
    }
}

//! What programs may cost: [`Budget`], from `budget.yaml` beside the matrix.
//!
//! ```yaml
//! limits: {insns_percent: 20, stack_percent: 90, maps_percent: 90}
//! programs:
//!   tracer/tracer_exec:
//!     "5.10 6.1": {insns: 3900, stack: 224}
//!     "6.12 6.16": {insns: 18300, stack: 224}
//!     "*/{6.12,6.16}/llvm19": {insns: 24000, stack: 288}
//!     "riscv64/6.12/*": {insns: 21000, stack: 224, reason: its calling convention spills more}
//!   tracer/fentry/*:
//!     "5.10": {verdict: rejected, reason: no direct calls}
//! ```
//!
//! The key of a program is a glob of `object/case/program`; the first that matches counts. Below it, a key is globs with
//! spaces between them: of kernels' names, or with a `/` of cells' ids, which then go before. The first that matches counts.
//! A blessing writes a kernel's name alone only where all of its cells were measured and cost about the same, and cells otherwise.

mod bless;
mod check;
mod edit;

use std::fmt;
use std::path::Path;

use bpf_complexity::Verdict;
use globset::{Glob, GlobMatcher};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

pub use self::check::{Breach, Finding, Quantity, Verification};
pub use self::edit::blessed;
use crate::matrix::{SpecError, error_at, parse_yaml};

/// The file's name, beside the matrix.
pub const FILE_NAME: &str = "budget.yaml";

/// What every program may take of the kernel's own limits, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Of a million instructions processed.
    pub insns_percent: u64,
    /// Of 512 bytes of stack.
    pub stack_percent: u64,
    /// Of 64 maps.
    pub maps_percent: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { insns_percent: 20, stack_percent: 90, maps_percent: 90 }
    }
}

/// What is expected of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ceiling {
    /// It loads, and costs no more than this.
    Loads {
        /// Instructions processed.
        insns: u64,
        /// Bytes of stack of the deepest chain of calls; any number when it is absent.
        stack: Option<u32>,
    },
    /// It does not load, and this is known.
    Known(Verdict),
}

/// One line below a program.
#[derive(Clone, Debug)]
pub struct Line {
    /// The key as it is written.
    key: String,
    globs: Vec<GlobMatcher>,
    ceiling: Ceiling,
    reason: Option<String>,
}

impl Line {
    /// Whether it is about cells rather than kernels.
    fn is_of_cells(&self) -> bool {
        self.key.contains('/')
    }

    fn matches(&self, cell: &str, kernel: &str) -> bool {
        let subject = if self.is_of_cells() { cell } else { kernel };
        self.globs.iter().any(|glob| glob.is_match(subject))
    }
}

/// The lines of one program, or of all that a glob names.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key as it is written.
    key: String,
    glob: GlobMatcher,
    lines: Vec<Line>,
}

impl Entry {
    /// What is expected in this cell.
    fn line(&self, cell: &str, kernel: &str) -> Option<&Line> {
        let matching = |of_cells: bool| {
            self.lines.iter().find(move |line| line.is_of_cells() == of_cells && line.matches(cell, kernel))
        };
        matching(true).or_else(|| matching(false))
    }
}

/// What programs may cost.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    limits: Limits,
    entries: Vec<Entry>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    programs: Ordered<Ordered<TextLine>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct TextLine {
    insns: Option<u64>,
    stack: Option<u32>,
    verdict: Option<Verdict>,
    reason: Option<String>,
}

impl Budget {
    /// Parses `text`, which stands in the file `path`. An empty file has the limits alone.
    ///
    /// # Errors
    /// When the text is not YAML, or a key, a glob or a value is not as it should be.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SpecError> {
        let Some(parsed) = parse_yaml::<Option<Text>>(path, text)? else { return Ok(Self::default()) };
        let error = |value: &str, message: String| error_at(path, text, value, 0, message);
        let glob = |text: &str| {
            let glob = Glob::new(text).map_err(|why| error(text, format!("`{text}` is not a glob: {}", why.kind())));
            glob.map(|glob| glob.compile_matcher())
        };
        let mut entries = Vec::new();
        for (key, lines) in parsed.programs.0 {
            let mut entry = Entry { glob: glob(&key)?, key, lines: Vec::new() };
            for (line_key, line) in lines.0 {
                let globs = line_key.split_whitespace().map(glob).collect::<Result<Vec<_>, _>>()?;
                let slashes = line_key.split_whitespace().filter(|part| part.contains('/')).count();
                if globs.is_empty() || (slashes > 0 && slashes < globs.len()) {
                    let message = format!(
                        "programs.{}.\"{line_key}\": expected globs either all of kernels or all of cells, as in `\"5.10 6.1\"` or `\"x86_64/5.10/*\"`",
                        entry.key
                    );
                    return Err(error(&line_key, message));
                }
                let ceiling = line
                    .ceiling()
                    .map_err(|why| error(&line_key, format!("programs.{}.\"{line_key}\": {why}", entry.key)))?;
                entry.lines.push(Line { key: line_key, globs, ceiling, reason: line.reason });
            }
            entries.push(entry);
        }
        Ok(Self { limits: parsed.limits, entries })
    }

    /// What is written of the program with this name.
    fn entry(&self, program: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.glob.is_match(program))
    }
}

impl TextLine {
    fn ceiling(&self) -> Result<Ceiling, &'static str> {
        let has_reason = self.reason.as_ref().is_some_and(|reason| !reason.trim().is_empty());
        match (self.insns, self.stack, self.verdict) {
            (Some(insns), stack, None) => Ok(Ceiling::Loads { insns, stack }),
            (None, None, Some(Verdict::Ok)) => Err("expected `insns` for a program that loads, found `verdict: ok`"),
            (None, None, Some(_)) if !has_reason => Err("`verdict` needs a `reason`"),
            (None, None, Some(verdict)) => Ok(Ceiling::Known(verdict)),
            _ => Err("expected either `insns` and perhaps `stack`, or `verdict` and `reason`"),
        }
    }
}

/// A mapping in the order in which it is written, without a key twice.
struct Ordered<V>(Vec<(String, V)>);

impl<V> Default for Ordered<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Ordered<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<V>(std::marker::PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Pairs<V> {
            type Value = Ordered<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping with texts as its keys")
            }

            // A key with nothing behind it.
            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Ordered::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs: Vec<(String, V)> = Vec::new();
                while let Some((key, value)) = map.next_entry()? {
                    if pairs.iter().any(|(other, _)| *other == key) {
                        return Err(de::Error::custom(format!("`{key}` stands there twice")));
                    }
                    pairs.push((key, value));
                }
                Ok(Ordered(pairs))
            }
        }

        deserializer.deserialize_any(Pairs(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests;

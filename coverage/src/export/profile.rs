//! A text profile as [`crate::collect`] writes it: [`Profile`].

use std::fs;
use std::path::Path;

use super::ExportError;
use crate::Mode;
use crate::elf::Counted;

/// What a profile counts, without the counts.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) mode: Mode,
    functions: Vec<Profiled>,
}

#[derive(Debug)]
struct Profiled {
    name: String,
    hash: u64,
    counters: u32,
}

impl Profile {
    /// Reads the profile, to find out whether it is whole and of what it is.
    pub(super) fn read(path: &Path) -> Result<Self, ExportError> {
        let text = fs::read_to_string(path).map_err(ExportError::file("read", path))?;
        parse(&text).map_err(|(line, what)| ExportError::Profile { path: path.to_owned(), line, what })
    }

    /// Says what differs when it is not a profile of the object with these functions.
    pub(super) fn check(&self, mode: Mode, functions: &[Counted]) -> Result<(), String> {
        if self.mode != mode {
            return Err(format!("expected {}, found {}", mode.name(), self.mode.name()));
        }
        for Profiled { name, hash, counters } in &self.functions {
            let Some(of) = functions.iter().find(|function| function.name == *name) else {
                return Err(format!("the object has no function `{name}`"));
            };
            if (of.hash, of.counters) != (*hash, *counters) {
                return Err(format!(
                    "`{name}`: expected the hash {} and {} counters, found {hash} and {counters}",
                    of.hash, of.counters
                ));
            }
        }
        Ok(())
    }
}

/// Parses the text; an error is a line, counted from 1, and what is wrong with it.
fn parse(text: &str) -> Result<Profile, (usize, String)> {
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line)).peekable();
    let mut mode = Mode::Counters;
    while let Some((_, flag)) = lines.next_if(|(_, line)| line.starts_with(':')) {
        if flag == ":single_byte_coverage" {
            mode = Mode::SingleByte;
        }
    }
    let end = text.lines().count();
    let mut functions = Vec::new();
    while let Some((_, name)) = lines.next() {
        if name.is_empty() || name.starts_with('#') {
            continue;
        }
        let mut number = |what: &str| {
            let (at, line) = lines.next().ok_or_else(|| (end, format!("cut short in `{name}`: expected {what}")))?;
            line.parse::<u64>().ok().ok_or_else(|| (at, format!("expected {what} of `{name}`, found `{line}`")))
        };
        let hash = number("the hash")?;
        let counters = u32::try_from(number("the number of counters")?)
            .ok()
            .ok_or_else(|| (end, "too many counters".to_owned()))?;
        for _ in 0..counters {
            number("a counter")?;
        }
        functions.push(Profiled { name: name.to_owned(), hash, counters });
    }
    Ok(Profile { mode, functions })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = ":fe\n:single_byte_coverage\na.c:helper\n24\n2\n1\n0\n\nprogram\n7\n1\n0\n\n";

    fn helper() -> Vec<Counted> {
        let helper = Counted { name: "a.c:helper".into(), hash: 24, counters: 2, offset_bytes: 0 };
        vec![helper.clone(), Counted { name: "program".into(), hash: 7, counters: 1, ..helper }]
    }

    /// Check that a profile fits the object that it is of.
    #[test]
    fn fits() {
        assert_eq!(parse(WHOLE).unwrap().check(Mode::SingleByte, &helper()), Ok(()));
    }

    /// Check that profiles of other programs, or of another version of this one, are refused with what differs.
    #[test]
    fn of_another_object() {
        let profile = parse(WHOLE).unwrap();
        let refused = |functions: &[Counted]| profile.check(Mode::SingleByte, functions).unwrap_err();
        assert_eq!(refused(&helper()[..1]), "the object has no function `program`");
        let mut changed = helper();
        changed[0].hash = 25;
        assert_eq!(refused(&changed), "`a.c:helper`: expected the hash 25 and 2 counters, found 24 and 2");
        assert_eq!(profile.check(Mode::Counters, &helper()).unwrap_err(), "expected counters, found single_byte");
    }

    /// Check that a profile that is cut short is an error with its place, at whatever line it ends.
    #[test]
    fn cut_short() {
        for (lines, what) in [(3, "the hash"), (4, "the number of counters"), (5, "a counter"), (6, "a counter")] {
            let text: String = WHOLE.split_inclusive('\n').take(lines).collect();
            assert_eq!(parse(&text).unwrap_err(), (lines, format!("cut short in `a.c:helper`: expected {what}")));
        }
        let (line, what) = parse("program\n7\nmany\n").unwrap_err();
        assert_eq!((line, what.as_str()), (3, "expected the number of counters of `program`, found `many`"));
    }
}

//! The counters of a map as a profile in LLVM's text format, which every release reads: [`text`].

use std::fmt::Write as _;

use crate::{Mode, SINGLE_BYTE_UNTOUCHED, Variant};

/// The profile of `counters`, the contents of the map.
///
/// # Errors
/// When they are fewer than the object has.
pub(super) fn text(variant: &Variant, counters: &[u8]) -> Result<String, String> {
    let mut text = String::from(":fe\n");
    if variant.mode == Mode::SingleByte {
        text.push_str(":single_byte_coverage\n");
    }
    for function in variant.functions {
        let from = function.offset_bytes as usize;
        let len = function.counters as usize * variant.mode.counter_bytes() as usize;
        let values = from.checked_add(len).and_then(|to| counters.get(from..to)).ok_or_else(|| {
            format!(
                "the counters are cut short: expected at least {} bytes for `{}`, found {}",
                from.saturating_add(len),
                function.name,
                counters.len()
            )
        })?;
        // Writing to a string cannot fail.
        let _ = write!(text, "{}\n{}\n{}\n", function.name, function.hash, function.counters);
        for value in values.chunks_exact(variant.mode.counter_bytes() as usize) {
            let _ = writeln!(text, "{}", count(variant.mode, value));
        }
        text.push('\n');
    }
    Ok(text)
}

/// BPF memory has the byte order of the machine.
fn count(mode: Mode, value: &[u8]) -> u64 {
    match mode {
        Mode::Counters => value.try_into().map_or(0, u64::from_ne_bytes),
        Mode::SingleByte => u64::from(value != [SINGLE_BYTE_UNTOUCHED]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Engine, Function};

    const FUNCTIONS: &[Function] = &[
        Function { name: "a.bpf.c:helper", hash: 24, counters: 2, offset_bytes: 0 },
        Function { name: "program", hash: 7, counters: 1, offset_bytes: 16 },
    ];

    const fn variant(mode: Mode, functions: &'static [Function]) -> Variant {
        Variant { engine: Engine::Clang, mode, map: ".bss.profc", object: &[], hash: "", functions }
    }

    /// Check the text of a profile, value by value.
    #[test]
    fn counters() {
        let map: Vec<u8> = [3_u64, 0, 9].into_iter().flat_map(u64::to_ne_bytes).collect();
        assert_eq!(
            text(&variant(Mode::Counters, FUNCTIONS), &map).unwrap(),
            ":fe\na.bpf.c:helper\n24\n2\n3\n0\n\nprogram\n7\n1\n9\n\n"
        );
    }

    /// Check that a byte that the program has cleared counts as 1.
    #[test]
    fn single_bytes() {
        const ONE: &[Function] = &[Function { name: "program", hash: 7, counters: 2, offset_bytes: 1 }];
        assert_eq!(
            text(&variant(Mode::SingleByte, ONE), &[0xff, 0, 0xff]).unwrap(),
            ":fe\n:single_byte_coverage\nprogram\n7\n2\n1\n0\n\n"
        );
    }

    /// Check that counters that are cut short are an error that names the function, not zeros.
    #[test]
    fn cut_short() {
        let error = text(&variant(Mode::Counters, FUNCTIONS), &[0; 23]).unwrap_err();
        assert_eq!(error, "the counters are cut short: expected at least 24 bytes for `program`, found 23");
    }
}

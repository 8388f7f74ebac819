//! Where an object has its global variables: [`globals`], and whether it has its counters where they are read.

use std::collections::BTreeMap;

use object::read::elf::{FileHeader, Sym};
use object::{Endianness, elf};

use super::{ElfError, damaged};

/// A global variable.
#[derive(Clone, Debug)]
struct Global {
    name: String,
    section: String,
    offset_bytes: u64,
    #[cfg(feature = "bpfcov")]
    size_bytes: u64,
}

/// The global variables of a BPF object: name to `section+offset`.
pub(crate) fn globals(object: &[u8]) -> Result<BTreeMap<String, String>, ElfError> {
    // The order of map definitions is of no consequence: they are found by name.
    let placed = all(object)?.into_iter().filter(|global| global.section != ".maps");
    Ok(placed.map(|global| (global.name, format!("{}+{}", global.section, global.offset_bytes))).collect())
}

/// Demands that the section `map` of an object that bpfcov made has the counters of these functions where they are said to
/// be.
#[cfg(feature = "bpfcov")]
pub(crate) fn check_counters(
    object: &[u8],
    map: &str,
    mode: crate::Mode,
    functions: &[super::Counted],
) -> Result<(), ElfError> {
    let globals = all(object)?;
    for function in functions {
        // What no assembler takes in a symbol is replaced.
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._$".contains(c) { c } else { '_' };
        let symbol: String = "__profc_".chars().chain(function.name.chars().map(plain)).collect();
        let size_bytes = u64::from(function.counters * mode.counter_bytes());
        let found = globals.iter().find(|global| global.name == symbol && global.section == map);
        if found.is_none_or(|at| (at.offset_bytes, at.size_bytes) != (function.offset_bytes.into(), size_bytes)) {
            return Err(super::layout(&format!("`{symbol}` is not at byte {} of `{map}`", function.offset_bytes)));
        }
    }
    Ok(())
}

fn all(object: &[u8]) -> Result<Vec<Global>, ElfError> {
    let header = elf::FileHeader64::<Endianness>::parse(object).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let sections = header.sections(endian, object).map_err(damaged)?;
    let symbols = sections.symbols(endian, object, elf::SHT_SYMTAB).map_err(damaged)?;
    let mut globals = Vec::new();
    for (index, symbol) in symbols.enumerate() {
        if symbol.st_type() != elf::STT_OBJECT || symbol.st_bind() == elf::STB_LOCAL {
            continue;
        }
        let Some(section) = symbols.symbol_section(endian, symbol, index).map_err(damaged)? else { continue };
        let section = sections.section(section).map_err(damaged)?;
        let section = sections.section_name(endian, section).map_err(damaged)?;
        let name = symbols.symbol_name(endian, symbol).map_err(damaged)?;
        globals.push(Global {
            name: String::from_utf8_lossy(name).into_owned(),
            section: String::from_utf8_lossy(section).into_owned(),
            offset_bytes: symbol.st_value(endian),
            #[cfg(feature = "bpfcov")]
            size_bytes: symbol.st_size(endian),
        });
    }
    Ok(globals)
}

//! Where an object has its global variables: [`globals`].

use std::collections::BTreeMap;

use object::read::elf::{FileHeader, Sym};
use object::{Endianness, elf};

use super::{ElfError, damaged};

/// The global variables of a BPF object: name to `section+offset`.
pub(crate) fn globals(object: &[u8]) -> Result<BTreeMap<String, String>, ElfError> {
    let header = elf::FileHeader64::<Endianness>::parse(object).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let sections = header.sections(endian, object).map_err(damaged)?;
    let symbols = sections.symbols(endian, object, elf::SHT_SYMTAB).map_err(damaged)?;
    let mut globals = BTreeMap::new();
    for (index, symbol) in symbols.enumerate() {
        if symbol.st_type() != elf::STT_OBJECT || symbol.st_bind() == elf::STB_LOCAL {
            continue;
        }
        let Some(section) = symbols.symbol_section(endian, symbol, index).map_err(damaged)? else { continue };
        let section = sections.section(section).map_err(damaged)?;
        let section = String::from_utf8_lossy(sections.section_name(endian, section).map_err(damaged)?);
        // The order of map definitions is of no consequence: they are found by name.
        if section == ".maps" {
            continue;
        }
        let name = symbols.symbol_name(endian, symbol).map_err(damaged)?;
        globals.insert(String::from_utf8_lossy(name).into_owned(), format!("{section}+{}", symbol.st_value(endian)));
    }
    Ok(globals)
}

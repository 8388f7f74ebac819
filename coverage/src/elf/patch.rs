//! Makes clang's instrumented object loadable: [`patch`].
//!
//! The patched object has the counters in one section, which libbpf turns into a map, and nothing else of the
//! instrumentation and no DWARF. Code, maps and BTF stay what they are.

use object::build::elf::{Builder, SectionData};
use object::elf;

use super::{Counted, ElfError, Place, damaged, functions, places, read, without_opaque_types};
use crate::{Mode, SINGLE_BYTE_UNTOUCHED};

/// An object that libbpf loads, with what its counters mean.
#[derive(Clone, Debug)]
pub(crate) struct Patched {
    pub(crate) object: Vec<u8>,
    pub(crate) functions: Vec<Counted>,
}

/// Sections that libbpf has no use for, by the beginning of their names.
const SUPERFLUOUS: [&[u8]; 6] = [b"__llvm_", b".rel__llvm_", b".debug_", b".rel.debug_", b".group", b".llvm_addrsig"];

/// The name of the section, and of the map, that has the counters of a patched object.
///
/// The single-byte counters do not begin with 0, so theirs is a section with contents.
pub(crate) const fn map_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Counters => ".bss.profc",
        Mode::SingleByte => ".data.profc",
    }
}

/// Makes `raw` loadable.
pub(crate) fn patch(raw: &[u8], mode: Mode) -> Result<Patched, ElfError> {
    let readable = without_opaque_types(raw)?;
    let mut elf = read(&readable)?;
    let places = places(&elf, mode)?;
    let functions = functions(&elf, &places, mode)?;
    join_counters(&mut elf, &places, mode)?;
    drop_superfluous(&mut elf);
    let mut object = Vec::new();
    elf.write(&mut object).map_err(damaged)?;
    Ok(Patched { object, functions })
}

/// Makes one section of the counters: the first of theirs, under a name that libbpf takes for that of a map.
fn join_counters(elf: &mut Builder<'_>, places: &[Place], mode: Mode) -> Result<(), ElfError> {
    let (Some(first), Some(last)) = (places.first(), places.last()) else { return Err(ElfError::NotInstrumented) };
    for symbol in &mut elf.symbols {
        if let Some(place) = places.iter().find(|place| symbol.section == Some(place.section)) {
            symbol.section = Some(first.section);
            symbol.st_value += u64::from(place.offset_bytes);
            // Not of the type SECTION any more, whose value would have to be 0.
            symbol.set_st_info(elf::STB_LOCAL, elf::STT_NOTYPE);
        }
    }
    let size_bytes = last.offset_bytes + last.size_bytes;
    let counters = elf.sections.get_mut(first.section);
    counters.name = map_name(mode).as_bytes().into();
    counters.sh_flags = elf::SHF_ALLOC | elf::SHF_WRITE;
    (counters.sh_type, counters.data) = match mode {
        Mode::Counters => (elf::SHT_NOBITS, SectionData::UninitializedData(u64::from(size_bytes))),
        Mode::SingleByte => {
            (elf::SHT_PROGBITS, SectionData::Data(vec![SINGLE_BYTE_UNTOUCHED; size_bytes as usize].into()))
        }
    };
    Ok(())
}

/// Deletes what libbpf does not need, or refuses.
fn drop_superfluous(elf: &mut Builder<'_>) {
    for section in &mut elf.sections {
        section.delete = SUPERFLUOUS.iter().any(|prefix| section.name.starts_with(prefix));
        // Where it was in a file that it is no longer in.
        section.sh_offset = 0;
    }
    for symbol in &mut elf.symbols {
        // Undefined, and libbpf would look for it among the kernel's.
        symbol.delete = symbol.name.as_slice() == b"__llvm_profile_runtime";
    }
    elf.delete_orphans();
    // clang has one table for the names of symbols and sections, the builder one for each.
    if !elf.sections.iter().any(|section| matches!(section.data, SectionData::SectionString)) {
        let table = elf.sections.add();
        table.name = b".shstrtab".as_slice().into();
        table.sh_type = elf::SHT_STRTAB;
        table.sh_addralign = 1;
        table.data = SectionData::SectionString;
    }
}

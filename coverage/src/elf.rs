//! Objects as clang writes them with instrumentation. What their counters belong to is a list of [`Counted`].
//!
//! clang writes the counters of each function into a section of its own, in a comdat group with a record that names the
//! function, besides sections that only llvm-cov reads.

use object::build::Id as _;
use object::build::elf::{Builder, Section, SectionData, SectionId};
use object::read::elf::{FileHeader, SectionHeader};
use object::{Endianness, elf};
use thiserror::Error;

use crate::Mode;

#[cfg(feature = "build")]
mod globals;
mod names;
#[cfg(feature = "build")]
mod patch;

#[cfg(feature = "bpfcov")]
pub(crate) use self::globals::check_counters;
#[cfg(feature = "build")]
pub(crate) use self::globals::globals;
#[cfg(feature = "build")]
pub(crate) use self::patch::{map_name, patch};

/// The counters of one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) name: String,
    pub(crate) hash: u64,
    pub(crate) counters: u32,
    pub(crate) offset_bytes: u32,
}

/// Why an object cannot be patched.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ElfError {
    /// It is cut short, damaged, or no ELF file.
    #[error("not a whole ELF file: {0}")]
    Damaged(String),
    /// Not an object of BPF programs.
    #[error("not a BPF object: expected ELF machine {}, found {found}", elf::EM_BPF.0)]
    NotBpf {
        /// The machine.
        found: u16,
    },
    /// Compiled for big-endian machines.
    #[error("a big-endian object, expected a little-endian one\n  hint: compile with `-target bpfel`")]
    BigEndian,
    /// Compiled without instrumentation.
    #[error(
        "no coverage sections\n  hint: compile with `-fprofile-instr-generate -fcoverage-mapping`; linking and stripping lose them"
    )]
    NotInstrumented,
    /// The sections are not as clang 14 to 23 lay them out.
    #[error("coverage sections of an unknown layout: {0}")]
    Layout(String),
}

const COUNTERS: &[u8] = b"__llvm_prf_cnts";
const RECORDS: &[u8] = b"__llvm_prf_data";
const NAMES: &[u8] = b"__llvm_prf_names";

/// clang's table of symbols whose addresses matter.
const SHT_LLVM_ADDRSIG: elf::SectionType = elf::SectionType(0x6fff_4c03);

/// The counters of one section of `raw`, and where they are in the map.
struct Place {
    section: SectionId,
    offset_bytes: u32,
    size_bytes: u32,
}

/// What the counters of `raw` belong to.
#[cfg(any(feature = "export", feature = "bpfcov"))]
pub(crate) fn inspect(raw: &[u8], mode: Mode) -> Result<Vec<Counted>, ElfError> {
    let readable = without_opaque_types(raw)?;
    let elf = read(&readable)?;
    functions(&elf, &places(&elf, mode)?, mode)
}

/// The builder refuses types of sections that it does not know. Those of them that clang writes go away later.
fn without_opaque_types(raw: &[u8]) -> Result<Vec<u8>, ElfError> {
    if raw.get(5) == Some(&elf::ELFDATA2MSB.0) {
        return Err(ElfError::BigEndian);
    }
    let header = elf::FileHeader64::<Endianness>::parse(raw).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let machine = header.e_machine(endian);
    if machine != elf::EM_BPF {
        return Err(ElfError::NotBpf { found: machine.0 });
    }
    let table = usize::try_from(header.e_shoff(endian)).map_err(damaged)?;
    let mut readable = raw.to_vec();
    for (index, section) in header.section_headers(endian, raw).map_err(damaged)?.iter().enumerate() {
        if matches!(section.sh_type(endian), elf::SHT_GROUP | SHT_LLVM_ADDRSIG) {
            // The type is the second 32-bit word of a header.
            let at = table + index * size_of::<elf::SectionHeader64<Endianness>>() + 4;
            let word = readable.get_mut(at..at + 4).ok_or_else(|| damaged("a section header is cut short"))?;
            word.copy_from_slice(&elf::SHT_PROGBITS.0.to_le_bytes());
        }
    }
    Ok(readable)
}

/// Reads what [`without_opaque_types`] made readable.
fn read(readable: &[u8]) -> Result<Builder<'_>, ElfError> {
    let mut elf = Builder::read(readable).map_err(damaged)?;
    // In comdat groups, clang leaves out the flag by which the builder knows what a section of relocations is about.
    let ids: Vec<SectionId> = elf.sections.iter().map(Section::id).collect();
    for section in &mut elf.sections {
        if matches!(section.data, SectionData::Relocation(_)) && section.sh_info_section.is_none() {
            // The file counts from 1.
            section.sh_info_section = ids.iter().copied().find(|id| id.index() + 1 == section.sh_info as usize);
        }
    }
    Ok(elf)
}

/// Lays the counters of all sections out one after another.
fn places(elf: &Builder<'_>, mode: Mode) -> Result<Vec<Place>, ElfError> {
    let mut places = Vec::new();
    let mut offset_bytes = 0_u32;
    for section in elf.sections.iter().filter(|section| section.name.as_slice() == COUNTERS) {
        let size_bytes = match &section.data {
            SectionData::Data(data) => u32::try_from(data.len()).ok(),
            SectionData::UninitializedData(size) => u32::try_from(*size).ok(),
            _ => None,
        };
        let size_bytes = size_bytes.filter(|size| *size > 0 && size % mode.counter_bytes() == 0);
        let size_bytes = size_bytes.ok_or_else(|| layout("a section of counters is not made of counters"))?;
        places.push(Place { section: section.id(), offset_bytes, size_bytes });
        offset_bytes = offset_bytes.checked_add(size_bytes).ok_or_else(|| layout("more than 4 GiB of counters"))?;
    }
    if places.is_empty() { Err(ElfError::NotInstrumented) } else { Ok(places) }
}

/// What the counters belong to, from one record for each of their sections.
fn functions(elf: &Builder<'_>, places: &[Place], mode: Mode) -> Result<Vec<Counted>, ElfError> {
    let names = elf.sections.iter().find(|section| section.name.as_slice() == NAMES);
    let names = names::decode(names.and_then(bytes).ok_or_else(|| layout("no names of functions"))?)?;
    let mut functions = Vec::new();
    for records in elf.sections.iter().filter(|section| section.name.as_slice() == RECORDS) {
        let record = bytes(records).unwrap_or_default();
        let (Some(reference), Some(hash)) = (word(record, 0), word(record, 8)) else {
            return Err(layout("a record of a function is cut short"));
        };
        let place = counters_of(elf, records.id(), places)?;
        let name = names.iter().find(|name| names::reference(name) == reference);
        functions.push(Counted {
            name: name.ok_or_else(|| layout(&format!("no name for the function {reference:#018x}")))?.clone(),
            hash,
            counters: place.size_bytes / mode.counter_bytes(),
            offset_bytes: place.offset_bytes,
        });
    }
    if functions.len() == places.len() {
        Ok(functions)
    } else {
        Err(layout(&format!("{} sections of counters, {} records", places.len(), functions.len())))
    }
}

/// The place that a record refers to: by the relocation of its third word.
fn counters_of<'a>(elf: &Builder<'_>, record: SectionId, places: &'a [Place]) -> Result<&'a Place, ElfError> {
    let relocations = elf.sections.iter().filter(|section| section.sh_info_section == Some(record));
    let found = relocations.filter_map(|section| match &section.data {
        SectionData::Relocation(relocations) => relocations.iter().find(|relocation| relocation.r_offset == 16),
        _ => None,
    });
    let symbol = found.filter_map(|relocation| relocation.symbol).next();
    let symbol = symbol.ok_or_else(|| layout("a record does not refer to counters"))?;
    let symbol = elf.symbols.get(symbol);
    let place = places.iter().find(|place| symbol.section == Some(place.section));
    match place {
        Some(place) if symbol.st_value == 0 => Ok(place),
        Some(_) => Err(layout("a section has the counters of several functions")),
        None => Err(layout("a record refers to a section without counters")),
    }
}

fn bytes<'a>(section: &'a Section<'_>) -> Option<&'a [u8]> {
    match &section.data {
        SectionData::Data(data) => Some(data.as_slice()),
        _ => None,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

fn damaged(error: impl std::fmt::Display) -> ElfError {
    ElfError::Damaged(error.to_string())
}

fn layout(what: &str) -> ElfError {
    ElfError::Layout(what.to_owned())
}

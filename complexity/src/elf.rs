//! What a file must be before libbpf sees it: [`inspect`] tells what is no BPF object from what is one, and what the object says of
//! itself.

use std::fmt;
use std::path::Path;

use object::elf::{EM_BPF, EM_NONE, FileHeader64, SHF_EXECINSTR};
use object::read::elf::{FileHeader, SectionHeader};
use object::{BigEndian, Endian, LittleEndian};
use sha2::Digest;

use crate::record::{Mode, Object};

/// The bits of `e_flags` with the number of the instruction set, `EF_BPF_CPUVER` (LLVM 20 writes it).
const CPU_VERSION: u32 = 0xf;

/// Why a file is no BPF object that can be loaded here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElfError {
    /// It does not begin as an ELF file does.
    NotElf {
        /// What it seems to be.
        found: String,
    },
    /// It is an ELF file for something else.
    NotBpf {
        /// The number of its machine.
        machine: u16,
    },
    /// It is for machines with the bytes the other way round.
    BigEndian,
    /// It ends too early, or its tables point nowhere.
    Broken(String),
    /// It has no program, only data or subprograms.
    NoPrograms,
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf { found } => write!(f, "not an ELF file: expected a BPF object, found {found}"),
            Self::NotBpf { machine } => write!(
                f,
                "not a BPF object: expected an ELF file for machine {} (bpf), found machine {machine}\n  hint: \
                 `clang -target bpf -g -O2 -c` makes one",
                EM_BPF.0
            ),
            Self::BigEndian => write!(
                f,
                "a big-endian BPF object: expected little-endian, as every architecture of the matrix is\n  hint: \
                 `clang -target bpfel`"
            ),
            Self::Broken(why) => write!(f, "a damaged or truncated ELF file: {why}"),
            Self::NoPrograms => write!(
                f,
                "a BPF object without programs: expected a section with code other than `.text`\n  hint: a program has \
                 `SEC(\"…\")` before its function"
            ),
        }
    }
}

impl std::error::Error for ElfError {}

/// Checks that `bytes` are a BPF object with programs; gives what it says of itself. `name` is that of its file, or any other.
///
/// # Errors
/// When it is something else.
pub fn inspect(name: &str, bytes: &[u8]) -> Result<Object, ElfError> {
    let found = match bytes {
        [0x7f, b'E', b'L', b'F', 2, 1, ..] => return read(name, bytes, LittleEndian),
        [0x7f, b'E', b'L', b'F', 2, 2, ..] => {
            return read(name, bytes, BigEndian).and(Err(ElfError::BigEndian));
        }
        [0x7f, b'E', b'L', b'F', 1, ..] => "a 32-bit ELF file",
        [0x7f, b'E', b'L', b'F', ..] => return Err(ElfError::Broken("the header has no class".into())),
        [] => "an empty file",
        [b'B', b'C', 0xc0, 0xde, ..] => "LLVM bitcode",
        _ => "something else",
    };
    Err(ElfError::NotElf { found: found.into() })
}

fn read<E: Endian>(name: &str, bytes: &[u8], endian: E) -> Result<Object, ElfError> {
    let broken = |error: object::Error| ElfError::Broken(error.to_string());
    let header = FileHeader64::<E>::parse(bytes).map_err(broken)?;
    let machine = header.e_machine(endian);
    // The clang of old wrote none for BPF.
    if ![EM_BPF, EM_NONE].contains(&machine) {
        return Err(ElfError::NotBpf { machine: machine.0 });
    }
    let sections = header.sections(endian, bytes).map_err(broken)?;
    let (mut programs, mut clang, mut mode) = (false, None, Mode::Release);
    for section in sections.iter() {
        let section_name = sections.section_name(endian, section).map_err(broken)?;
        // Also where nobody looks: the end of a truncated file is missing somewhere.
        let data = section.data(endian, bytes).map_err(broken)?;
        let is_code = section.sh_flags(endian).contains(SHF_EXECINSTR) && !data.is_empty();
        programs |= is_code && section_name != b".text";
        // Of DWARF's strings one is the compiler's name; BPF objects of clang have no `.comment`.
        if clang.is_none() && [b".comment".as_slice(), b".debug_str"].contains(&section_name) {
            clang = clang_version(&String::from_utf8_lossy(data));
        }
        let section_name = String::from_utf8_lossy(section_name);
        if ["__llvm_prf", "__llvm_cov"].iter().any(|part| section_name.contains(part)) {
            mode = Mode::Coverage;
        }
    }
    if !programs {
        return Err(ElfError::NoPrograms);
    }
    let version = header.e_flags(endian).0 & CPU_VERSION;
    Ok(Object {
        name: name.to_owned(),
        sha256: sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
        clang,
        mcpu: (version > 0).then(|| format!("v{version}")),
        mode,
    })
}

/// `22.1.8` from `Debian clang version 22.1.8 (…)`.
fn clang_version(comment: &str) -> Option<String> {
    let (_, behind) = comment.split_once("clang version ")?;
    let version: String = behind.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    (!version.is_empty()).then_some(version)
}

/// The name of an object by its file: `exec` of `out/exec.bpf.o`.
#[must_use]
pub fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let name = name.strip_suffix(".o").unwrap_or(&name);
    name.strip_suffix(".bpf").unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with no sections, for this machine in this byte order.
    fn header(order: u8, machine: u16) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, order, 1]);
        let machine = if order == 1 { machine.to_le_bytes() } else { machine.to_be_bytes() };
        bytes[18..20].copy_from_slice(&machine);
        bytes
    }

    #[test]
    fn what_is_no_object_says_what_it_is() {
        let found = |bytes: &[u8]| inspect("x", bytes).unwrap_err();
        assert_eq!(found(b""), ElfError::NotElf { found: "an empty file".into() });
        assert_eq!(found(b"#!/bin/sh\n"), ElfError::NotElf { found: "something else".into() });
        assert_eq!(found(b"BC\xc0\xde"), ElfError::NotElf { found: "LLVM bitcode".into() });
        assert_eq!(found(b"\x7fELF\x01\x01"), ElfError::NotElf { found: "a 32-bit ELF file".into() });
        assert_eq!(found(&header(1, 62)), ElfError::NotBpf { machine: 62 });
        assert_eq!(found(&header(2, 22)), ElfError::NotBpf { machine: 22 });
        assert_eq!(found(&header(1, EM_BPF.0)), ElfError::NoPrograms);
        assert!(matches!(found(&header(1, EM_BPF.0)[..40]), ElfError::Broken(_)));
        assert!(matches!(found(b"\x7fELF"), ElfError::Broken(_)));
    }

    #[test]
    fn the_clang_is_found_in_what_it_wrote() {
        assert_eq!(clang_version("\0Debian clang version 22.1.8 (1+b1)\0").as_deref(), Some("22.1.8"));
        assert_eq!(clang_version("GCC: (Debian) 15.2.0"), None);
    }

    #[test]
    fn an_object_is_named_by_its_file() {
        let names = ["out/exec.bpf.o", "plain.o", "x"].map(|path| name_of(Path::new(path)));
        assert_eq!(names, ["exec", "plain", "x"]);
    }
}

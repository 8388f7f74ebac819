//! Finds the kernel modules that a guest must load to reach the host: [`load_order`].
//!
//! The archive's kernel packages carry no `modules.dep`, so the dependencies are read from the modules themselves: each
//! names them in its ELF section `.modinfo` as `depends=a,b`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a kernel's modules could not be put together.
#[derive(Debug, Error)]
pub enum ModuleError {
    /// The directory or a module could not be read.
    #[error("cannot read the kernel modules in `{path}`: {source}")]
    Read {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A module is not the ELF file that it should be.
    #[error(
        "cannot read the dependencies of the module `{path}`: expected a 64-bit ELF file with a section `.modinfo`"
    )]
    Format {
        /// The module.
        path: PathBuf,
    },
    /// The kernel has a module neither as a file nor built in.
    #[error(
        "the kernel in `{directory}` lacks `{name}`: expected a module file, or a line in `modules.builtin`, found \
         neither\n  hint: the guest talks to the host through virtio_pci and virtio_console; choose another kernel"
    )]
    Missing {
        /// The module's name.
        name: String,
        /// The kernel's module directory.
        directory: PathBuf,
    },
}

/// A module, ready for `insmod`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name, with `_` where the file may have `-`.
    pub name: String,
    /// Its decompressed content.
    pub content: Vec<u8>,
}

/// The modules to load so that `wanted` work, in the order in which to load them. `directory` is the kernel's own,
/// `…/lib/modules/<release>`. What is built into the kernel needs no loading and is left out.
///
/// Newer packages have no list of what is built in. Then a module that is not there counts as built in, and the guest's
/// init says so if it is not.
///
/// # Errors
/// When the kernel lacks a module, or one cannot be read.
pub fn load_order(directory: &Path, wanted: &[&str]) -> Result<Vec<Module>, ModuleError> {
    let mut files = BTreeMap::new();
    find_modules(&directory.join("kernel"), &mut files)?;
    let builtin_path = directory.join("modules.builtin");
    let builtin = match fs::read_to_string(&builtin_path) {
        Ok(text) => Some(text.lines().filter_map(|line| module_name(Path::new(line))).collect::<Vec<_>>()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(ModuleError::Read { path: builtin_path, source }),
    };
    let mut search = Search { directory, files, builtin, order: Vec::new(), entered: Vec::new() };
    for name in wanted {
        search.visit(&normal(name))?;
    }
    Ok(search.order)
}

struct Search<'a> {
    directory: &'a Path,
    files: BTreeMap<String, PathBuf>,
    builtin: Option<Vec<String>>,
    order: Vec<Module>,
    entered: Vec<String>,
}

impl Search<'_> {
    fn visit(&mut self, name: &str) -> Result<(), ModuleError> {
        if self.entered.iter().any(|entered| entered == name) {
            return Ok(());
        }
        self.entered.push(name.to_owned());
        let Some(path) = self.files.get(name).cloned() else {
            let known_missing = self.builtin.as_ref().is_some_and(|builtin| !builtin.iter().any(|other| other == name));
            if known_missing {
                return Err(ModuleError::Missing { name: name.to_owned(), directory: self.directory.to_owned() });
            }
            return Ok(());
        };
        let content = read_module(&path).map_err(|source| ModuleError::Read { path: path.clone(), source })?;
        let depends = depends(&content).ok_or(ModuleError::Format { path })?;
        for dependency in depends {
            self.visit(&dependency)?;
        }
        self.order.push(Module { name: name.to_owned(), content });
        Ok(())
    }
}

fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// `drivers/char/hw_random/virtio-rng.ko.xz` is the module `virtio_rng`.
fn module_name(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let (stem, packing) = file.split_once(".ko")?;
    matches!(packing, "" | ".xz" | ".zst" | ".gz").then(|| normal(stem))
}

fn find_modules(directory: &Path, found: &mut BTreeMap<String, PathBuf>) -> Result<(), ModuleError> {
    let failed = |source| ModuleError::Read { path: directory.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            find_modules(&entry.path(), found)?;
        } else if let Some(name) = module_name(&entry.path()) {
            found.insert(name, entry.path());
        }
    }
    Ok(())
}

/// Decompressed here, because the guest would do it under emulation.
fn read_module(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = fs::read(path)?;
    let mut content = Vec::new();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => liblzma::read::XzDecoder::new(&bytes[..]).read_to_end(&mut content)?,
        Some("zst") => zstd::Decoder::new(&bytes[..])?.read_to_end(&mut content)?,
        Some("gz") => flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut content)?,
        _ => return Ok(bytes),
    };
    Ok(content)
}

/// The names after `depends=` in the section `.modinfo`, or `None` when this is no module.
fn depends(elf: &[u8]) -> Option<Vec<String>> {
    let info = section(elf, b".modinfo")?;
    let line = info.split(|byte| *byte == 0).find_map(|line| line.strip_prefix(b"depends="))?;
    let names = std::str::from_utf8(line).ok()?;
    Some(names.split(',').filter(|name| !name.is_empty()).map(normal).collect())
}

/// The content of a section of a little-endian 64-bit ELF file, which all of our architectures have (elf(5), `Elf64_Ehdr`
/// and `Elf64_Shdr`).
fn section<'a>(elf: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    const CLASS_64_LITTLE_ENDIAN: &[u8] = b"\x7fELF\x02\x01";
    if !elf.starts_with(CLASS_64_LITTLE_ENDIAN) {
        return None;
    }
    let table = number(elf, 0x28, 8)?;
    let size = number(elf, 0x3a, 2)?;
    let count = number(elf, 0x3c, 2)?;
    let names_index = number(elf, 0x3e, 2)?;
    let header = |index: usize| elf.get(table.checked_add(index.checked_mul(size)?)?..);
    let content = |header: &[u8]| {
        let start = number(header, 0x18, 8)?;
        elf.get(start..start.checked_add(number(header, 0x20, 8)?)?)
    };
    let names = content(header(names_index)?)?;
    (0..count).filter_map(header).find_map(|header| {
        let name = names.get(number(header, 0, 4)?..)?.split(|byte| *byte == 0).next()?;
        if name == wanted { content(header) } else { None }
    })
}

fn number(bytes: &[u8], offset: usize, width: usize) -> Option<usize> {
    let field = bytes.get(offset..offset + width)?;
    field.iter().rev().try_fold(0_usize, |value, byte| Some(value.checked_mul(256)? | usize::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest ELF file that has a `.modinfo`: header, two section headers, names, content.
    fn module(modinfo: &[u8]) -> Vec<u8> {
        let names = b"\0.modinfo\0.shstrtab\0";
        let names_at = 64 + 2 * 64;
        let info_at = names_at + names.len();
        let mut elf = vec![0; names_at];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[0x28] = 64; // e_shoff
        elf[0x3a] = 64; // e_shentsize
        elf[0x3c] = 2; // e_shnum
        elf[0x3e] = 1; // e_shstrndx
        for (at, name, start, length) in [(64, 1, info_at, modinfo.len()), (128, 10, names_at, names.len())] {
            elf[at] = name;
            elf[at + 0x18] = u8::try_from(start).unwrap();
            elf[at + 0x20] = u8::try_from(length).unwrap();
        }
        elf.extend_from_slice(names);
        elf.extend_from_slice(modinfo);
        elf
    }

    fn all(mut reader: impl Read) -> Vec<u8> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn kernel(modules: &[(&str, &str)], builtin: Option<&str>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let drivers = dir.path().join("kernel/drivers");
        fs::create_dir_all(&drivers).unwrap();
        for (file, depends) in modules {
            let plain = module(format!("license=GPL\0depends={depends}\0").as_bytes());
            let bytes = match file.rsplit_once('.').unwrap().1 {
                "xz" => all(liblzma::read::XzEncoder::new(&plain[..], 1)),
                "zst" => zstd::encode_all(&plain[..], 1).unwrap(),
                "gz" => all(flate2::read::GzEncoder::new(&plain[..], flate2::Compression::fast())),
                _ => plain,
            };
            fs::write(drivers.join(file), bytes).unwrap();
        }
        if let Some(builtin) = builtin {
            fs::write(dir.path().join("modules.builtin"), builtin).unwrap();
        }
        dir
    }

    fn names(dir: &tempfile::TempDir, wanted: &[&str]) -> Result<Vec<String>, ModuleError> {
        Ok(load_order(dir.path(), wanted)?.into_iter().map(|module| module.name).collect())
    }

    #[test]
    fn dependencies_come_first_and_once() {
        let dir = kernel(
            &[
                ("virtio.ko", ""),
                ("virtio-ring.ko.xz", "virtio"),
                ("virtio_pci.ko.zst", "virtio_ring,virtio"),
                ("virtio_console.ko.gz", "virtio-ring,virtio"),
                ("unrelated.ko", ""),
            ],
            Some(""),
        );
        let order = names(&dir, &["virtio_pci", "virtio_console"]).unwrap();
        assert_eq!(order, ["virtio", "virtio_ring", "virtio_pci", "virtio_console"]);
    }

    #[test]
    fn a_built_in_module_is_not_loaded() {
        let dir = kernel(&[("virtio_console.ko", "virtio")], Some("kernel/drivers/virtio/virtio.ko\n"));
        assert_eq!(names(&dir, &["virtio_console"]).unwrap(), ["virtio_console"]);
    }

    #[test]
    fn without_a_list_what_is_absent_counts_as_built_in() {
        let dir = kernel(&[], None);
        assert_eq!(names(&dir, &["virtio_console"]).unwrap(), [""; 0]);
    }

    #[test]
    fn a_kernel_without_the_module_is_refused() {
        let dir = kernel(&[], Some("kernel/drivers/virtio/virtio.ko\n"));
        let error = names(&dir, &["virtio_console"]).unwrap_err();
        assert!(matches!(&error, ModuleError::Missing { name, .. } if name == "virtio_console"), "{error}");
    }

    #[test]
    fn a_truncated_module_is_an_error() {
        let whole = module(b"depends=\0");
        assert_eq!(depends(&whole), Some(Vec::new()));
        for length in 0..whole.len() {
            assert_eq!(depends(&whole[..length]), None, "{length} bytes");
        }
    }
}

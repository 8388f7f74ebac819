//! The second engine, the LLVM pass of the crate `bpfcov`: [`build`].

use std::fs;
use std::path::Path;

use ::bpfcov::instrument::{InstrumentedBuild, Pipeline};

use super::BuildError;
use super::compile::Compiler;
use super::variant::{Built, check_globals, keep};
use crate::elf;
use crate::{Engine, Mode, object_hash};

/// The map of the counters that the pass makes.
const MAP: &str = ".data.profc";

/// Instruments `source`. The pass lays the counters out in the order of clang's sections of them; that is checked.
pub(super) fn build(
    compiler: &Compiler,
    source: &Path,
    name: &str,
    plain: &[u8],
    directory: &Path,
) -> Result<Built, BuildError> {
    let output = directory.join("bpfcov");
    fs::create_dir_all(&output).map_err(BuildError::file("make the directory", &output))?;
    let mode = Mode::Counters;
    let pipeline = Pipeline::new().source(source).output_dir(&output).clang(compiler.clang());
    let InstrumentedBuild { instrumented_obj, coverage_obj } = pipeline
        // It asks for an object and for text at once, which must not be an error.
        .clang_args(compiler.args(mode).chain(["-Wno-unused-command-line-argument".into()]))
        .run()
        .map_err(|error| BuildError::Pass { source_path: source.to_owned(), message: error.to_string() })?;
    let raw = fs::read(&coverage_obj).map_err(BuildError::file("read", &coverage_obj))?;
    let object = fs::read(&instrumented_obj).map_err(BuildError::file("read", &instrumented_obj))?;
    let failed = |source| BuildError::Elf { object: instrumented_obj.clone(), source };
    let functions = elf::inspect(&raw, mode).map_err(failed)?;
    elf::check_counters(&object, MAP, mode, &functions).map_err(failed)?;
    check_globals(plain, &object, mode, failed)?;
    let hash = object_hash(&raw);
    keep(&raw, name, &hash)?;
    Ok(Built { engine: Engine::Bpfcov, mode, map: MAP, object: instrumented_obj, hash, functions })
}

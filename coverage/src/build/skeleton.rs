//! Makes libbpf-cargo's generated skeleton take one of several objects: [`with_coverage`].

use std::fmt::Write as _;

use super::BuildError;
use super::variant::Built;
use crate::Engine;

/// Where the generated code names the object's bytes, as rustfmt leaves it and without.
const OBJECT: &str = "ObjectSkeletonConfigBuilder::new(&DATA)";
const CHOSEN_OBJECT: &str =
    "ObjectSkeletonConfigBuilder::new(::bpf_coverage::collect::object(&super::COVERAGE, &DATA))";

/// Where it refuses a map that it does not know, such as the one of the counters: once when opened, once when loaded.
const UNKNOWN_MAP: &str = "panic!(\"encountered unexpected map: `{name}`\")";

/// The skeleton `text` of the plain object, with the static `COVERAGE`; if there are instrumented objects, it opens the
/// one that `collect::load` chooses.
pub(super) fn with_coverage(text: &str, name: &str, built: &[Built]) -> Result<String, BuildError> {
    let mut text = text.to_owned();
    if !built.is_empty() {
        text = replaced(&text, OBJECT, CHOSEN_OBJECT, 1)?;
        text = replaced(&text, UNKNOWN_MAP, "()", 2)?;
    }
    let mut variants = String::new();
    for variant in built {
        write_variant(&mut variants, variant);
    }
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "\n/// The instrumented objects of `{name}`; none when it was built without coverage.\n\
         pub static COVERAGE: ::bpf_coverage::Instrumented =\n    \
         ::bpf_coverage::Instrumented {{ name: {name:?}, variants: &[{variants}] }};\n"
    );
    Ok(text)
}

fn replaced(text: &str, marker: &'static str, by: &str, expected: usize) -> Result<String, BuildError> {
    match text.matches(marker).count() {
        found if found == expected => Ok(text.replace(marker, by)),
        found => Err(BuildError::Generated { marker, found, expected }),
    }
}

fn write_variant(text: &mut String, built: &Built) {
    let engine = match built.engine {
        Engine::Clang => "Clang",
        Engine::Bpfcov => "Bpfcov",
    };
    let Built { mode, map, object, hash, functions, .. } = built;
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "\n    ::bpf_coverage::Variant {{ engine: ::bpf_coverage::Engine::{engine}, mode: ::bpf_coverage::Mode::{mode:?}, \
         map: {map:?}, object: include_bytes!({object:?}), hash: {hash:?}, functions: &["
    );
    for function in functions {
        let _ = write!(
            text,
            "\n        ::bpf_coverage::Function {{ name: {:?}, hash: {:#018x}, counters: {}, offset_bytes: {} }},",
            function.name, function.hash, function.counters, function.offset_bytes
        );
    }
    text.push_str("\n    ] },");
}

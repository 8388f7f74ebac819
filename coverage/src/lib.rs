//! Source coverage of BPF programs, for any project that builds and loads them with libbpf-rs.
//!
//! It needs no LLVM pass and no LLVM development packages: stock clang instruments the program as it does any other
//! (`-fprofile-instr-generate -fcoverage-mapping`), the object is rewritten so that its counters are one BPF map, and
//! after the run the map's contents are a profile that `llvm-profdata` and `llvm-cov` read. [`Instrumented`] is what the
//! build side hands to the run side.
//!
//! # The build script
//!
//! ```toml
//! [dependencies]
//! bpf-coverage = { version = "0.1", features = ["collect"] }
//! [build-dependencies]
//! bpf-coverage = { version = "0.1", features = ["build"] }
//! ```
//!
//! `build::SkeletonBuilder` (feature `build`) takes the place of the one of `libbpf_cargo`, and has the same methods:
//!
//! ```ignore
//! bpf_coverage::build::SkeletonBuilder::new()
//!     .source("src/bpf/tracer.bpf.c")
//!     .clang_args(["-mcpu=v2"])
//!     .build_and_generate(out.join("tracer.skel.rs"))?;
//! ```
//!
//! Usually it does what `libbpf_cargo` does. With `BPF_COVERAGE=1` in the environment it compiles two instrumented
//! objects as well. In both cases the generated file has one more item than libbpf-cargo's, the static `COVERAGE`.
//! `BPF_COVERAGE_OBJECTS` names a directory for the objects that `llvm-cov` needs later.
//!
//! # Where the skeleton is loaded
//!
//! ```ignore
//! let (skel, coverage) = bpf_coverage::collect::load(&skeleton::COVERAGE, || {
//!     let mut open = TracerSkelBuilder::default().open(place())?;
//!     open.maps.events.set_max_entries(1 << 20)?;
//!     open.load()
//! })?;
//! ```
//!
//! When `BPF_COVERAGE_DIR` names a directory, `load` (feature `collect`) tries the instrumented objects before the plain
//! one, and `coverage`, when it is dropped, writes there what was counted, also while a test panics. Keep it beside the
//! skeleton, and behind it: what is dropped first is detached first. Without the variable, `load` calls its argument once
//! and with the plain object, and nothing is written. So the same test executable serves for both.
//!
//! | mode | what it gives | when |
//! |---|---|---|
//! | counters | how often each line and branch ran | the verifier accepts it |
//! | single byte | which lines ran | the verifier accepts it, and not the one before; clang ≥ 19 |
//! | run counts | how often each program ran | otherwise; the record has the verifier's words |
//!
//! A rejected instrumented object thus costs data, never a test.
//!
//! # The report
//!
//! `export` (feature `export`) merges many of these profiles, and writes lcov with paths as git has them. It needs
//! `llvm-profdata` and `llvm-cov` of a release not older than the clang that compiled.
//!
//! The package in `example/` is a whole project, and its tests go the whole way, from C to lcov:
//! `BPF_COVERAGE_DIR=/tmp/coverage cargo run --package bpf-coverage-example 5 500`.
//!
//! # In the BPF source
//!
//! The macro `__BPF_COVERAGE__` is 1 where counters are compiled in, 2 where single bytes are, and else not defined: for
//! the loop bound or the stack buffer that a verifier does not take together with instrumentation.

#[cfg(feature = "build")]
pub mod build;
#[cfg(feature = "collect")]
pub mod collect;
#[cfg(any(feature = "build", feature = "export"))]
mod elf;
#[cfg(feature = "export")]
pub mod export;
#[cfg(any(feature = "collect", feature = "export"))]
pub mod record;

#[cfg(any(feature = "build", feature = "export"))]
mod repository;

#[cfg(any(feature = "build", feature = "export"))]
pub use self::{elf::ElfError, repository::repository_around};

/// The directory that libbpf's headers seem to be in. Reports leave it out.
#[cfg(any(feature = "build", feature = "export"))]
const LIBBPF_HEADERS: &str = "/libbpf";

/// The beginning of the MD5 of an object, in hexadecimal digits, by which records name it.
#[cfg(any(feature = "build", feature = "export"))]
fn object_hash(object: &[u8]) -> String {
    use md5::{Digest, Md5};
    Md5::digest(object).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// What a byte of a single-byte counter is as long as its code has not run; clang's code then sets it to 0.
#[cfg(any(feature = "build", feature = "collect"))]
const SINGLE_BYTE_UNTOUCHED: u8 = 0xff;

/// The instrumented objects of one BPF source, as the generated skeleton embeds them.
#[derive(Clone, Copy, Debug)]
pub struct Instrumented {
    /// The object's name: that of its source up to the first dot.
    pub name: &'static str,
    /// Most informative first; none in a build without coverage.
    pub variants: &'static [Variant],
}

/// One instrumented object.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// What instrumented it.
    pub engine: Engine,
    /// How it counts.
    pub mode: Mode,
    /// The name of the map that has the counters.
    pub map: &'static str,
    /// The object, as libbpf loads it.
    pub object: &'static [u8],
    /// The beginning of the MD5 of the object that llvm-cov reads, in hexadecimal digits.
    pub hash: &'static str,
    /// What the counters belong to.
    pub functions: &'static [Function],
}

/// The counters of one function of the source.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// LLVM's name of it; that of a static function begins with its file.
    pub name: &'static str,
    /// LLVM's hash of its control flow, by which a profile is matched to an object.
    pub hash: u64,
    /// How many counters it has.
    pub counters: u32,
    /// Where they begin in the map.
    pub offset_bytes: u32,
}

/// What instruments an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// clang's own instrumentation, and a rewritten object.
    Clang,
    /// The LLVM pass of the crate `bpfcov`.
    Bpfcov,
}

impl Engine {
    /// Its name in records and in `BPF_COVERAGE_ENGINE`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clang => "clang",
            Self::Bpfcov => "bpfcov",
        }
    }
}

/// How an instrumented object counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// 64-bit counters, not atomic: hits on several CPUs at once may count once.
    Counters,
    /// A byte that is cleared: whether a line ran, and nothing about branches.
    SingleByte,
}

impl Mode {
    /// Its name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counters => "counters",
            Self::SingleByte => "single_byte",
        }
    }

    /// The size of one counter in the map.
    #[must_use]
    pub const fn counter_bytes(self) -> u32 {
        match self {
            Self::Counters => 8,
            Self::SingleByte => 1,
        }
    }
}

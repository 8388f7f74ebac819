//! What BPF programs cost the kernel's verifier: [`measure()`] loads each program, and gives a [`Record`] of what the
//! kernel said of it.
//!
//! The same program costs one kernel five times of what it costs another, and which clang compiled it matters as well.
//! So what counts is measured in each kernel, and a file of [`Report`]s travels from there to whoever compares.
//!
//! | module | for |
//! |---|---|
//! | [`record`] | the file's types: [`Report`], [`Record`] |
//! | [`parse`] | the verifier's statistics, in the words of every kernel since 5.10 |
//! | [`stack`] | the deepest chain of calls, for kernels that do not tell it |
//! | [`elf`] | what a file must be before libbpf sees it |
//! | [`case`], [`measure`](mod@measure) | loading (feature `libbpf`, on by default) |
//!
//! # In a test of a project
//!
//! A test that only root can run loads what production loads, in the way production does, and leaves the report where the
//! harness finds it:
//!
//! ```no_run
//! # #[cfg(feature = "libbpf")] {
//! use bpf_complexity::{Case, measure};
//! # static OBJECT: &[u8] = &[];
//!
//! // A case is one way to load: here, with a constant of the BPF side set.
//! let cases = Case::each("system", OBJECT, |object| {
//!     bpf_complexity::set_autoload(object, "debug_only", false);
//!     Ok(())
//! })
//! .unwrap();
//! let report = measure("tracer", OBJECT, &cases);
//! // Into the directory that UKCI_ARTIFACTS names, or nowhere, when it is not set.
//! report.leave().unwrap();
//! assert_eq!(report.rejected(), Vec::<String>::new());
//! # }
//! ```
//!
//! A project with a skeleton uses [`Case::skeletons`], and configures the typed skeleton as it does elsewhere.

pub mod record;
pub mod read;
pub mod parse;
pub mod stack;
pub mod elf;
#[cfg(feature = "libbpf")]
pub mod case;
#[cfg(feature = "libbpf")]
mod load;
#[cfg(feature = "libbpf")]
pub mod measure;

#[cfg(feature = "libbpf")]
pub use self::case::{Case, set_autoload};
#[cfg(feature = "libbpf")]
pub use self::measure::measure;
pub use self::read::ReadError;
pub use self::record::{FILE_NAME, Record, Report, SCHEMA, Verdict};

//! What the tests of a run covered of the sources, cell by cell: [`Coverage`].
//!
//! A run that collects coverage leaves, in each cell's directory, `coverage/<test>/bpf/` with what `bpf_coverage` writes and
//! `coverage/<test>/userspace/*.profraw`, and in its own directory `coverage/objects/<arch>/llvm<N>/` with the objects and
//! executables that those are of.

mod gather;
mod lines;
mod policy;
mod scan;
mod summary;
mod table;

pub use self::gather::{Coverage, CoverageError, Readers};
pub use self::lines::{FileLines, Function, Line, LineTable, NoData};
pub use self::policy::{Policy, Shortfall};
pub use self::scan::{CellFiles, ScanError, scan};
pub use self::summary::Summary;
pub use self::table::render;

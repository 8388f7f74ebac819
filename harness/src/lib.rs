//! `ukci`: boots a matrix of real kernels in QEMU and runs the root-only tests of a Rust eBPF project in them.
//!
//! Data flows one way, and the modules stand in that order:
//!
//! ```text
//! matrix/*.yaml ─▶ MatrixSpec ─▶ Plan{Cell} ─▶ Inputs{Kernel, GuestImage, Bundle}
//!   ─▶ Vm ─▶ Session ─▶ TestRecord ─▶ CellOutcome ─▶ RunOutcome ─▶ reports
//! ```

pub mod matrix;
pub mod project;
pub mod process;
pub mod archive;
pub mod provision;
pub mod vm;
pub mod run;
pub mod complexity;
pub mod coverage;
pub mod report;
pub mod cli;

//! `ukci`: boots a matrix of real kernels in QEMU and runs the root-only tests of a Rust eBPF project in them.
//!
//! Data flows one way, and the modules stand in that order:
//!
//! ```text
//! matrix/*.yaml ─▶ MatrixSpec ─▶ Plan{Cell} ─▶ Inputs{Kernel, GuestImage, Bundle}
//!   ─▶ Vm ─▶ Session ─▶ TestRecord ─▶ CellOutcome ─▶ RunOutcome ─▶ reports
//! ```

pub mod archive;
pub mod matrix;
pub mod process;
pub mod project;
pub mod provision;
pub mod report;
pub mod run;
pub mod vm;

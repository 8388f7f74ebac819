//! What the project's BPF programs cost the verifier in every cell: [`Table`], from the files that tests left in a run's directory.
//!
//! ```text
//! cells/…/artifacts/…/complexity.json ─▶ Found ─▶ Table ─┬─▶ text, JSON, the page
//!                                                        ├─ Budget ─▶ findings
//!                                                        └─ another Table ─▶ Diff
//! ```

mod collect;
mod table;
mod export;
pub mod budget;
pub mod diff;
pub mod render;

pub use bpf_complexity::record::{INSNS_LIMIT, MAP_LIMIT, Mode, STACK_LIMIT_BYTES, Subprog};
pub use bpf_complexity::{Record, Verdict};

pub use self::collect::{Cause, Found, Problem, collect};
pub use self::export::Export;
pub use self::table::{ArchTable, Entry, Program, ProgramId, Table};

#[cfg(test)]
mod fixture;

//! What is written about one loaded object: [`Record`].

use serde::{Deserialize, Serialize};

/// The contents of `<object>-<pid>-<n>.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// 1.
    pub schema: u32,
    /// The object's name.
    pub object: String,
    /// The hash of the object that llvm-cov reads; absent when nothing was counted.
    pub object_hash: Option<String>,
    /// What instrumented it; absent likewise.
    pub engine: Option<String>,
    /// What is known.
    pub mode: Outcome,
    /// Why there is not more: what was tried before, and what the kernel's verifier said of it.
    pub reason: Option<String>,
    /// The object's programs.
    pub programs: Vec<ProgramRecord>,
}

/// What is known of a loaded object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// How often each line and branch ran.
    Counters,
    /// Which lines ran.
    SingleByte,
    /// How often each program ran.
    RunCounts,
    /// Nothing.
    None,
}

/// One program of the object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramRecord {
    /// Its name.
    pub name: String,
    /// How often it ran; absent when it was not loaded, or the kernel does not count (before 5.8, or without privilege).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_count: Option<u64>,
}

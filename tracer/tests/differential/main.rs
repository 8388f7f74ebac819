//! One workload, traced by every backend: each must say what the workload itself says that it did.
//!
//! This executable is the workload too (see `workload.rs`), so that the tests need nothing else in a guest.

#[cfg(target_arch = "x86_64")]
mod abi;
mod cases;
mod compare;
mod facts;
mod storm;
mod workload;

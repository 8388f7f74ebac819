//! The generated skeletons.

#![allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::allow_attributes_without_reason,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    reason = "generated code"
)]

pub mod probe {
    include!(concat!(env!("OUT_DIR"), "/probe.skel.rs"));
}
#[cfg(feature = "bpfcov")]
pub mod probe_bpfcov {
    include!(concat!(env!("OUT_DIR"), "/probe_bpfcov.skel.rs"));
}
pub mod refuses_both {
    include!(concat!(env!("OUT_DIR"), "/refuses_both.skel.rs"));
}
pub mod refuses_counters {
    include!(concat!(env!("OUT_DIR"), "/refuses_counters.skel.rs"));
}

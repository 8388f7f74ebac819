//! The generated skeleton of `bpf/first_light.bpf.c`, with the record types of `bpf/intf.h`.

#![allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::allow_attributes_without_reason,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    reason = "generated code"
)]

include!(concat!(env!("OUT_DIR"), "/first_light.skel.rs"));

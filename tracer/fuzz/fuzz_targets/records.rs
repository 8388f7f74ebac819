//! The records of the ring buffer: whatever a kernel sends, the decoder neither panics nor grows without bound.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracer::fuzzing::records(bytes));

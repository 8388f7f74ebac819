//! What `/proc` and ptrace(2) say: whatever it is, the decoders do not panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracer::fuzzing::proc(bytes));

//! The decoders, for the fuzz targets alone.

/// The records of the ring buffer: each is a length in two bytes and as many bytes.
pub fn records(bytes: &[u8]) {
    crate::ebpf::fuzz(chunks(bytes));
}

/// What `/proc` and ptrace(2) say of a process.
pub fn proc(bytes: &[u8]) {
    crate::ptrace::fuzz(bytes);
}

/// Cuts the fuzzer's bytes into records.
fn chunks(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk()?;
        let (chunk, rest) = rest.split_at(rest.len().min(u16::from_le_bytes(*length).into()));
        bytes = rest;
        Some(chunk)
    })
}

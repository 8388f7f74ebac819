//! The names of the functions of an instrumented object, which its other sections refer to by hash.

use std::io::Read;

use flate2::read::ZlibDecoder;
use md5::{Digest, Md5};

use super::ElfError;

/// More than the names of any object that the kernel loads.
const CAP_BYTES: u64 = 16 << 20;

/// Reads `__llvm_prf_names`: chunks of two ULEB128 lengths (uncompressed, and compressed or 0) and names that byte 1
/// separates. Between chunks there may be zeros for alignment.
pub(super) fn decode(mut section: &[u8]) -> Result<Vec<String>, ElfError> {
    let mut names = Vec::new();
    while let [first, rest @ ..] = section {
        if *first == 0 {
            section = rest;
            continue;
        }
        let plain_bytes = uleb128(&mut section)?;
        let compressed_bytes = uleb128(&mut section)?;
        let stored = if compressed_bytes == 0 { plain_bytes } else { compressed_bytes };
        let stored = usize::try_from(stored).ok().and_then(|len| section.split_at_checked(len));
        let (stored, rest) = stored.ok_or_else(|| layout("the names are cut short"))?;
        section = rest;
        let mut text = Vec::new();
        if compressed_bytes == 0 {
            text.extend_from_slice(stored);
        } else {
            let inflated = ZlibDecoder::new(stored).take(CAP_BYTES).read_to_end(&mut text);
            inflated.map_err(|error| layout(&format!("the names cannot be decompressed: {error}")))?;
        }
        if text.len() as u64 != plain_bytes {
            return Err(layout(&format!("expected {plain_bytes} bytes of names, found {}", text.len())));
        }
        let text = String::from_utf8(text).map_err(|error| layout(&format!("the names are no text: {error}")))?;
        names.extend(text.split('\u{1}').map(str::to_owned));
    }
    Ok(names)
}

/// What the other sections call the function: the low half of the MD5 of its name.
pub(super) fn reference(name: &str) -> u64 {
    let digest = Md5::digest(name);
    u64::from_le_bytes([digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7]])
}

fn uleb128(bytes: &mut &[u8]) -> Result<u64, ElfError> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or_else(|| layout("a length of names is cut short"))?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(layout("a length of names has more than 63 bits"))
}

fn layout(what: &str) -> ElfError {
    ElfError::Layout(what.to_owned())
}

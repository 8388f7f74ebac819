//! Reading the records of `bpf/intf.h` from bytes: [`Record`].

use crate::skeleton::types::{
    rec_begin, rec_child, rec_close, rec_data, rec_end, rec_exit, rec_key, wire_credentials, wire_fd, wire_path,
    wire_path_end,
};

/// A record type of `intf.h`.
///
/// # Safety
///
/// Only for `repr(C)` types of integers without padding, for which all bytes are valid.
pub(super) unsafe trait Record: Copy {}
// SAFETY: integers only; intf.h asserts the size that leaves no padding.
unsafe impl Record for rec_key {}
// SAFETY: as above.
unsafe impl Record for rec_begin {}
// SAFETY: as above.
unsafe impl Record for rec_data {}
// SAFETY: as above.
unsafe impl Record for rec_close {}
// SAFETY: as above.
unsafe impl Record for rec_end {}
// SAFETY: as above.
unsafe impl Record for rec_child {}
// SAFETY: as above.
unsafe impl Record for rec_exit {}
// SAFETY: as above.
unsafe impl Record for wire_fd {}
// SAFETY: as above.
unsafe impl Record for wire_credentials {}
// SAFETY: as above.
unsafe impl Record for wire_path {}
// SAFETY: as above.
unsafe impl Record for wire_path_end {}

/// The record at the start of `bytes`, if they suffice.
pub(super) fn read<T: Record>(bytes: &[u8]) -> Option<T> {
    let bytes = bytes.get(..size_of::<T>())?;
    // SAFETY: the slice has the size of T, unaligned reads are allowed, and any bytes make a valid `Record`.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

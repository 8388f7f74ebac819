//! Records in, events out: [`Assembler`] joins the records of `bpf/intf.h`. Pure; never panics on what the kernel sent.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use crate::first_light::{ARGV_CAP, ArgvCut, ExecEvent};
use crate::first_light_skeleton::types::{end_flags, rec_data, rec_end, rec_head, rec_key, rec_kind};

/// Execs that are begun at a time at most. Only those whose end was lost stay, and the oldest make room.
const MAX_PENDING: usize = 1024;

/// Joins records to whole execs.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    pending: HashMap<u32, Partial>,
    done: VecDeque<ExecEvent>,
    malformed: u64,
}

#[derive(Debug)]
struct Partial {
    head: rec_head,
    filename: Vec<u8>,
    argv: Vec<u8>,
}

impl Assembler {
    /// Takes one record of the ring buffer.
    pub(crate) fn push(&mut self, record: &[u8]) {
        if self.take(record).is_none() {
            self.malformed += 1;
        }
    }

    /// The next exec that is whole.
    pub(crate) fn pop(&mut self) -> Option<ExecEvent> {
        self.done.pop_front()
    }

    /// Records that made no sense: 0 unless something is wrong, each costs at most one exec.
    pub(crate) fn malformed(&self) -> u64 {
        self.malformed
    }

    fn take(&mut self, record: &[u8]) -> Option<()> {
        let key: rec_key = read(record)?;
        match rec_kind(key.kind) {
            rec_kind::REC_HEAD => {
                let head = read(record)?;
                if self.pending.len() >= MAX_PENDING {
                    let oldest = self.pending.iter().min_by_key(|(_, partial)| partial.head.key.time_ns);
                    let oldest = oldest.map(|(tgid, _)| *tgid)?;
                    self.pending.remove(&oldest);
                }
                // An exec of the same process without its end makes room: the kernel side has counted it.
                self.pending.insert(key.tgid, Partial { head, filename: Vec::new(), argv: Vec::new() });
                Some(())
            }
            rec_kind::REC_FILENAME => self.append(record, &key, |partial| &mut partial.filename),
            rec_kind::REC_ARGV => self.append(record, &key, |partial| &mut partial.argv),
            rec_kind::REC_END => {
                let end: rec_end = read(record)?;
                let partial = self.pending.remove(&key.tgid)?;
                self.done.push_back(partial.finish(&end)?);
                Some(())
            }
            _ => None,
        }
    }

    fn append(&mut self, record: &[u8], key: &rec_key, part: fn(&mut Partial) -> &mut Vec<u8>) -> Option<()> {
        let data: rec_data = read(record)?;
        let payload = record.get(size_of::<rec_data>()..)?.get(..data.len as usize)?;
        let partial = self.pending.get_mut(&key.tgid).filter(|partial| partial.head.key.time_ns == key.time_ns)?;
        let bytes = part(partial);
        if bytes.len() != data.offset as usize || bytes.len() + payload.len() > ARGV_CAP {
            self.pending.remove(&key.tgid);
            return None;
        }
        bytes.extend_from_slice(payload);
        Some(())
    }
}

impl Partial {
    fn finish(self, end: &rec_end) -> Option<ExecEvent> {
        let Partial { head, filename, argv } = self;
        let has = |flag: end_flags| end.flags & flag.0 != 0;
        let whole = head.key.time_ns == end.key.time_ns
            && filename.len() == end.filename_len as usize
            && argv.len() == end.argv_sent as usize;
        let argv_cut = if has(end_flags::ARGV_FAULT) {
            Some(ArgvCut::NotResident)
        } else if has(end_flags::ARGV_CAPPED) {
            Some(ArgvCut::TooLong)
        } else {
            None
        };
        if !whole || (argv_cut.is_none() && argv.len() as u64 != head.argv_len) {
            return None;
        }
        Some(ExecEvent {
            time: Duration::from_nanos(head.key.time_ns),
            pid: head.pid,
            tgid: head.key.tgid,
            old_pid: head.old_pid,
            ppid: head.ppid,
            uid: head.uid,
            comm: OsString::from_vec(head.comm.iter().copied().take_while(|byte| *byte != 0).collect()),
            filename: (!has(end_flags::FILENAME_FAULT)).then(|| OsString::from_vec(filename)),
            argv: split(&argv),
            argc: head.argc,
            argv_len: head.argv_len,
            argv_cut,
        })
    }
}

/// The arguments of a region in which each ends with NUL; without the last NUL, the last argument is partial.
fn split(region: &[u8]) -> Vec<OsString> {
    region
        .split_inclusive(|byte| *byte == 0)
        .map(|arg| arg.strip_suffix(&[0]).unwrap_or(arg).to_vec())
        .map(OsString::from_vec)
        .collect()
}

/// A record type of `intf.h`.
///
/// # Safety
///
/// Only for `repr(C)` types of integers without padding, for which all bytes are valid.
unsafe trait Record: Copy {}
// SAFETY: integers only; intf.h asserts the size that leaves no padding.
unsafe impl Record for rec_key {}
// SAFETY: as above.
unsafe impl Record for rec_head {}
// SAFETY: as above.
unsafe impl Record for rec_data {}
// SAFETY: as above.
unsafe impl Record for rec_end {}

/// The record at the start of `bytes`, if they suffice.
fn read<T: Record>(bytes: &[u8]) -> Option<T> {
    let bytes = bytes.get(..size_of::<T>())?;
    // SAFETY: the slice has the size of T, unaligned reads are allowed, and any bytes make a valid `Record`.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;

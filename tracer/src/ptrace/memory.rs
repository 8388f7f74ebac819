//! A stopped tracee's memory: [`Memory`] reads strings and arrays of pointers, in bulk.

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::fs::File;
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use crate::event::{Absent, Cut, Field, List, Text};

/// What is read at once: no page of any architecture is smaller, so one of these is readable whole or not at all.
const PAGE: u64 = 4096;
/// Pieces in one call: the kernel's `UIO_MAXIOV`.
const MAX_PIECES: usize = 1024;
/// Bytes of a string at most: one more than the longest that the kernel takes, with its NUL (`MAX_ARG_STRLEN`).
const MAX_STRING: usize = 32 * PAGE as usize + 1;
/// The longest argv and environment together that the kernel takes: 3/4 of `_STK_LIM`.
pub(super) const MAX_TOTAL: usize = 6 << 20;
/// Pages that are kept while strings are read: 16 MiB.
const MAX_KEPT: usize = 4096;

/// The memory of a stopped tracee.
pub(super) struct Memory {
    tid: u32,
    /// `/proc/PID/mem`, where process_vm_readv is not allowed; opened when it is needed.
    file: OnceCell<Result<File, Errno>>,
    /// How many calls have read something.
    calls: Cell<u32>,
}

impl Memory {
    pub(super) fn of(tid: u32) -> Self {
        Self { tid, file: OnceCell::new(), calls: Cell::new(0) }
    }

    /// How many system calls it took so far.
    #[cfg(test)]
    pub(super) fn calls(&self) -> u32 {
        self.calls.get()
    }

    /// The bytes at `address`, at most `len`, as far as they can be read; and why not further.
    pub(super) fn read(&self, address: u64, len: usize) -> (Vec<u8>, Option<Errno>) {
        let mut bytes = vec![0; len];
        let mut done = 0;
        while done < len {
            let Some(at) = address.checked_add(done as u64) else { break };
            match self.read_pieces(&mut bytes[done..], &pieces(at, len - done)) {
                Ok(0) => break,
                Ok(more) => done += more,
                Err(errno) => {
                    bytes.truncate(done);
                    return (bytes, Some(errno));
                }
            }
        }
        bytes.truncate(done);
        let short = (done < len).then_some(Errno::EFAULT);
        (bytes, short)
    }

    /// Reads the pieces one after another into `bytes`, until one cannot be read; an error if that is the first.
    fn read_pieces(&self, bytes: &mut [u8], pieces: &[RemoteIoVec]) -> Result<usize, Errno> {
        if self.file.get().is_none() {
            self.calls.set(self.calls.get() + 1);
            let result = process_vm_readv(Pid::from_raw(self.tid.cast_signed()), &mut [IoSliceMut::new(bytes)], pieces);
            // Refused by a security module, or by the filter of a container that the tracer is in.
            if !matches!(result, Err(Errno::EPERM | Errno::ENOSYS)) {
                return result;
            }
        }
        let open = || File::open(format!("/proc/{}/mem", self.tid)).map_err(|err| errno(&err));
        let file = self.file.get_or_init(open).as_ref().map_err(|errno| *errno)?;
        let mut done = 0;
        for piece in pieces {
            self.calls.set(self.calls.get() + 1);
            match file.read_at(&mut bytes[done..done + piece.len], piece.base as u64) {
                Ok(len) if len == piece.len => done += len,
                Ok(len) if done + len > 0 => return Ok(done + len),
                // The file ends where nothing is mapped.
                Ok(_) => return Err(Errno::EFAULT),
                Err(_) if done > 0 => return Ok(done),
                // What this file says for EFAULT; EINVAL is where an address would be a negative position.
                Err(err) => {
                    return Err(match errno(&err) {
                        Errno::EIO | Errno::EINVAL => Errno::EFAULT,
                        errno => errno,
                    });
                }
            }
        }
        Ok(done)
    }

    /// The string at `address`, at most `max` bytes with its NUL.
    pub(super) fn text(&self, address: u64, max: usize) -> Field<Text> {
        let mut text = Text::default();
        while text.bytes.len() < max {
            let Some(at) = address.checked_add(text.bytes.len() as u64) else { break };
            // To the end of the page, and one more: few strings are longer, and fewer need a third call.
            let len = (PAGE - at % PAGE) as usize + PAGE as usize;
            let (bytes, short) = self.read(at, len.min(max - text.bytes.len()));
            let nul = bytes.iter().position(|byte| *byte == 0);
            text.bytes.extend_from_slice(&bytes[..nul.unwrap_or(bytes.len())]);
            if nul.is_some() {
                return Ok(text);
            }
            if let Some(errno) = short {
                text.cut = Some(unreadable(errno));
                return if text.bytes.is_empty() { Err(absent(errno)) } else { Ok(text) };
            }
        }
        text.cut = Some(Cut::TooLong);
        Ok(text)
    }

    /// The pointers of an array that ends with a null one; a null address is an empty array, as for the kernel.
    pub(super) fn pointers(&self, address: u64, width: usize) -> Field<List<u64>> {
        let mut list = List::default();
        let (mut at, mut pages) = (address, 1);
        if address == 0 {
            return Ok(list);
        }
        while list.items.len() * width <= MAX_TOTAL {
            // One page first, which most arrays fit in, then more and more.
            let len = ((PAGE - at % PAGE) + (pages - 1) * PAGE) as usize / width * width;
            let len = len.max(width);
            let (bytes, short) = self.read(at, len);
            for item in bytes.chunks_exact(width) {
                let pointer = match item.try_into() {
                    Ok(item) => u64::from_ne_bytes(item),
                    Err(_) => u32::from_ne_bytes([item[0], item[1], item[2], item[3]]).into(),
                };
                if pointer == 0 {
                    return Ok(list);
                }
                list.items.push(pointer);
            }
            if let Some(errno) = short {
                list.cut = Some(unreadable(errno));
                return if list.items.is_empty() { Err(absent(errno)) } else { Ok(list) };
            }
            // What is readable does not wrap around: the next read would fail.
            (at, pages) = (at.wrapping_add(len as u64), (pages * 4).min(MAX_PIECES as u64 / 4));
        }
        list.cut = Some(Cut::TooLong);
        Ok(list)
    }

    /// The strings that these pointers point to, until one cannot be read or they get longer than the kernel takes.
    pub(super) fn strings(&self, pointers: List<u64>) -> List<Vec<u8>> {
        const BATCH: usize = 512;
        let mut pages = Pages { memory: self, kept: HashMap::new() };
        let mut list = List { items: Vec::with_capacity(pointers.items.len()), cut: None };
        let mut total = 0;
        for batch in pointers.items.chunks(BATCH) {
            pages.fetch(batch.iter().map(|pointer| pointer / PAGE));
            for pointer in batch {
                let (string, cut) = pages.string(*pointer);
                total += string.len() + 1;
                let cut = cut.or((total > MAX_TOTAL).then_some(Cut::TooLong));
                if cut.is_none() || !string.is_empty() {
                    list.items.push(string);
                }
                if cut.is_some() {
                    list.cut = cut;
                    return list;
                }
            }
        }
        list.cut = pointers.cut;
        list
    }
}

/// Pages that have been read already, by number.
struct Pages<'m> {
    memory: &'m Memory,
    kept: HashMap<u64, Result<Box<[u8]>, Errno>>,
}

impl Pages<'_> {
    /// Reads those that are not there yet.
    fn fetch(&mut self, numbers: impl Iterator<Item = u64>) {
        let mut missing: Vec<u64> = numbers.filter(|number| !self.kept.contains_key(number)).collect();
        missing.sort_unstable();
        missing.dedup();
        if self.kept.len() + missing.len() > MAX_KEPT {
            self.kept.clear();
        }
        let mut missing = missing.as_slice();
        let mut bytes = vec![0; missing.len() * PAGE as usize];
        while !missing.is_empty() {
            let count = missing.len().min(MAX_PIECES);
            let piece = |number: &u64| RemoteIoVec { base: (number * PAGE) as usize, len: PAGE as usize };
            let pieces: Vec<_> = missing[..count].iter().map(piece).collect();
            let result = self.memory.read_pieces(&mut bytes[..count * PAGE as usize], &pieces);
            let whole = *result.as_ref().unwrap_or(&0) / PAGE as usize;
            for (number, page) in missing.iter().zip(bytes.chunks_exact(PAGE as usize)).take(whole) {
                self.kept.insert(*number, Ok(page.into()));
            }
            // The one that stopped it cannot be read; those after it may.
            let failed = usize::from(whole < count);
            if failed == 1 {
                self.kept.insert(missing[whole], Err(result.err().unwrap_or(Errno::EFAULT)));
            }
            missing = &missing[whole + failed..];
        }
    }

    fn string(&mut self, address: u64) -> (Vec<u8>, Option<Cut>) {
        let mut string = Vec::new();
        let mut at = address;
        loop {
            let number = at / PAGE;
            if !self.kept.contains_key(&number) {
                // Half the longest string: one that is long is likely to go on.
                self.fetch(number..(number + 16).min(u64::MAX / PAGE));
            }
            let page = match self.kept.get(&number) {
                Some(Ok(page)) => &page[(at % PAGE) as usize..],
                Some(Err(errno)) => return (string, Some(unreadable(*errno))),
                None => return (string, Some(unreadable(Errno::EFAULT))),
            };
            let nul = page.iter().position(|byte| *byte == 0);
            string.extend_from_slice(&page[..nul.unwrap_or(page.len())]);
            if string.len() >= MAX_STRING {
                string.truncate(MAX_STRING);
                return (string, Some(Cut::TooLong));
            }
            if nul.is_some() {
                return (string, None);
            }
            at = (number + 1) * PAGE;
        }
    }
}

/// A range in pieces that do not cross pages, as many as fit in one call.
fn pieces(address: u64, len: usize) -> Vec<RemoteIoVec> {
    let (mut at, mut left) = (address, len);
    let mut pieces = Vec::new();
    while left > 0 && pieces.len() < MAX_PIECES {
        let len = left.min((PAGE - at % PAGE) as usize);
        pieces.push(RemoteIoVec { base: at as usize, len });
        left -= len;
        at = at.wrapping_add(len as u64);
    }
    pieces
}

fn errno(err: &std::io::Error) -> Errno {
    Errno::from_raw(err.raw_os_error().unwrap_or(0))
}

fn unreadable(errno: Errno) -> Cut {
    Cut::Unreadable(errno as i32)
}

/// The reason for a field that could not be read at all.
pub(super) fn absent(errno: Errno) -> Absent {
    match errno {
        Errno::ESRCH => Absent::Gone,
        errno => Absent::Unreadable(errno as i32),
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;

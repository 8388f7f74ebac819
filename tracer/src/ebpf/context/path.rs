//! A path as the kernel side sends it, and the text that `/proc` would show: [`Path`].

use super::take;
use crate::event::{Absent, Field, Text};
use crate::skeleton::types::{limits, wire_path, wire_path_end, wire_path_flags, wire_status};

/// `ENAMETOOLONG`: what d_path() answers for a path beyond its limit. Ours is higher.
const NAME_TOO_LONG: i32 = 36;

/// File systems without directories that make up the texts of their files, by the numbers of <linux/magic.h>.
const PIPEFS: u32 = 0x5049_5045;
const SOCKFS: u32 = 0x534f_434b;
const ANON_INODE_FS: u32 = 0x0904_1934;
const NSFS: u32 = 0x6e73_6673;
const PIDFS: u32 = 0x5049_4446; // 6.9; before, pidfds are anonymous inodes
const DMA_BUF: u32 = 0x444d_4142;

/// A path in its names.
#[derive(Debug)]
pub(super) struct Path<'a> {
    head: wire_path,
    /// From the last to the first.
    names: Vec<&'a [u8]>,
    status: i32,
}

impl<'a> Path<'a> {
    /// The path that the bytes begin with, and what follows it; `None` if it has no end.
    pub(super) fn take(mut bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let head = take(&mut bytes)?;
        let mut names = Vec::new();
        loop {
            // A name's header is the first half of the end's, and there are undefined bytes after a name.
            let len = u32::from_ne_bytes(*bytes.first_chunk()?);
            if len == limits::WIRE_PATH_END.0 {
                let end: wire_path_end = take(&mut bytes)?;
                return Some((Self { head, names, status: end.status }, bytes));
            }
            let len = len as usize;
            names.push(bytes.get(4..)?.get(..len)?);
            bytes = bytes.get((4 + len).next_multiple_of(8)..)?;
        }
    }

    /// The path from the root of its mount namespace, or what its file system shows instead. `inode` is the file's.
    pub(super) fn text(&self, inode: u64) -> Field<Text> {
        match self.status {
            0 => {}
            status if status == wire_status::PATH_ESCAPED.0 => {
                return Ok(Text { bytes: self.with_mark(b"/".to_vec()), cut: None });
            }
            status if status == wire_status::PART_TOO_LONG.0 => return Err(Absent::Unreadable(NAME_TOO_LONG)),
            errno => return Err(Absent::Unreadable(errno)),
        }
        let bytes = if self.has(wire_path_flags::PATH_MADE_UP) { self.made_up(inode)? } else { self.joined() };
        Ok(Text { bytes, cut: None })
    }

    fn has(&self, flag: wire_path_flags) -> bool {
        self.head.flags & flag.0 != 0
    }

    fn joined(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for name in self.names.iter().rev() {
            bytes.push(b'/');
            bytes.extend_from_slice(name);
        }
        if bytes.is_empty() {
            bytes.push(b'/');
        }
        self.with_mark(bytes)
    }

    fn with_mark(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.has(wire_path_flags::PATH_UNLINKED) {
            bytes.extend_from_slice(b" (deleted)");
        }
        bytes
    }

    fn made_up(&self, inode: u64) -> Field<Vec<u8>> {
        let name = self.names.first().copied().unwrap_or_default();
        let numbered = format!(":[{inode}]");
        Ok(match self.head.magic {
            PIPEFS => [b"pipe", numbered.as_bytes()].concat(),
            SOCKFS => [b"socket", numbered.as_bytes()].concat(),
            NSFS => [name, numbered.as_bytes()].concat(),
            PIDFS => b"anon_inode:[pidfd]".to_vec(),
            ANON_INODE_FS => [b"anon_inode:", name].concat(),
            DMA_BUF => return Err(Absent::NotSeen("the name of a DMA buffer")),
            // simple_dname(): memfd, System V and POSIX shared memory without a mount, asynchronous I/O.
            _ => [b"/", name, b" (deleted)"].concat(),
        })
    }
}

//! What `/proc` says of a process: readers that fail each on its own, over decoders of bytes.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use nix::errno::Errno;
use nix::libc;

use super::memory::absent;
use crate::event::{Credentials, Cut, Fd, Field, Ids, List, Text};

/// Files of a process that are looked at; with more, the list is cut.
const MAX_FDS: usize = 4096;

/// What is taken of `/proc/PID/status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) tgid: u32,
    pub(super) ppid: u32,
    pub(super) tracer: u32,
    /// `NStgid`, since 4.1.
    pub(super) namespace_pids: Vec<u32>,
    pub(super) credentials: Credentials,
}

impl Status {
    pub(super) fn of(tid: u32) -> Field<Self> {
        Self::decode(&read(format!("/proc/{tid}/status"))?).ok_or(absent(Errno::EPROTO))
    }

    /// `None` if a line is missing that every kernel has.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let numbers = |name: &[u8]| {
            let line =
                bytes.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name)?.strip_prefix(b":"))?;
            words(line).map(number).collect::<Option<Vec<u32>>>()
        };
        let ids = |name| match numbers(name)?[..] {
            [real, effective, saved, fs] => Some(Ids { real, effective, saved, fs }),
            _ => None,
        };
        let first = |name| numbers(name)?.first().copied();
        let tgid = first(b"Tgid")?;
        let groups = List { items: numbers(b"Groups")?, cut: None };
        Some(Self {
            tgid,
            ppid: first(b"PPid")?,
            tracer: first(b"TracerPid")?,
            namespace_pids: numbers(b"NStgid").unwrap_or_else(|| vec![tgid]),
            credentials: Credentials { uid: ids(b"Uid")?, gid: ids(b"Gid")?, groups },
        })
    }
}

/// What is taken of `/proc/PID/stat`, which of all files says most at least cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) ppid: u32,
    /// `None` if the kernel does not tell us.
    pub(super) areas: Option<Areas>,
}

/// Where a program's arguments and environment are in its memory: `mm->arg_start` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Areas {
    pub(super) args: (u64, u64),
    pub(super) env: (u64, u64),
}

impl Stat {
    pub(super) fn of(tid: u32) -> Field<Self> {
        Self::decode(&read(format!("/proc/{tid}/stat"))?).ok_or(absent(Errno::EPROTO))
    }

    /// The second field is a name in parentheses, which may have parentheses and blanks in it.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().rposition(|byte| *byte == b')')?;
        // proc(5) counts from 1; what comes after the name is the third.
        let mut fields = words(&bytes[end + 1..]).skip(4 - 3);
        let ppid = number(fields.next()?)?;
        let mut fields = fields.skip(48 - 5).map(number::<u64>);
        let mut next = || fields.next().flatten().filter(|address| *address != 0);
        let mut area = || Some((next()?, next()?));
        let areas = area().and_then(|args| Some(Areas { args, env: area()? }));
        Some(Self { ppid, areas })
    }
}

/// The name of a thread.
pub(super) fn comm(tid: u32) -> Field<Vec<u8>> {
    let mut name = read(format!("/proc/{tid}/comm"))?;
    if name.last() == Some(&b'\n') {
        name.pop();
    }
    Ok(name)
}

/// The arguments of a program, as its memory has them; the kernel gives them to everybody.
pub(super) fn cmdline(tid: u32) -> Field<Vec<u8>> {
    read(format!("/proc/{tid}/cmdline"))
}

/// The working directory.
pub(super) fn cwd(tid: u32) -> Field<Text> {
    link(format!("/proc/{tid}/cwd"))
}

/// The path in the cgroup v2 hierarchy.
pub(super) fn cgroup(tid: u32) -> Field<Text> {
    let bytes = read(format!("/proc/{tid}/cgroup"))?;
    decode_cgroup(&bytes).ok_or(crate::event::Absent::NotApplicable)
}

/// Of `/proc/PID/cgroup`; `None` if there is no cgroup v2.
pub(super) fn decode_cgroup(bytes: &[u8]) -> Option<Text> {
    let path = bytes.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::"))?;
    Some(Text { bytes: path.into(), cut: None })
}

/// The open files.
pub(super) fn fds(tid: u32) -> Field<List<Fd>> {
    let mut list = List::default();
    for entry in std::fs::read_dir(format!("/proc/{tid}/fd")).map_err(io_absent)? {
        let name = entry.map_err(io_absent)?.file_name().into_vec();
        let Some(number) = number(&name) else { continue };
        if list.items.len() == MAX_FDS {
            list.cut = Some(Cut::TooLong);
            break;
        }
        // Another thread may close it at any time; then it is not open.
        list.items.extend(fd(tid, number));
    }
    list.items.sort_unstable_by_key(|fd| fd.number);
    Ok(list)
}

fn fd(tid: u32, number: u32) -> Option<Fd> {
    let path = format!("/proc/{tid}/fd/{number}");
    let info = FdInfo::decode(&read(format!("/proc/{tid}/fdinfo/{number}")).ok()?)?;
    let inode = match info.inode {
        Some(inode) => Ok(inode),
        // Following the link is opening the file's own description, not its path.
        None => std::fs::metadata(&path).map(|file| std::os::unix::fs::MetadataExt::ino(&file)).map_err(io_absent),
    };
    let cloexec = info.flags & libc::O_CLOEXEC.cast_unsigned();
    Some(Fd {
        number,
        path: link(path),
        flags: info.flags & !cloexec,
        cloexec: cloexec != 0,
        offset: info.offset,
        mount_id: info.mount_id,
        inode,
    })
}

/// What is taken of `/proc/PID/fdinfo/N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FdInfo {
    flags: u32,
    offset: u64,
    mount_id: u32,
    /// Since 5.14.
    inode: Option<u64>,
}

impl FdInfo {
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let value = |name: &[u8]| {
            let line = bytes.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name))?;
            words(line).next()
        };
        let flags = std::str::from_utf8(value(b"flags:")?).ok()?;
        Some(Self {
            flags: u32::from_str_radix(flags, 8).ok()?,
            // A file may be at a negative position: those of /dev/mem and of /proc/PID/mem, for instance.
            offset: number::<i64>(value(b"pos:")?)?.cast_unsigned(),
            mount_id: number(value(b"mnt_id:")?)?,
            inode: value(b"ino:").and_then(number),
        })
    }
}

/// Where a link of `/proc` points to.
fn link(path: String) -> Field<Text> {
    let target = std::fs::read_link(path).map_err(io_absent)?;
    Ok(Text { bytes: target.into_os_string().into_vec(), cut: None })
}

/// A whole file of `/proc`, which gives as much as is asked for, and less only at its end.
fn read(path: impl AsRef<Path>) -> Field<Vec<u8>> {
    let mut file = File::open(path).map_err(io_absent)?;
    let mut bytes = vec![0; 4096];
    let mut len = 0;
    loop {
        let room = bytes.len() - len;
        let more = file.read(&mut bytes[len..]).map_err(io_absent)?;
        len += more;
        // One byte is left of a line that a file makes in one go; others end with a read of nothing.
        if more == 0 || more < room && bytes[len - 1] == b'\n' {
            bytes.truncate(len);
            return Ok(bytes);
        }
        if len == bytes.len() {
            bytes.resize(4 * len, 0);
        }
    }
}

fn io_absent(err: std::io::Error) -> crate::event::Absent {
    let errno = err.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    // ENOENT is a directory of /proc that is no more.
    absent(if errno == Errno::ENOENT { Errno::ESRCH } else { errno })
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

fn number<T: std::str::FromStr>(word: &[u8]) -> Option<T> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

#[cfg(test)]
#[path = "proc_tests.rs"]
mod tests;

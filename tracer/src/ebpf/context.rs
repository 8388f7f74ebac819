//! What an exec happened in, from its parts: working directory, open files, credentials, cgroup, process ids. Pure; a part
//! that makes no sense ends where it stops making sense.

use super::parts::{Part, Parts};
use super::wire::{Record, read};
use crate::event::{Absent, Credentials, Cut, Fd, Field, Ids, List, Text};
use crate::skeleton::types::{wire_credentials, wire_fd, wire_field};

mod path;
use path::Path;

/// The working directory.
pub(super) fn cwd(parts: &Parts) -> Field<Text> {
    lone_path(part(parts, wire_field::FIELD_CWD)?)
}

/// The cgroup's path.
pub(super) fn cgroup(parts: &Parts) -> Field<Text> {
    lone_path(part(parts, wire_field::FIELD_CGROUP)?)
}

/// The open files.
pub(super) fn fds(parts: &Parts) -> Field<List<Fd>> {
    let part = part(parts, wire_field::FIELD_FDS)?;
    let mut rest = part.bytes.as_slice();
    let mut items = Vec::new();
    while let Some((fd, after)) = fd(rest) {
        items.push(fd);
        rest = after;
    }
    Ok(List { items, cut: part.cut().or_else(|| (!rest.is_empty()).then_some(Cut::Lost)) })
}

/// Who it runs as.
pub(super) fn credentials(parts: &Parts) -> Field<Credentials> {
    let ids: wire_credentials = take(&mut whole(parts, wire_field::FIELD_CREDENTIALS)?).ok_or(Absent::Lost)?;
    let groups = parts.part(wire_field::FIELD_GROUPS, 0);
    let groups = match groups {
        Some(part) => List { items: numbers(&part.bytes), cut: part.cut() },
        None => List { items: Vec::new(), cut: Some(Cut::Lost) },
    };
    Ok(Credentials {
        uid: Ids { real: ids.uid, effective: ids.euid, saved: ids.suid, fs: ids.fsuid },
        gid: Ids { real: ids.gid, effective: ids.egid, saved: ids.sgid, fs: ids.fsgid },
        groups,
    })
}

/// The process id in each pid namespace, that in the initial one first.
pub(super) fn namespace_pids(parts: &Parts) -> Field<Vec<u32>> {
    Ok(numbers(whole(parts, wire_field::FIELD_NAMESPACE_PIDS)?))
}

/// A part of which there is something, or which is whole.
fn part(parts: &Parts, field: wire_field) -> Field<&Part> {
    let part = parts.part(field, 0).ok_or(Absent::Lost)?;
    part.not_empty()?;
    Ok(part)
}

/// The bytes of a part that is no use unless it is whole.
fn whole(parts: &Parts, field: wire_field) -> Field<&[u8]> {
    let part = part(parts, field)?;
    match part.cut() {
        None => Ok(&part.bytes),
        Some(Cut::Unreadable(errno)) => Err(Absent::Unreadable(errno)),
        Some(_) => Err(Absent::Lost),
    }
}

/// A part that is one path. A path of which the end has not come lacks its beginning: then there is none.
fn lone_path(part: &Part) -> Field<Text> {
    Path::take(&part.bytes).map_or(Err(Absent::Lost), |(path, _)| path.text(0))
}

/// The first descriptor of the bytes, with its path, and what follows it.
fn fd(mut bytes: &[u8]) -> Option<(Fd, &[u8])> {
    let fd: wire_fd = take(&mut bytes)?;
    let (path, rest) = Path::take(bytes)?;
    let fd = Fd {
        number: fd.number,
        path: path.text(fd.inode),
        flags: fd.flags,
        cloexec: fd.cloexec != 0,
        offset: fd.position.cast_unsigned(),
        mount_id: fd.mount_id,
        inode: Ok(fd.inode),
    };
    Some((fd, rest))
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|number| u32::from_ne_bytes(*number)).collect()
}

/// Takes a record off the front of the bytes.
fn take<T: Record>(bytes: &mut &[u8]) -> Option<T> {
    let record = read(bytes)?;
    *bytes = bytes.get(size_of::<T>()..)?;
    Some(record)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod root_tests;

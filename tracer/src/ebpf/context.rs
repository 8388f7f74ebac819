//! What an exec happened in, from its parts: working directory, open files, credentials, cgroup, namespaces.

use super::parts::Parts;
use crate::event::{Credentials, Fd, Field, List, Text};
use crate::skeleton::types::wire_field;

/// The working directory.
pub(super) fn cwd(parts: &Parts) -> Field<Text> {
    parts.text(wire_field::FIELD_CWD, 0)
}

/// The open files.
pub(super) fn fds(_parts: &Parts) -> Field<List<Fd>> {
    Err(crate::event::Absent::Lost)
}

/// Who it runs as.
pub(super) fn credentials(_parts: &Parts) -> Field<Credentials> {
    Err(crate::event::Absent::Lost)
}

/// The cgroup's path.
pub(super) fn cgroup(parts: &Parts) -> Field<Text> {
    parts.text(wire_field::FIELD_CGROUP, 0)
}

/// The process id in each pid namespace.
pub(super) fn namespace_pids(_parts: &Parts) -> Field<Vec<u32>> {
    Err(crate::event::Absent::Lost)
}

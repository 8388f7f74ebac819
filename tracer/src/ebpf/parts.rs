//! The parts of one exec, as its records have brought them: [`Parts`]. Pure; whatever the bytes are.

use std::collections::BTreeMap;

use crate::event::{Absent, Cut, Field, List, Text};
use crate::skeleton::types::{wire_field, wire_status};

/// Bytes of all parts of one exec that are kept at most, and the number of parts: the kernel side sends less.
const MAX_BYTES: usize = 24 << 20;
const MAX_PARTS: usize = 1 << 17;

/// One part: the bytes that have come, and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) bytes: Vec<u8>,
    closed: Option<i32>,
}

/// All parts of one exec, by field and index.
#[derive(Debug, Default)]
pub(super) struct Parts {
    parts: BTreeMap<(u16, u32), Part>,
    bytes: usize,
}

impl Parts {
    /// Adds a payload to a part; `false` if it does not belong there: what has come before it was lost, or the part is
    /// closed.
    pub(super) fn append(&mut self, field: u16, index: u32, offset: u32, payload: &[u8]) -> bool {
        if self.bytes + payload.len() > MAX_BYTES || self.parts.len() >= MAX_PARTS {
            return false;
        }
        let part = self.parts.entry((field, index)).or_default();
        if part.closed.is_some() || part.bytes.len() != offset as usize {
            return false;
        }
        part.bytes.extend_from_slice(payload);
        self.bytes += payload.len();
        true
    }

    /// Closes a part; `false` if it is closed, or if bytes are lacking, and then it stays open.
    pub(super) fn close(&mut self, field: u16, index: u32, status: i32, len: u32) -> bool {
        if self.parts.len() >= MAX_PARTS {
            return false;
        }
        let part = self.parts.entry((field, index)).or_default();
        if part.closed.is_some() || part.bytes.len() != len as usize {
            return false;
        }
        part.closed = Some(status);
        true
    }

    /// A part, if any of its records has come.
    pub(super) fn part(&self, field: wire_field, index: u32) -> Option<&Part> {
        self.parts.get(&(u16::try_from(field.0).ok()?, index))
    }

    /// A part's bytes as a text.
    pub(super) fn text(&self, field: wire_field, index: u32) -> Field<Text> {
        let part = self.part(field, index).ok_or(Absent::Lost)?;
        part.not_empty()?;
        Ok(Text { bytes: part.bytes.clone(), cut: part.cut() })
    }

    /// A part's bytes as strings, each of which ends with NUL; without the last NUL, the last string is partial.
    pub(super) fn strings(&self, field: wire_field) -> Field<List<Vec<u8>>> {
        let part = self.part(field, 0).ok_or(Absent::Lost)?;
        part.not_empty()?;
        let items = part.bytes.split_inclusive(|byte| *byte == 0);
        let items = items.map(|item| item.strip_suffix(&[0]).unwrap_or(item).to_vec()).collect();
        Ok(List { items, cut: part.cut() })
    }
}

impl Part {
    /// Why it is not whole, if it is not.
    pub(super) fn cut(&self) -> Option<Cut> {
        match self.closed {
            None => Some(Cut::Lost),
            Some(status) if status == wire_status::PART_WHOLE.0 => None,
            Some(status) if status == wire_status::PART_TOO_LONG.0 => Some(Cut::TooLong),
            Some(status) if status == wire_status::PART_NOT_RESIDENT.0 => Some(Cut::NotResident),
            Some(errno) => Some(Cut::Unreadable(errno)),
        }
    }

    /// Nothing at all is no value, but for a reason.
    pub(super) fn not_empty(&self) -> Result<(), Absent> {
        match self.cut() {
            Some(cut) if self.bytes.is_empty() => Err(match cut {
                Cut::TooLong | Cut::Lost => Absent::Lost,
                Cut::NotResident => Absent::NotResident,
                Cut::Unreadable(errno) => Absent::Unreadable(errno),
            }),
            _ => Ok(()),
        }
    }
}

//! Records in, what happened out: [`Decoder`]. Pure; whatever the bytes are.

use std::collections::HashMap;
use std::time::Duration;

use super::exec::{Begun, exec};
use super::parts::Parts;
use super::wire::read;
use crate::event::{Child, End, Exit, What};
use crate::options::Collect;
use crate::running::Observed;
use crate::skeleton::types::{rec_begin, rec_child, rec_close, rec_data, rec_end, rec_exit, rec_key, rec_kind};

/// Execs that are begun at a time at most, and the bytes that they hold. Beyond it the oldest one is dropped: only those
/// whose end was lost stay.
const MAX_BEGUN: usize = 16_384;
const MAX_BYTES: usize = 32 << 20;

/// Joins the records of `bpf/intf.h`.
#[derive(Debug)]
pub(super) struct Decoder {
    collect: Collect,
    begun: HashMap<u64, Partial>,
    bytes: usize,
    /// Execs that have begun so far: the age of each.
    count: u64,
    malformed: u64,
}

#[derive(Debug)]
struct Partial {
    age: u64,
    begin: Begun,
    parts: Parts,
    bytes: usize,
}

impl Decoder {
    pub(super) fn new(collect: Collect) -> Self {
        Self { collect, begun: HashMap::new(), bytes: 0, count: 0, malformed: 0 }
    }

    /// Takes one record of the ring buffer, and gives what it completes.
    pub(super) fn push(&mut self, record: &[u8]) -> Option<Observed> {
        let Ok(observed) = self.take(record).ok_or(()) else {
            self.malformed += 1;
            return None;
        };
        observed
    }

    /// Records that made no sense, and ends of execs that had no beginning: each stands for an exec at most.
    pub(super) fn malformed(&self) -> u64 {
        self.malformed
    }

    /// `None` if it makes no sense.
    fn take(&mut self, record: &[u8]) -> Option<Option<Observed>> {
        let key: rec_key = read(record)?;
        match rec_kind(key.kind.into()) {
            rec_kind::REC_BEGIN => self.begin(&read(record)?),
            rec_kind::REC_DATA => self.data(record)?,
            rec_kind::REC_CLOSE => {
                let close: rec_close = read(record)?;
                if let Some(partial) = self.begun.get_mut(&key.exec) {
                    partial.parts.close(key.field, key.index, close.status, close.len);
                }
            }
            rec_kind::REC_END => return self.end(&read(record)?).map(Some),
            rec_kind::REC_GONE => drop(self.remove(key.exec)),
            rec_kind::REC_CHILD => {
                let child: rec_child = read(record)?;
                let what = What::Child(Child { parent_tgid: child.parent_tgid, tgid: child.tgid });
                return Some(Some(Observed { boot: Duration::from_nanos(child.time_ns), what }));
            }
            rec_kind::REC_EXIT => {
                let exit: rec_exit = read(record)?;
                let what = What::Exit(Exit { tgid: exit.tgid, end: end_of(exit.code) });
                return Some(Some(Observed { boot: Duration::from_nanos(exit.time_ns), what }));
            }
            _ => return None,
        }
        Some(None)
    }

    fn begin(&mut self, begin: &rec_begin) {
        // An exec of the same number is one whose end was lost: the kernel side has counted it.
        self.remove(begin.key.exec);
        self.count += 1;
        let partial = Partial { age: self.count, begin: Begun::of(begin), parts: Parts::default(), bytes: 0 };
        self.begun.insert(begin.key.exec, partial);
        self.make_room();
    }

    fn data(&mut self, record: &[u8]) -> Option<()> {
        let data: rec_data = read(record)?;
        let payload = record.get(size_of::<rec_data>()..)?.get(..data.len as usize)?;
        // Without its beginning it is one that has been dropped.
        let Some(partial) = self.begun.get_mut(&data.key.exec) else { return Some(()) };
        if partial.parts.append(data.key.field, data.key.index, data.offset, payload) {
            // A part costs more than its bytes.
            let cost = payload.len() + 64;
            partial.bytes += cost;
            self.bytes += cost;
            self.make_room();
        }
        Some(())
    }

    fn end(&mut self, end: &rec_end) -> Option<Observed> {
        let Partial { begin, parts, .. } = self.remove(end.key.exec)?;
        let exec = exec(begin, &parts, end, &self.collect);
        Some(Observed { boot: Duration::from_nanos(end.time_ns), what: What::Exec(Box::new(exec)) })
    }

    fn remove(&mut self, exec: u64) -> Option<Partial> {
        let partial = self.begun.remove(&exec)?;
        self.bytes -= partial.bytes;
        Some(partial)
    }

    fn make_room(&mut self) {
        while self.begun.len() > MAX_BEGUN || (self.bytes > MAX_BYTES && self.begun.len() > 1) {
            let oldest = self.begun.iter().min_by_key(|(_, partial)| partial.age).map(|(exec, _)| *exec);
            if oldest.and_then(|oldest| self.remove(oldest)).is_none() {
                return;
            }
        }
    }
}

/// As wait(2) has it.
fn end_of(code: u32) -> End {
    let signal = (code & 0x7f) as i32;
    if signal == 0 {
        End::Code((code >> 8 & 0xff) as i32)
    } else {
        End::Signal { number: signal, core: code & 0x80 != 0 }
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;

//! What execs are compared with: [`Baseline`], and the differences from it.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;

use crate::event::{Exec, Fd, List};

/// The environment, the working directory and the standard streams of the tracer when it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// The environment, in its order; without entries that have no `=`.
    pub env: Vec<Vec<u8>>,
    /// The working directory, if it has a path.
    pub cwd: Option<Vec<u8>>,
    /// The open ones of descriptors 0 to 2.
    pub stdio: Vec<Stdio>,
}

/// One of the three standard streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stdio {
    /// Its number.
    pub number: u32,
    /// As `/proc/PID/fd` shows it.
    pub path: Vec<u8>,
    /// Its inode's number.
    pub inode: u64,
}

impl Baseline {
    /// That of this process, now.
    pub fn of_this_process() -> Self {
        let entry = |(name, value): (OsString, OsString)| [name.as_bytes(), value.as_bytes()].join(&b'=');
        Self {
            env: std::env::vars_os().map(entry).collect(),
            cwd: std::env::current_dir().ok().map(|path| path.into_os_string().into_vec()),
            stdio: (0..3).filter_map(stdio).collect(),
        }
    }
}

/// `None` if it is closed.
fn stdio(number: u32) -> Option<Stdio> {
    let link = format!("/proc/self/fd/{number}");
    let path = fs::read_link(&link).ok()?.into_os_string().into_vec();
    Some(Stdio { number, path, inode: fs::metadata(&link).ok()?.ino() })
}

/// How an environment differs from the tracer's.
///
/// The value of a name is that of its first entry, as getenv(3) has it. Entries that getenv(3) does not reach, because
/// the name was there before or there is no `=`, are `extra`, unless the tracer's environment has them too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EnvDiff<'a> {
    /// Entries of names that the tracer has not, in the environment's order.
    pub(crate) added: Vec<Entry<'a>>,
    /// Entries of names that have another value, in the environment's order.
    pub(crate) changed: Vec<Entry<'a>>,
    /// Names that only the tracer has, in its order; `None` if the environment is cut.
    pub(crate) removed: Option<Vec<&'a [u8]>>,
    /// Entries that getenv(3) does not reach, in the environment's order.
    pub(crate) extra: Vec<&'a [u8]>,
    /// The names that both have stand in another order.
    pub(crate) reordered: bool,
}

/// A variable of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl<'a> Entry<'a> {
    /// `None` without a name or without a `=`.
    pub(crate) fn parse(entry: &'a [u8]) -> Option<Self> {
        let equals = entry.iter().skip(1).position(|byte| *byte == b'=')? + 1;
        Some(Self { name: &entry[..equals], value: &entry[equals + 1..] })
    }
}

/// An environment, as getenv(3) sees it.
struct Names<'a> {
    entries: Vec<Entry<'a>>,
    extra: Vec<&'a [u8]>,
}

impl<'a> Names<'a> {
    fn of(env: &'a [Vec<u8>]) -> Self {
        let (mut entries, mut extra, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for bytes in env {
            match Entry::parse(bytes) {
                Some(entry) if seen.insert(entry.name) => entries.push(entry),
                _ => extra.push(bytes.as_slice()),
            }
        }
        Self { entries, extra }
    }
}

impl<'a> EnvDiff<'a> {
    /// The difference of `env` from the baseline's. The last entry of a cut environment does not count: it may be partial.
    pub(crate) fn new(env: &'a List<Vec<u8>>, baseline: &'a [Vec<u8>]) -> Self {
        let whole = env.items.len() - usize::from(env.cut.is_some() && !env.items.is_empty());
        let (now, then) = (Names::of(&env.items[..whole]), Names::of(baseline));
        let values: HashMap<_, _> = then.entries.iter().map(|entry| (entry.name, entry.value)).collect();
        let mut diff = Self::default();
        for entry in &now.entries {
            match values.get(entry.name) {
                None => diff.added.push(*entry),
                Some(value) if *value != entry.value => diff.changed.push(*entry),
                Some(_) => {}
            }
        }
        let names: HashSet<_> = now.entries.iter().map(|entry| entry.name).collect();
        let kept = then.entries.iter().map(|entry| entry.name).filter(|name| names.contains(name));
        let kept_now = now.entries.iter().map(|entry| entry.name).filter(|name| values.contains_key(name));
        diff.reordered = !kept_now.eq(kept);
        diff.extra = now.extra.into_iter().filter(|entry| !then.extra.contains(entry)).collect();
        if env.cut.is_none() {
            diff.removed = Some(values_not_in(&then.entries, &names));
        }
        diff
    }
}

fn values_not_in<'a>(entries: &[Entry<'a>], names: &HashSet<&[u8]>) -> Vec<&'a [u8]> {
    entries.iter().map(|entry| entry.name).filter(|name| !names.contains(name)).collect()
}

/// A standard stream that is not the tracer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StdioChange<'a> {
    /// 0, 1 or 2.
    pub(crate) number: u32,
    /// The tracer's, if it has one.
    pub(crate) was: Option<&'a [u8]>,
    /// What the program has; `None` if it is closed.
    pub(crate) now: Option<&'a Fd>,
}

/// The standard streams that the program does not share with the tracer; `None` if that is not known. A stream that a
/// successful exec closes counts as closed.
pub(crate) fn stdio_changes<'a>(exec: &'a Exec, baseline: &'a [Stdio]) -> Option<Vec<StdioChange<'a>>> {
    let fds = exec.fds.as_ref().ok()?;
    let change = |number| {
        let was = baseline.iter().find(|stdio| stdio.number == number);
        let now = fds.items.iter().find(|fd| fd.number == number && !(fd.cloexec && exec.errno == 0));
        let same = match (was, now) {
            (Some(was), Some(now)) => is_same(was, now),
            (None, None) => true,
            // In a list that is cut, what is not there may still be open.
            (Some(_), None) => fds.cut.is_some(),
            (None, Some(_)) => false,
        };
        (!same).then_some(StdioChange { number, was: was.map(|was| was.path.as_slice()), now })
    };
    Some((0..3).filter_map(change).collect())
}

/// What could not be read is taken to be the same.
fn is_same(was: &Stdio, now: &Fd) -> bool {
    now.path.as_ref().is_ok_and(|path| path.bytes == was.path || path.cut.is_some())
        && now.inode.as_ref().map_or(true, |inode| *inode == was.inode)
        || now.path.is_err()
}

#[cfg(test)]
#[path = "baseline_tests.rs"]
mod tests;

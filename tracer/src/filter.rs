//! Which execs are handed out: the part of [`Filter`] that is done here, which is all of it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::event::{Exec, Field, Text};
use crate::options::{Filter, Outcome};

impl Filter {
    /// The exec matches every part that is not empty. What could not be read matches: rather one too many than one that
    /// is missing without a word.
    pub(crate) fn shows(&self, exec: &Exec) -> bool {
        let outcome = match self.outcome {
            Outcome::Any => true,
            Outcome::Success => exec.errno == 0,
            Outcome::Failure => exec.errno != 0,
        };
        outcome
            && matches(&self.pids, |pid| *pid == exec.pid || *pid == exec.tgid)
            && matches_field(&self.uids, &exec.credentials, |uid, credentials| *uid == credentials.uid.real)
            && matches_field(&self.comms, &exec.comm, |wanted, comm| wanted == comm)
            && matches_field(&self.cgroups, &exec.cgroup, |wanted, cgroup| is_below(&cgroup.bytes, wanted))
            && self.shows_path(exec)
    }

    /// The path as it was given, or joined to the working directory if it is relative.
    fn shows_path(&self, exec: &Exec) -> bool {
        let (Some(globs), Ok(filename)) = (&self.paths, &exec.filename) else { return true };
        let filename = path(filename);
        globs.is_match(filename) || exec.cwd.as_ref().is_ok_and(|cwd| globs.is_match(path(cwd).join(filename)))
    }
}

fn matches<W>(wanted: &[W], is: impl Fn(&W) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(is)
}

fn matches_field<W, T>(wanted: &[W], field: &Field<T>, is: impl Fn(&W, &T) -> bool) -> bool {
    field.as_ref().map_or(true, |value| matches(wanted, |wanted| is(wanted, value)))
}

/// The cgroup is `above`, or below it.
fn is_below(cgroup: &[u8], above: &[u8]) -> bool {
    let above = above.strip_suffix(b"/").unwrap_or(above);
    cgroup.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

fn path(text: &Text) -> &Path {
    Path::new(OsStr::from_bytes(&text.bytes))
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;

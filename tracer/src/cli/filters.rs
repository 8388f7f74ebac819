//! Which execs are shown: [`FilterArgs`].

use std::ffi::OsString;

use clap::Args;
use globset::{Glob, GlobSet};

use crate::error::{Error, ErrorKind, Result};
use crate::options::{Filter, Outcome};

/// Which execs are shown.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which execs (those that match one of each; new processes and exits are not filtered)")]
pub(super) struct FilterArgs {
    /// By these processes or threads
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pid: Vec<u32>,
    /// By users with this real id, or name
    #[arg(long, value_name = "USER", value_delimiter = ',', value_parser = parse_user)]
    uid: Vec<u32>,
    /// By processes of this name (comm, at most 15 bytes)
    #[arg(long, value_name = "NAME")]
    comm: Vec<OsString>,
    /// In this cgroup or below it: /system.slice
    #[arg(long, value_name = "PATH")]
    cgroup: Vec<OsString>,
    /// Of files whose path, as given or from the root, matches a glob; `*` matches `/` too
    #[arg(long, value_name = "GLOB", value_parser = parse_glob)]
    path: Vec<Glob>,
    /// That succeeded
    #[arg(short = 'z', long, conflicts_with = "failed_only")]
    successful_only: bool,
    /// That failed
    #[arg(short = 'Z', long)]
    failed_only: bool,
}

/// A glob, or what is wrong with it.
pub(super) fn parse_glob(text: &str) -> Result<Glob, String> {
    Glob::new(text).map_err(|err| err.kind().to_string())
}

fn parse_user(text: &str) -> Result<u32, String> {
    if let Ok(uid) = text.parse() {
        return Ok(uid);
    }
    match nix::unistd::User::from_name(text) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err("there is no such user".into()),
        Err(err) => Err(err.to_string()),
    }
}

/// One set of them all.
pub(super) fn glob_set(globs: &[Glob]) -> Result<GlobSet> {
    let mut set = GlobSet::builder();
    globs.iter().for_each(|glob| {
        set.add(glob.clone());
    });
    // Each of them compiled when it was parsed; together they may be too large.
    set.build().map_err(|err| Error::new(ErrorKind::Usage, "cannot compile the globs").with_source(err))
}

impl FilterArgs {
    /// The filter.
    pub(super) fn filter(self) -> Result<Filter> {
        let bytes = |words: Vec<OsString>| words.into_iter().map(OsString::into_encoded_bytes).collect();
        Ok(Filter {
            pids: self.pid,
            uids: self.uid,
            comms: bytes(self.comm),
            cgroups: bytes(self.cgroup),
            paths: if self.path.is_empty() { None } else { Some(glob_set(&self.path)?) },
            outcome: match (self.successful_only, self.failed_only) {
                (true, _) => Outcome::Success,
                (_, true) => Outcome::Failure,
                _ => Outcome::Any,
            },
        })
    }
}

//! One loaded object, from its load to what is written about it: [`Session`].

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use libbpf_rs::{MapCore, MapFlags, MapHandle, Object};

use super::profile;
use crate::record::{Outcome, ProgramRecord, Record};
use crate::{Instrumented, Mode, Variant};

/// What has to be read at the end.
#[derive(Debug)]
pub(super) struct Session {
    directory: PathBuf,
    record: Record,
    variant: Option<&'static Variant>,
    counters: Option<MapHandle>,
    programs: Vec<(String, Option<OwnedFd>)>,
    /// As long as it is open, the kernel counts runs.
    _statistics: Option<OwnedFd>,
}

impl Session {
    /// Of an object that is loaded.
    pub(super) fn new(
        directory: PathBuf,
        instrumented: &Instrumented,
        variant: Option<&'static Variant>,
        reasons: &[String],
        object: &Object,
    ) -> Self {
        let mut session = Self::not_loaded(directory, instrumented, reasons);
        session._statistics = count_runs();
        session.programs = object
            .progs()
            .map(|program| {
                // A program that was not to be loaded has no descriptor.
                let loaded = program.as_fd().as_raw_fd() >= 0;
                let descriptor = if loaded { program.as_fd().try_clone_to_owned().ok() } else { None };
                (program.name().to_string_lossy().into_owned(), descriptor)
            })
            .collect();
        session.record.mode = Outcome::RunCounts;
        let Some(variant) = variant else { return session };
        session.record.object_hash = Some(variant.hash.to_owned());
        session.record.engine = Some(variant.engine.name().to_owned());
        let map = object.maps().find(|map| map.name() == variant.map);
        match map.map(|map| MapHandle::try_from(&map)) {
            Some(Ok(map)) => {
                session.record.mode = match variant.mode {
                    Mode::Counters => Outcome::Counters,
                    Mode::SingleByte => Outcome::SingleByte,
                };
                session.variant = Some(variant);
                session.counters = Some(map);
            }
            Some(Err(error)) => session.lose(&format!("cannot keep the map of counters: {error:#}")),
            None => session.lose(&format!("the object has no map `{}`", variant.map)),
        }
        session
    }

    /// Of an object that could not be loaded.
    pub(super) fn not_loaded(directory: PathBuf, instrumented: &Instrumented, reasons: &[String]) -> Self {
        let record = Record {
            schema: 1,
            object: instrumented.name.to_owned(),
            object_hash: None,
            engine: None,
            mode: Outcome::None,
            reason: if reasons.is_empty() { None } else { Some(reasons.join("\n")) },
            programs: Vec::new(),
        };
        Self { directory, record, variant: None, counters: None, programs: Vec::new(), _statistics: None }
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.record.mode
    }

    /// Reads the counters, and writes the files. What fails is said on standard error, and in the record where possible.
    pub(super) fn write(mut self) {
        let counted = self.programs.iter().map(|(name, descriptor)| ProgramRecord {
            name: name.clone(),
            run_count: self._statistics.as_ref().and(descriptor.as_ref()).and_then(run_count),
        });
        self.record.programs = counted.collect();
        if self.record.mode == Outcome::RunCounts && self.record.programs.iter().all(|one| one.run_count.is_none()) {
            self.record.mode = Outcome::None;
        }
        let profile = self.profile();
        if let Err(error) = self.write_files(profile.as_deref()) {
            complain(&format!("cannot write to `{}`: {error}", self.directory.display()));
        }
    }

    fn profile(&mut self) -> Option<String> {
        let (variant, map) = (self.variant?, self.counters.take()?);
        let read = match map.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY) {
            Ok(Some(counters)) => profile::text(variant, &counters),
            Ok(None) => Err("the map of counters is empty".to_owned()),
            Err(error) => Err(format!("cannot read the map of counters: {error:#}")),
        };
        match read {
            Ok(text) => Some(text),
            Err(reason) => {
                self.lose(&reason);
                None
            }
        }
    }

    /// Notes that the counters are lost.
    fn lose(&mut self, why: &str) {
        complain(why);
        let runs_known = self.record.programs.iter().any(|program| program.run_count.is_some());
        self.record.mode = if runs_known { Outcome::RunCounts } else { Outcome::None };
        let reason = self.record.reason.get_or_insert_default();
        if !reason.is_empty() {
            reason.push('\n');
        }
        reason.push_str(why);
    }

    /// The record is written last: whoever finds one finds its profile.
    fn write_files(&self, profile: Option<&str>) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let (stem, part) = self.reserve()?;
        if let Some(profile) = profile {
            write_whole(&part, &self.directory.join(format!("{stem}.proftext")), profile.as_bytes())?;
        }
        let record = serde_json::to_vec(&self.record)?;
        write_whole(&part, &self.directory.join(format!("{stem}.json")), &record)
    }

    /// The first name that nobody has, and the file that reserves it while it is written to.
    fn reserve(&self) -> io::Result<(String, PathBuf)> {
        let mut number = 1_u32;
        loop {
            let stem = format!("{}-{}-{number}", self.record.object, std::process::id());
            let part = self.directory.join(format!(".{stem}.part"));
            match OpenOptions::new().write(true).create_new(true).open(&part) {
                Ok(_) if !self.directory.join(format!("{stem}.json")).exists() => return Ok((stem, part)),
                Ok(_) => fs::remove_file(&part)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            number += 1;
        }
    }
}

fn write_whole(part: &Path, path: &Path, contents: &[u8]) -> io::Result<()> {
    fs::write(part, contents)?;
    fs::rename(part, path)
}

/// Makes the kernel count the runs of all programs (since 5.8).
fn count_runs() -> Option<OwnedFd> {
    // SAFETY: it takes no pointers.
    let descriptor = unsafe { libbpf_sys::bpf_enable_stats(libbpf_sys::BPF_STATS_RUN_TIME) };
    // SAFETY: it is open, and nobody else's.
    (descriptor >= 0).then(|| unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn run_count(program: &OwnedFd) -> Option<u64> {
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut len = u32::try_from(size_of_val(&info)).ok()?;
    // SAFETY: `info` is writable and `len` is its size; an older kernel fills less and leaves the zeros.
    let err = unsafe { libbpf_sys::bpf_prog_get_info_by_fd(program.as_raw_fd(), &raw mut info, &raw mut len) };
    (err == 0).then_some(info.run_cnt)
}

/// Standard error may be gone, too.
fn complain(what: &str) {
    drop(writeln!(io::stderr(), "bpf-coverage: {what}"));
}

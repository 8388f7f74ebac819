//! The eBPF backend, and the only module that knows libbpf.

use std::io::Write;
use std::sync::mpsc;
use std::thread;

use crate::error::{Error, Result};
use crate::options::{Options, Target};
use crate::queue::queue;
use crate::running::Running;

mod context;
mod decode;
mod doctor;
mod exec;
mod launch;
mod load_cases;
mod load_error;
mod parts;
mod probe;
mod programs;
mod run;
mod setup;
mod tier;
mod tree;
mod wire;

pub use doctor::{Doctor, HookReport, doctor};
pub use load_cases::{LoadCase, load_cases};
pub use probe::{Attempt, Refusal};
use setup::Setup;
pub use tier::Tier;

/// What happened and was not taken yet, at most.
const CHANNEL: usize = 4096;

/// Starts a trace by eBPF.
pub(crate) fn start(target: &Target, options: &Options) -> Result<Running> {
    start_with(target, options, Tier::FentrySleepable)
}

/// The same, with no better tier than `best`: for tests.
pub(crate) fn start_with(target: &Target, options: &Options, best: Tier) -> Result<Running> {
    let (target, options) = (target.clone(), options.clone());
    let setup = Setup {
        system_wide: matches!(target, Target::System),
        collect: options.collect,
        filter: options.filter.clone(),
        ring_bytes: options.ring_bytes,
        max_processes: options.max_processes,
        best,
    };
    let (out, observed) = queue(CHANNEL);
    let (started, begun) = mpsc::channel();
    let (stop, stopper) = std::io::pipe().map_err(|err| Error::io("cannot make a pipe", err))?;
    let thread = thread::Builder::new()
        .name("tracer-ebpf".to_owned())
        .spawn(move || run::run(&target, &options, &setup, out, &stop, &started))
        .map_err(|err| Error::io("cannot start a thread", err))?;
    let backend = match begun.recv() {
        Ok(Ok(backend)) => backend,
        Ok(Err(err)) => return Err(err),
        Err(_) => return Err(Error::new(crate::ErrorKind::Io, "the eBPF backend's thread ended early")),
    };
    let stop = Box::new(move || {
        // OK because the reading end is gone only when the trace has ended.
        let _ = (&stopper).write_all(&[0]);
    });
    Ok(Running { backend, observed, stop, thread })
}

/// Decodes these records: for the fuzz targets.
#[cfg(fuzzing)]
pub(crate) fn fuzz<'a>(records: impl Iterator<Item = &'a [u8]>) {
    let mut decoder = decode::Decoder::new(crate::options::Collect::default());
    records.for_each(|record| drop(decoder.push(record)));
}

#[cfg(test)]
mod complexity_tests;
#[cfg(test)]
mod root_tests;

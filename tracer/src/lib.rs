//! Traces execs: what was executed, by whom, with which arguments, as the kernel has it.
//!
//! A [`Trace`](trace::Trace) is of a command, of running processes, or of the whole system. It sees execs by eBPF, by
//! ptrace with a seccomp filter, or by ptrace alone, and hands out the same [`Event`](event::Event)s whichever it is.
//!
//! ```no_run
//! use tracer::event::What;
//! use tracer::options::{Launch, Options, Target};
//! use tracer::trace::Trace;
//!
//! # fn main() -> tracer::Result<()> {
//! let make = Launch { program: "make".into(), args: vec!["all".into()], cwd: None, user: None };
//! let mut trace = Trace::start(Target::Command(make), Options::default())?;
//! for event in trace.by_ref() {
//!     if let What::Exec(exec) = event.what {
//!         println!("{} {:?} {}", exec.tgid, exec.filename, exec.errno);
//!     }
//! }
//! let summary = trace.finish()?;
//! println!("{:?} after {} execs, {:?} lost", summary.status, summary.execs, summary.lost);
//! # Ok(())
//! # }
//! ```
//!
//! Process and user ids are those of the initial namespaces.

pub mod baseline;
pub mod cli;
mod clock;
pub mod ebpf;
mod error;
pub mod event;
mod filter;
#[cfg(fuzzing)]
pub mod fuzzing;
mod lineage;
pub mod options;
mod output;
mod ptrace;
mod queue;
mod redact;
mod running;
#[cfg(test)]
mod sample;
mod show;
mod skeleton;
pub mod trace;

pub use error::{Error, ErrorKind, Result};

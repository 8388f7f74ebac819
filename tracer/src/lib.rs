//! Traces execs: what was executed, by whom, with which arguments, as the kernel has it.
//!
//! [`Tracer`] loads one BPF object (CO-RE, kernels from 5.10 up with BTF) and hands out [`Event`]s. It needs root, or
//! `CAP_BPF` and `CAP_PERFMON`.
//!
//! ```no_run
//! use std::{process::Command, time::Duration};
//! use tracer::{Event, Scope, Tracer};
//!
//! # fn main() -> tracer::Result<()> {
//! let mut tracer = Tracer::attach(Scope::Spawned)?;
//! let mut child = tracer.spawn(Command::new("make").arg("all"))?;
//! while let Some(event) = tracer.poll(Duration::from_secs(1))? {
//!     match event {
//!         Event::Exec(exec) => println!("{} {:?}", exec.pid, exec.argv),
//!         Event::Lost { count } => println!("{count} execs were lost"),
//!         _ => {}
//!     }
//! }
//! # child.wait().ok();
//! # Ok(())
//! # }
//! ```
//!
//! Process and user ids are those of the initial namespaces.

#![allow(dead_code, reason = "the three backends are being joined")]

mod assemble;
pub mod cli;
mod ebpf;
mod error;
pub mod event;
mod first_light;
mod first_light_ebpf;
mod first_light_skeleton;
pub mod options;
mod ptrace;
mod render;
mod running;
mod skeleton;

pub use error::{Error, ErrorKind, Result};
pub use first_light::{ARGV_CAP, ArgvCut, Event, ExecEvent};
pub use first_light_ebpf::{Builder, Scope, Summary, Tracer};

//! The eBPF backend, and the only module that knows libbpf.

use crate::error::{Error, ErrorKind, Result};
use crate::options::{Options, Target};
use crate::running::Running;

mod context;
pub(crate) mod load_error;
mod parts;
mod wire;

/// Starts a trace by eBPF.
pub(crate) fn start(_target: &Target, _options: &Options) -> Result<Running> {
    Err(Error::new(ErrorKind::Unsupported, "the eBPF backend is not joined yet"))
}

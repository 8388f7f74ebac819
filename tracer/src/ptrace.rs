//! The ptrace backend, with and without a seccomp filter.

use crate::error::{Error, ErrorKind, Result};
use crate::options::{Options, Target};
use crate::running::Running;

/// Starts a trace by ptrace(2); `options.backend` and `options.seccomp` say whether with a filter.
pub(crate) fn start(_target: &Target, _options: &Options) -> Result<Running> {
    Err(Error::new(ErrorKind::Unsupported, "the ptrace backend is not joined yet"))
}

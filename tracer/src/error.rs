//! The crate's one error type.

use std::error::Error as StdError;
use std::fmt;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, roughly: for code that has to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller may not load BPF programs.
    Privilege,
    /// The kernel shows no BTF of itself.
    MissingBtf,
    /// The kernel refused the BPF object; the error's `{:?}` has the verifier's words.
    Unsupported,
    /// The command could not be started.
    Spawn,
    /// What was asked for makes no sense.
    Usage,
    /// Another system call failed.
    Io,
    /// A bug of this crate.
    Bug,
}

/// An error with what was being done, its cause, and where known a way out.
///
/// `{}` is one line with the causes, `{:?}` adds the end of libbpf's log.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    context: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
    hint: Option<String>,
    log: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, context: context.into(), source: None, hint: None, log: String::new() }))
    }

    pub(crate) fn io(context: impl Into<String>, source: impl StdError + Send + Sync + 'static) -> Self {
        Self::new(ErrorKind::Io, context).with_source(source)
    }

    pub(crate) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn with_log(mut self, log: String) -> Self {
        self.0.log = log;
        self
    }

    /// The rough classification.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// What libbpf and the verifier said; empty if they were not involved. It can have thousands of lines.
    pub fn log(&self) -> &str {
        &self.0.log
    }

    /// The end of the log, which has the reason.
    pub(crate) fn log_tail(&self) -> &str {
        const LINES: usize = 40;
        let log = self.log().trim_end();
        let start = log.rmatch_indices('\n').nth(LINES - 1).map_or(0, |(newline, _)| newline + 1);
        &log[start..]
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.context)?;
        let mut cause = self.source();
        while let Some(err) = cause {
            write!(f, ": {err}")?;
            cause = err.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        if let Some(hint) = self.hint() {
            write!(f, "\n\nhint: {hint}")?;
        }
        if !self.log().is_empty() {
            write!(f, "\n\nlibbpf said:\n{}", self.log_tail())?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|err| err as _)
    }
}

//! Why a guest was lost: [`VmError`], with the [`Evidence`] that a person needs to judge it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::process::ProcessError;
use crate::vm::console::Console;
use crate::vm::qmp::QmpError;
use crate::vm::ssh::SshError;

/// The stage of a guest's life in which something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// QEMU is starting.
    Start,
    /// The kernel and init are starting.
    Boot,
    /// An ssh session is being opened.
    Connect,
    /// The guest is in use.
    Use,
    /// The guest is being ended.
    PowerOff,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Start => "while QEMU started",
            Self::Boot => "while it booted",
            Self::Connect => "while ssh connected",
            Self::Use => "while it was in use",
            Self::PowerOff => "while it was powered off",
        })
    }
}

/// What was seen of a guest up to the error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The last lines of the console.
    pub console: Vec<String>,
    /// The last lines that QEMU wrote to its standard error.
    pub qemu: Vec<String>,
    /// The console's log.
    pub console_log: PathBuf,
}

impl Evidence {
    pub(super) fn collect(console: &Console, qemu_log: &Path) -> Self {
        let bytes = std::fs::read(qemu_log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let qemu = lines[lines.len().saturating_sub(10)..].to_vec();
        Self { console: console.tail(), qemu, console_log: console.log().to_owned() }
    }
}

/// Begins on a new line; the message stands before it.
impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (who, lines) in [("QEMU said", &self.qemu), ("the console ends with", &self.console)] {
            if !lines.is_empty() {
                write!(f, "\n  {who}")?;
            }
            for line in lines {
                write!(f, "\n    {line}")?;
            }
        }
        write!(f, "\n  log: {}", self.console_log.display())
    }
}

/// Why a guest could not be used, or not any longer.
#[derive(Debug, Error)]
pub enum VmError {
    /// QEMU could not be started, or waited for.
    #[error("cannot start a guest: {0}")]
    Process(#[from] ProcessError),
    /// QEMU's output is not connected to us.
    #[error("cannot start a guest: QEMU has no console")]
    NoConsole,
    /// A file or socket of the guest could not be made.
    #[error("cannot {doing} `{path}`: {source}")]
    Io {
        /// What was to be done with it.
        doing: &'static str,
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// This is not a QEMU that we can use.
    #[error("cannot use `{program}`: expected QEMU's version, found `{found}`")]
    NotQemu {
        /// The program.
        program: PathBuf,
        /// What it printed.
        found: String,
    },
    /// QEMU does not speak its own protocol.
    #[error("cannot talk to QEMU: {source}{evidence}")]
    Qmp {
        /// Why.
        source: QmpError,
        /// What was seen.
        evidence: Box<Evidence>,
    },
    /// The kernel panicked.
    #[error("the guest panicked {stage}: {title}{evidence}")]
    Panicked {
        /// The panic's line.
        title: String,
        /// When.
        stage: Stage,
        /// What was seen.
        evidence: Box<Evidence>,
    },
    /// The guest's init could not do its work.
    #[error("the guest gave up {stage}: its init {said}{evidence}")]
    Init {
        /// What init said.
        said: String,
        /// When.
        stage: Stage,
        /// What was seen.
        evidence: Box<Evidence>,
    },
    /// The initramfs did not fit into the guest's memory.
    #[error(
        "the guest has too little memory {stage}: not all of the initramfs was unpacked, and its init {said}\n  \
         hint: `guest.memory_mib` in the matrix gives it more{evidence}"
    )]
    Cramped {
        /// What init said.
        said: String,
        /// When.
        stage: Stage,
        /// What was seen.
        evidence: Box<Evidence>,
    },
    /// QEMU ended, and the kernel gave no reason.
    #[error("QEMU ended {stage} with {status}{evidence}")]
    Died {
        /// How it ended.
        status: String,
        /// When.
        stage: Stage,
        /// What was seen.
        evidence: Box<Evidence>,
    },
    /// Something that was waited for did not come.
    #[error("the guest was given up {stage}: waited {} s for {waiting_for}{evidence}", deadline.as_secs_f64())]
    Deadline {
        /// When.
        stage: Stage,
        /// What was waited for.
        waiting_for: &'static str,
        /// How long.
        deadline: Duration,
        /// What was seen.
        evidence: Box<Evidence>,
    },
    /// ssh could not connect.
    #[error("{source}{evidence}")]
    Connect {
        /// Why.
        source: SshError,
        /// What was seen.
        evidence: Box<Evidence>,
    },
}

impl VmError {
    /// Whether a deadline passed, as opposed to a guest that is known to be lost.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Deadline { .. } | Self::Connect { source: SshError::Deadline { .. }, .. })
    }
}

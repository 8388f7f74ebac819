//! Runs commands in a guest: [`Session`] is one authenticated ssh connection over the guest's virtio port.
//!
//! libssh2 blocks, so each session lives on a thread of its own and is used through closures that are sent to it, one after
//! the other. Every call has a deadline, and so a guest that hangs is noticed by whoever waits for it.

mod shell;
mod wire;

use std::fmt;
use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use thiserror::Error;
use tokio::sync::oneshot;

use self::wire::{Exchange, Sink, Wire};
use crate::vm::keys::RunKeys;

/// What is kept of each output stream of a command.
const OUTPUT_LIMIT: usize = 16 << 20;

/// Why the guest could not be talked to, or a file not be copied. A command that fails is no error.
#[derive(Debug, Error)]
pub enum SshError {
    /// The connection could not be made.
    #[error("cannot connect to the guest's ssh server through `{socket}`: {reason}")]
    Connect {
        /// The unix socket of the guest's port.
        socket: PathBuf,
        /// What failed.
        reason: String,
    },
    /// Another server than ours answered.
    #[error("the guest shows another host key than the one that was made for this run")]
    HostKey,
    /// The guest did not answer in time.
    #[error("the guest did not finish to {doing} within {} s", deadline.as_secs())]
    Deadline {
        /// What was being done.
        doing: &'static str,
        /// How long it was given.
        deadline: Duration,
    },
    /// The connection broke, as it does when the guest dies.
    #[error("the connection to the guest broke while it was to {doing}: {reason}")]
    Broken {
        /// What was being done.
        doing: &'static str,
        /// libssh2's or the kernel's reason.
        reason: String,
    },
    /// A file on this side could not be read or written.
    #[error("cannot use the local file `{path}`: {source}")]
    Local {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file or log that a command's input or output is joined to could not be read or written.
    #[error("cannot read the input or write the output of a command in the guest: {0}")]
    Stream(io::Error),
    /// A file in the guest could not be read or written.
    #[error("cannot copy `{path}` in the guest: {exit}: {stderr}")]
    Copy {
        /// The file in the guest.
        path: String,
        /// How the guest's command ended.
        exit: Exit,
        /// What it said.
        stderr: String,
    },
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status.
    Code(i32),
    /// A signal killed it: `SEGV`, `ABRT`. The guest's shell reports that as status 128 + number, as every shell does, so
    /// a program that exits with such a status on its own is taken for one that was killed.
    Signal(String),
    /// It was still running at its deadline and was killed with its process group.
    TimedOut,
}

impl Exit {
    /// Whether it exited with status 0.
    #[must_use]
    pub fn success(&self) -> bool {
        *self == Self::Code(0)
    }

    fn from_shell(status: i32) -> Self {
        match Signal::try_from(status - 128) {
            Ok(signal) if status > 128 => Self::Signal(signal.as_str().trim_start_matches("SIG").to_owned()),
            _ => Self::Code(status),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(name) => write!(f, "killed by SIG{name}"),
            Self::TimedOut => f.write_str("killed at its deadline"),
        }
    }
}

/// What a command left behind.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// Its standard output, or the beginning of it.
    pub stdout: Vec<u8>,
    /// Its standard error, or the beginning of it. The guest's shell adds a line when a signal kills the command.
    pub stderr: Vec<u8>,
    /// Whether one of the two was longer than the 16 MiB that are kept.
    pub truncated: bool,
    /// From the request to the end.
    pub elapsed: Duration,
}

type Job = Box<dyn FnOnce(&mut Wire) + Send>;

/// A connection to a guest. Dropping it ends the connection and whatever call is under way.
///
/// A call whose future is dropped goes on until its end or deadline, and the next one waits for it.
pub struct Session {
    jobs: mpsc::Sender<Job>,
    socket: UnixStream,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Session {
    /// Connects through the unix socket of the guest's port, checks the guest's key and authenticates with ours.
    ///
    /// # Errors
    /// When the guest does not answer before `deadline`, shows another key or refuses ours.
    pub async fn connect(socket: &Path, keys: &RunKeys, deadline: Duration) -> Result<Self, SshError> {
        let failed = |error: io::Error| SshError::Connect { socket: socket.to_owned(), reason: error.to_string() };
        let stream = UnixStream::connect(socket).map_err(failed)?;
        let ours = stream.try_clone().map_err(failed)?;
        let (jobs, received) = mpsc::channel::<Job>();
        let (answer, answered) = oneshot::channel();
        // From here on, dropping the session unblocks the thread: it shuts the socket down.
        let session = Self { jobs, socket: ours };
        let keys = keys.clone();
        std::thread::Builder::new()
            .name("ssh".into())
            .spawn(move || match Wire::connect(stream, &keys, deadline) {
                Ok(mut wire) => {
                    // Whoever asked may have gone; then there will be no job either.
                    drop(answer.send(Ok(())));
                    received.into_iter().for_each(|job| job(&mut wire));
                }
                Err(error) => drop(answer.send(Err(error))),
            })
            .map_err(failed)?;
        let gone = |_thread_died| SshError::Broken { doing: "connect", reason: "the ssh thread died".into() };
        answered.await.map_err(gone)??;
        Ok(session)
    }

    async fn with<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Wire) -> Result<T, SshError> + Send + 'static,
    ) -> Result<T, SshError> {
        let (answer, answered) = oneshot::channel();
        let gone = || SshError::Broken { doing: "take a command", reason: "the connection is closed".into() };
        self.jobs.send(Box::new(move |wire| drop(answer.send(job(wire))))).map_err(|_closed| gone())?;
        answered.await.map_err(|_closed| gone())?
    }

    /// Runs a shell command. At the deadline its process group is killed, and what it printed until then is returned
    /// with [`Exit::TimedOut`]; the session stays usable.
    ///
    /// # Errors
    /// When the connection breaks, or the guest does not even kill the command.
    pub async fn run(&self, command: &str, deadline: Duration) -> Result<Output, SshError> {
        self.run_with(command, deadline, Sink::keep(OUTPUT_LIMIT), None).await
    }

    /// Like [`Session::run`], and writes at most `limit` bytes of the standard output to `file` instead of keeping them; the rest
    /// is dropped.
    ///
    /// # Errors
    /// Like [`Session::run`], and when the file cannot be written.
    pub async fn run_into(
        &self,
        command: &str,
        deadline: Duration,
        file: File,
        limit: u64,
    ) -> Result<Output, SshError> {
        self.run_with(command, deadline, Sink::File { file, left: limit }, None).await
    }

    /// Like [`Session::run`], and writes both output streams to the file `log` as they come.
    ///
    /// # Errors
    /// Like [`Session::run`], and when the log cannot be written.
    pub async fn run_logged(&self, command: &str, deadline: Duration, log: &Path) -> Result<Output, SshError> {
        let log = local(log, File::create(log))?;
        self.run_with(command, deadline, Sink::keep(OUTPUT_LIMIT), Some(log)).await
    }

    async fn run_with(
        &self,
        command: &str,
        deadline: Duration,
        stdout: Sink,
        log: Option<File>,
    ) -> Result<Output, SshError> {
        let command = command.to_owned();
        self.with(move |wire| {
            let start = Instant::now();
            let mut exchange = Exchange::new(stdout, Sink::keep(OUTPUT_LIMIT)).with_log(log);
            let exit = wire.run(&command, deadline, &mut exchange)?;
            let truncated = exchange.stdout.truncated() || exchange.stderr.truncated();
            let (stdout, stderr) = (exchange.stdout.into_kept(), exchange.stderr.into_kept());
            Ok(Output { exit, stdout, stderr, truncated, elapsed: start.elapsed() })
        })
        .await
    }

    /// Copies a file into the guest and gives it the mode `mode`.
    ///
    /// # Errors
    /// When the file cannot be read or written, or the deadline passes.
    pub async fn copy_in(&self, path: &Path, remote: &str, mode: u32, deadline: Duration) -> Result<(), SshError> {
        let input = local(path, File::open(path))?;
        let target = quote(remote);
        let command = format!("cat >{target} && chmod {mode:o} {target}");
        let exchange = Exchange::new(Sink::keep(0), Sink::keep(4096)).with_input(input);
        self.copy(command, exchange, remote, deadline).await
    }

    /// Copies a file out of the guest.
    ///
    /// # Errors
    /// When the file cannot be read or written, or the deadline passes.
    pub async fn copy_out(&self, remote: &str, path: &Path, deadline: Duration) -> Result<(), SshError> {
        let output = local(path, File::create(path))?;
        let exchange = Exchange::new(Sink::File { file: output, left: u64::MAX }, Sink::keep(4096));
        self.copy(format!("cat {}", quote(remote)), exchange, remote, deadline).await
    }

    async fn copy(
        &self,
        command: String,
        mut exchange: Exchange,
        remote: &str,
        deadline: Duration,
    ) -> Result<(), SshError> {
        let path = remote.to_owned();
        self.with(move |wire| match wire.run(&command, deadline, &mut exchange)? {
            Exit::TimedOut => Err(SshError::Deadline { doing: "copy a file", deadline }),
            exit if exit.success() => Ok(()),
            exit => {
                let stderr = String::from_utf8_lossy(&exchange.stderr.into_kept()).trim_end().to_owned();
                Err(SshError::Copy { path, exit, stderr })
            }
        })
        .await
    }

    /// Joins our terminal to a shell in the guest until that ends. Without a terminal, joins standard input and output.
    ///
    /// # Errors
    /// When the connection breaks or the terminal cannot be used.
    pub async fn shell(&self) -> Result<Exit, SshError> {
        shell::run(self).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // An error says that the other end has closed already.
        drop(self.socket.shutdown(Shutdown::Both));
    }
}

fn local<T>(path: &Path, result: io::Result<T>) -> Result<T, SshError> {
    result.map_err(|source| SshError::Local { path: path.to_owned(), source })
}

/// The word for a shell, whatever is in it.
#[must_use]
pub fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_above_128_is_a_signal() {
        assert_eq!(Exit::from_shell(0), Exit::Code(0));
        assert_eq!(Exit::from_shell(101), Exit::Code(101));
        assert_eq!(Exit::from_shell(128), Exit::Code(128));
        assert_eq!(Exit::from_shell(139), Exit::Signal("SEGV".into()));
        assert_eq!(Exit::from_shell(255), Exit::Code(255));
        assert_eq!(Exit::Signal("SEGV".into()).to_string(), "killed by SIGSEGV");
    }

    #[test]
    fn quoting_survives_quotes() {
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r"'it'\''s'");
    }

    #[tokio::test]
    async fn a_silent_server_is_left_at_the_deadline() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let keys = RunKeys::generate().unwrap();
        let error = Session::connect(&socket, &keys, Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(error, SshError::Deadline { doing: "agree on keys", .. }), "{error}");
    }

    #[tokio::test]
    async fn no_socket_is_an_error_that_names_it() {
        let keys = RunKeys::generate().unwrap();
        let error = Session::connect(Path::new("/nonexistent/s"), &keys, Duration::from_secs(1)).await.unwrap_err();
        assert!(error.to_string().contains("`/nonexistent/s`"), "{error}");
    }
}

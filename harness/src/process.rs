//! The only place that spawns processes: [`Command`] gives each its own process group, a log file and a deadline, and
//! the kernel kills it when `ukci` dies, be it by SIGKILL.
//!
//! The kernel ties the parent-death signal to the *thread* that spawned (prctl(2), `PR_SET_PDEATHSIG`), so processes are
//! spawned from `ukci`'s single-threaded runtime only, which lives on the main thread.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::task::{Poll, ready};
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, killpg};
use nix::sys::time::TimeVal;
use nix::unistd::{Pid, getppid};
use thiserror::Error;
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

/// Where a process's standard output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// To the log file, with its standard error, or nowhere.
    Log,
    /// To us.
    Capture,
    /// Where ours goes, with standard input and error.
    Inherit,
}

/// A process to be.
#[derive(Clone, Debug)]
pub struct Command {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    unset: Vec<OsString>,
    directory: Option<PathBuf>,
    log: Option<PathBuf>,
    output: Output,
}

/// Why a process did not do its work.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("cannot run `{program}`: {source}")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its log could not be made.
    #[error("cannot write the log `{path}`: {source}")]
    Log {
        /// The log's path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Waiting for it failed.
    #[error("cannot wait for `{program}`: {source}")]
    Wait {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was still running at its deadline, and was killed.
    #[error("`{command}` was still running after {} s and was killed{}", deadline.as_secs(), see(log))]
    Deadline {
        /// The command line.
        command: String,
        /// The deadline.
        deadline: Duration,
        /// Its log.
        log: Option<PathBuf>,
    },
    /// It ended with another status than 0.
    #[error("`{command}` ended with {status}{}{}", tail(output), see(log))]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it printed.
        output: String,
        /// Its log.
        log: Option<PathBuf>,
    },
}

fn see(log: &Option<PathBuf>) -> String {
    log.as_ref().map(|path| format!("\n  log: {}", path.display())).unwrap_or_default()
}

fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let shown = &lines[lines.len().saturating_sub(20)..];
    shown.iter().map(|line| format!("\n    {line}")).collect()
}

/// What a process left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output, when that was captured.
    pub stdout: Vec<u8>,
}

impl Command {
    /// A command that will run `program` with our environment and no standard input; its output goes nowhere.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            unset: Vec::new(),
            directory: None,
            log: None,
            output: Output::Log,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Removes an environment variable of ours.
    #[must_use]
    pub fn env_remove(mut self, key: impl AsRef<OsStr>) -> Self {
        self.unset.push(key.as_ref().to_owned());
        self
    }

    /// Runs it in `directory`.
    #[must_use]
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Writes its standard error, and its standard output unless that is captured, to the file `log`, which is replaced.
    #[must_use]
    pub fn log(mut self, log: impl Into<PathBuf>) -> Self {
        self.log = Some(log.into());
        self
    }

    /// Hands its standard output to us.
    #[must_use]
    pub fn capture(mut self) -> Self {
        self.output = Output::Capture;
        self
    }

    /// Lets it share our standard input, output and error, for a command that a person talks to.
    #[must_use]
    pub fn inherit(mut self) -> Self {
        self.output = Output::Inherit;
        self
    }

    /// Starts it. Must be called on the main thread (see the module's documentation).
    ///
    /// # Errors
    /// When the log cannot be made or the program cannot be started.
    pub fn spawn(&self) -> Result<Process, ProcessError> {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.args).envs(self.env.iter().cloned()).kill_on_drop(true);
        for key in &self.unset {
            command.env_remove(key);
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        if self.output != Output::Inherit {
            command.process_group(0).stdin(Stdio::null());
            let log = self.open_log()?;
            command.stderr(
                log.as_ref()
                    .map_or_else(|| Ok(Stdio::null()), |log| log.try_clone().map(Stdio::from))
                    .map_err(|source| ProcessError::Spawn { program: self.program.clone(), source })?,
            );
            command.stdout(match self.output {
                Output::Capture => Stdio::piped(),
                _ => log.map_or_else(Stdio::null, Stdio::from),
            });
        }
        let parent = Pid::this();
        // SAFETY: between fork and exec only async-signal-safe calls are made: prctl, getppid and, on failure, the
        // construction of an `io::Error` from a number, which does not allocate.
        unsafe {
            command.pre_exec(move || {
                prctl::set_pdeathsig(Signal::SIGKILL)?;
                // The parent may have died before the line above took effect.
                if getppid() != parent {
                    return Err(io::Error::from_raw_os_error(nix::libc::ESRCH));
                }
                Ok(())
            });
        }
        let child = command.spawn().map_err(|source| ProcessError::Spawn { program: self.program.clone(), source })?;
        let group =
            (self.output != Output::Inherit).then(|| child.id().map(|id| Pid::from_raw(id.cast_signed()))).flatten();
        Ok(Process { child, group, program: self.program.clone(), cpu: None })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When it cannot be started, does not end before `deadline` (it is killed with its whole group), or ends with
    /// another status than 0.
    pub async fn run(&self, deadline: Duration) -> Result<Finished, ProcessError> {
        let finished = self.run_any(deadline).await?;
        if finished.status.success() {
            return Ok(finished);
        }
        let logged = self.log.as_ref().and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
        let output = [logged, finished.stdout].into_iter().find(|bytes| !bytes.is_empty()).unwrap_or_default();
        Err(ProcessError::Failed {
            command: self.to_string(),
            status: finished.status,
            output: String::from_utf8_lossy(&output).into_owned(),
            log: self.log.clone(),
        })
    }

    /// Runs it to its end, whatever its status.
    ///
    /// # Errors
    /// When it cannot be started or does not end before `deadline`; it is then killed with its whole group.
    pub async fn run_any(&self, deadline: Duration) -> Result<Finished, ProcessError> {
        let mut process = self.spawn()?;
        let mut stdout = Vec::new();
        let work = async {
            if let Some(mut pipe) = process.take_stdout() {
                tokio::io::AsyncReadExt::read_to_end(&mut pipe, &mut stdout)
                    .await
                    .map_err(|source| ProcessError::Wait { program: self.program.clone(), source })?;
            }
            process.wait().await
        };
        let status = timeout(deadline, work).await.unwrap_or_else(|_elapsed| {
            Err(ProcessError::Deadline { command: self.to_string(), deadline, log: self.log.clone() })
        })?;
        Ok(Finished { status, stdout })
    }

    fn open_log(&self) -> Result<Option<File>, ProcessError> {
        let Some(path) = &self.log else { return Ok(None) };
        File::create(path).map(Some).map_err(|source| ProcessError::Log { path: path.clone(), source })
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }
}

/// The command line as a person would type it.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())?;
        for arg in &self.args {
            let text = arg.to_string_lossy();
            if !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_=./:,+@%".contains(&b)) {
                write!(f, " {text}")?;
            } else {
                write!(f, " '{}'", text.replace('\'', r"'\''"))?;
            }
        }
        Ok(())
    }
}

/// Gives the signals that ask a process to end their usual effect back: the next one ends us at once, and the kernel then
/// ends our children.
pub fn die_at_next_signal() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the default action replaces a handler; no code of ours runs in a signal's context.
        // OK because only an invalid signal is refused, and these are valid.
        let _ = unsafe { nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigDfl) };
    }
}

/// A running process. Dropping it kills its whole group.
#[derive(Debug)]
pub struct Process {
    child: Child,
    group: Option<Pid>,
    program: PathBuf,
    cpu: Option<Duration>,
}

impl Process {
    /// Its number, until it has been waited for.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Its standard output, once, when the command captures it.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits for its end. Safe to cancel and to call again.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn wait(&mut self) -> Result<ExitStatus, ProcessError> {
        let ended_before = self.child.id().is_none();
        let mut end = pin!(self.child.wait());
        let (status, cpu) = poll_fn(|context| {
            let before = cpu_of_children();
            let status = ready!(end.as_mut().poll(context));
            Poll::Ready((status, cpu_of_children().saturating_sub(before)))
        })
        .await;
        if !ended_before {
            self.cpu = Some(cpu);
        }
        status.map_err(|source| ProcessError::Wait { program: self.program.clone(), source })
    }

    /// The time that processors spent on it and on the children that it waited for; known once [`Process::wait`] has seen
    /// its end.
    #[must_use]
    pub fn cpu_time(&self) -> Option<Duration> {
        self.cpu
    }

    /// Kills its whole group at once.
    pub fn kill(&mut self) {
        if self.child.id().is_none() {
            return; // It has been waited for, so its number may be another's by now.
        }
        match self.group {
            // ESRCH only says that the group is gone already.
            Some(group) => drop(killpg(group, Signal::SIGKILL)),
            None => drop(self.child.start_kill()),
        }
    }
}

/// The time that processors spent on children that have been waited for. The kernel adds a child's when it is waited
/// for, and only this thread waits for children: so the difference across one wait is that child's.
fn cpu_of_children() -> Duration {
    let time = |value: TimeVal| {
        let part = |number: i64| u64::try_from(number).unwrap_or_default();
        Duration::from_secs(part(value.tv_sec())) + Duration::from_micros(part(value.tv_usec()))
    };
    // OK because getrusage(2) fails on invalid arguments only.
    getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_or(Duration::ZERO, |usage| time(usage.user_time()) + time(usage.system_time()))
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests;

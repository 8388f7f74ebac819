//! The command line, as a function: `main` of the binary calls it, and so do the tests.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::error::{Error, ErrorKind, Result};
use crate::first_light::Event;
use crate::{Scope, Summary, Tracer, render};

/// What was executed, by whom, with which arguments: as the kernel has it.
#[derive(Debug, Parser)]
#[command(name = "tracer", version, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print one line per successful exec: of a command and its descendants, or of the whole system.
    Log(Log),
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  tracer log -- make -j2          what does the build execute?
  tracer log                      everything on this system, until Ctrl-C
  tracer log --json -o t.jsonl -- ./configure

With a command, the trace ends with it, and its exit status (or 128 + signal) is tracer's. Ctrl-C is
left to the command. JSON: strings that are not UTF-8 are {\"hex\": \"…\"}; \"argv_cut\" says why an argv is not whole.
Other exit statuses: 1 an error, 2 wrong usage, 127 the command was not started.")]
struct Log {
    /// One JSON object per line instead of text.
    #[arg(long)]
    json: bool,
    /// Write to FILE instead of the standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Size of the ring buffer in MiB; larger loses less in bursts.
    #[arg(long, value_name = "MIB", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    ring_mib: u32,
    /// The command to trace; without one, the whole system is traced.
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Runs `tracer` with these arguments, the first of which is the program's name.
#[expect(clippy::print_stderr, reason = "the command line's errors go to stderr")]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(err) => {
            // OK because there is nowhere left to complain if stderr is gone.
            let _ = err.print();
            return ExitCode::from(err.exit_code() as u8);
        }
    };
    let Action::Log(log) = cli.command;
    match log.run() {
        Ok(code) => code,
        Err(err) => {
            eprintln!("error: {err}");
            if !err.log().is_empty() {
                eprintln!("\nlibbpf said:\n{}", err.log_tail());
            }
            if let Some(hint) = err.hint() {
                eprintln!("\nhint: {hint}");
            }
            ExitCode::from(error_status(err.kind()))
        }
    }
}

impl Log {
    /// The signals that do not end the tracer at once: with a command, Ctrl-C is for it, and SIGTERM works as usual.
    fn caught(&self) -> &'static [i32] {
        if self.command.is_empty() { &[SIGINT, SIGTERM] } else { &[SIGINT] }
    }

    #[expect(clippy::print_stderr, reason = "the summary is not part of the trace")]
    fn run(self) -> Result<ExitCode> {
        let mut out = Output::open(&self)?;
        let (signals, writer) = UnixStream::pair().map_err(|err| Error::io("cannot make a pipe for signals", err))?;
        for &signal in self.caught() {
            let writer = writer.try_clone().map_err(|err| Error::io("cannot copy the pipe for signals", err))?;
            signal_hook::low_level::pipe::register(signal, writer)
                .map_err(|err| Error::io("cannot catch signals", err))?;
        }

        let scope = if self.command.is_empty() { Scope::System } else { Scope::Spawned };
        let mut tracer = Tracer::builder().ring_bytes(self.ring_mib << 20).attach(scope)?;
        let status = match self.command.split_first() {
            Some((program, args)) => {
                let mut child = tracer.spawn(Command::new(program).args(args))?;
                let pidfd = pidfd(&child)?;
                while !wait(&tracer, pidfd.as_fd())? {
                    out.drain(&mut tracer)?;
                }
                Some(child.wait().map_err(|err| Error::io("cannot wait for the command", err))?)
            }
            None => {
                while !wait(&tracer, signals.as_fd())? {
                    out.drain(&mut tracer)?;
                }
                None
            }
        };
        out.drain(&mut tracer)?;
        let Summary { execs, lost, untracked } = tracer.summary();
        if status.is_none() || lost + untracked > 0 {
            eprintln!("{execs} execs, {lost} lost, {untracked} processes not followed");
        }
        Ok(status.map_or(ExitCode::SUCCESS, exit_code))
    }
}

/// As shells do: 127 if there is no such command.
fn error_status(kind: ErrorKind) -> u8 {
    if kind == ErrorKind::Spawn { 127 } else { 1 }
}

/// Waits until the tracer may have an event, or `end` is readable, and says whether it is.
fn wait(tracer: &Tracer, end: BorrowedFd<'_>) -> Result<bool> {
    let mut fds = [PollFd::new(tracer.as_fd(), PollFlags::POLLIN), PollFd::new(end, PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) => Ok(fds[1].any().unwrap_or(true)),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(err) => Err(Error::io("cannot wait for events", err)),
    }
}

/// A descriptor that is readable when the child has ended. pidfd_open(2) is there since 5.3.
fn pidfd(child: &Child) -> Result<OwnedFd> {
    // SAFETY: no pointers; the result is checked, and nobody else owns it.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    if fd < 0 {
        return Err(Error::io("cannot watch the command", io::Error::last_os_error()));
    }
    // SAFETY: the call succeeded, so this is a new descriptor of ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// As shells do: the status, or 128 + the signal.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}

/// Where the lines go.
struct Output {
    json: bool,
    writer: Box<dyn Write>,
}

impl Output {
    fn open(log: &Log) -> Result<Self> {
        let writer: Box<dyn Write> = match &log.output {
            Some(path) => {
                let file = File::create(path);
                Box::new(file.map_err(|err| Error::io(format!("cannot create `{}`", path.display()), err))?)
            }
            None => Box::new(io::stdout()),
        };
        let mut out = Self { json: log.json, writer: Box::new(BufWriter::new(writer)) };
        if !out.json {
            out.line(render::TEXT_HEADER)?;
        }
        Ok(out)
    }

    /// Writes all events that are there.
    fn drain(&mut self, tracer: &mut Tracer) -> Result<()> {
        while let Some(event) = tracer.poll(Duration::ZERO)? {
            self.event(&event)?;
        }
        self.writer.flush().map_err(write_error)
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        let line = if self.json { render::json(event) } else { render::text(event) };
        self.line(&line)
    }

    fn line(&mut self, line: &str) -> Result<()> {
        writeln!(self.writer, "{line}").map_err(write_error)
    }
}

fn write_error(err: io::Error) -> Error {
    Error::io("cannot write the trace", err)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// Check that a system-wide trace can be ended by both signals, and that a command's own end is not anticipated.
    #[rstest]
    #[case::system_wide(&["tracer", "log"], &[SIGINT, SIGTERM])]
    #[case::command(&["tracer", "log", "--", "true"], &[SIGINT])]
    fn the_signals_that_are_caught_depend_on_the_command(#[case] args: &[&str], #[case] expected: &[i32]) {
        let Action::Log(log) = Cli::try_parse_from(args).expect("valid usage").command;
        assert_eq!(log.caught(), expected);
    }

    /// Check that a command that does not exist is told from other errors.
    #[rstest]
    #[case::spawn(ErrorKind::Spawn, 127)]
    #[case::privilege(ErrorKind::Privilege, 1)]
    #[case::io(ErrorKind::Io, 1)]
    fn errors_have_the_status_that_a_shell_gives_them(#[case] kind: ErrorKind, #[case] expected: u8) {
        assert_eq!(error_status(kind), expected);
    }

    /// Check that the status is the command's, or 128 and its signal.
    #[rstest]
    #[case::success(0, 0)]
    #[case::failure(3 << 8, 3)]
    #[case::largest(255 << 8, 255)]
    #[case::interrupt(libc::SIGINT, 130)]
    #[case::kill_with_core_dump(libc::SIGKILL | 0x80, 137)]
    fn the_status_is_that_of_the_command(#[case] wait_status: i32, #[case] expected: u8) {
        assert_eq!(exit_code(ExitStatus::from_raw(wait_status)), ExitCode::from(expected));
    }
}

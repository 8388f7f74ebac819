//! The command line, as a function, [`main`]: the binary calls it, and so do tests.

use std::error::Error as _;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::error::{Error, ErrorKind, Result};

mod args;
mod doctor;
mod filters;
mod items;
mod out;
mod run;
mod signals;

use self::args::{Action, Cli};

/// Runs `tracer` with these arguments, the first of which is the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(err) => {
            // OK because there is nowhere left to complain if stderr is gone.
            let _ = err.print();
            return ExitCode::from(err.exit_code() as u8);
        }
    };
    let done = match cli.action {
        Action::Log(log) => log.job().and_then(run::run),
        Action::Collect(collect) => collect.job().and_then(run::run),
        Action::Doctor { json } => doctor::run(json),
        Action::Completions { shell } => print(|out| {
            clap_complete::generate(shell, &mut Cli::command(), "tracer", out);
            Ok(())
        }),
        Action::Man { command } => man(command.as_deref()),
    };
    done.unwrap_or_else(|err| {
        complain(&err);
        ExitCode::from(error_status(&err))
    })
}

#[expect(clippy::print_stderr, reason = "the command line's errors go to stderr")]
fn complain(err: &Error) {
    eprintln!("error: {err}");
    if !err.log().is_empty() {
        eprintln!("\nlibbpf said:\n{}", err.log_tail());
    }
    if let Some(hint) = err.hint() {
        eprintln!("\nhint: {hint}");
    }
}

/// As shells do: 127 if there is no such command, 126 if there is one that cannot be executed.
fn error_status(err: &Error) -> u8 {
    if err.kind() != ErrorKind::Spawn {
        return 1;
    }
    let mut cause = err.source();
    while let Some(err) = cause {
        let errno = err.downcast_ref::<nix::errno::Errno>().copied();
        let kind = errno.map(io::Error::from).as_ref().or(err.downcast_ref()).map(io::Error::kind);
        match kind {
            Some(io::ErrorKind::NotFound) | None => cause = err.source(),
            Some(_) => return 126,
        }
    }
    127
}

/// Writes to the standard output; a reader that has gone is no error.
fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<ExitCode> {
    let mut text = Vec::new();
    match write(&mut text).and_then(|()| io::stdout().write_all(&text)) {
        Err(err) if err.kind() != io::ErrorKind::BrokenPipe => Err(Error::io("cannot write", err)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// The page of `tracer`, or of one of its commands.
fn man(command: Option<&str>) -> Result<ExitCode> {
    let mut cli = Cli::command();
    cli.build();
    let page = match command {
        Some(name) => {
            let found = cli.find_subcommand(name).cloned();
            found.ok_or_else(|| Error::new(ErrorKind::Usage, format!("there is no command `{name}`")))?
        }
        None => cli,
    };
    print(|out| clap_mangen::Man::new(page).render(out))
}

#[cfg(test)]
#[path = "cli/tests.rs"]
mod tests;

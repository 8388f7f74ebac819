//! The command line: [`args::Cli`] is what was typed, [`main`] does it, and each larger command has a module of its own.

pub mod args;
mod begin;
mod bench;
mod cache;
mod capabilities;
mod coverage;
mod complexity;
mod doctor;
mod environment;
mod failure;
mod interrupt;
mod merge;
mod plan;
mod report;
mod run;
mod screen;
mod shell;
mod update;
mod veristat;
mod workshop;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tokio::task::LocalSet;

use self::args::{BenchCommand, Cli, Command};
use self::failure::Failure;

/// Runs `ukci`; the exit codes are those of the README.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // One thread, and the main one: see `crate::process` for why.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Failure::Broken(format!("cannot start the runtime: {error}"))),
    };
    let local = LocalSet::new();
    let result = local.block_on(&runtime, dispatch(cli));
    // Whatever still runs on other threads is of no use any more; files that it leaves are removed with the next start.
    drop(local);
    runtime.shutdown_background();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => fail(&failure),
    }
}

async fn dispatch(cli: Cli) -> Result<u8, Failure> {
    // A run ends in its own way: with a record.
    let ends_here = !matches!(
        cli.command,
        Command::Run(_)
            | Command::Veristat(_)
            | Command::Bench { command: BenchCommand::Matrix { .. } | BenchCommand::Veristat { .. } }
    );
    tokio::select! {
        result = perform(cli.command) => result,
        () = interrupt::requested(), if ends_here => Err(Failure::Interrupted),
    }
}

async fn perform(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Run(args) => run::run(args).await,
        Command::Plan(args) => plan::plan(&args),
        Command::Update(args) => update::update(args).await,
        Command::Merge(args) => merge::merge(&args),
        Command::Report(args) => report::report(&args),
        Command::Capabilities(args) => capabilities::capabilities(&args),
        Command::Coverage(args) => coverage::coverage(args).await,
        Command::Complexity(args) => complexity::complexity(&args),
        Command::Veristat(args) => veristat::veristat(args).await,
        Command::Shell(args) => shell::shell(args).await,
        Command::Doctor(args) => doctor::doctor(args).await,
        Command::Cache { command } => cache::cache(command).await,
        Command::Exec(args) => environment::exec(args).await,
        Command::Bench { command } => bench::bench(command).await,
        Command::Completions { shell } => {
            // By way of memory: it panics when the reader hangs up.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "ukci", &mut script);
            print(&String::from_utf8_lossy(&script))?;
            Ok(0)
        }
    }
}

fn fail(failure: &Failure) -> ExitCode {
    print_error(&format!("error: {failure}\n"));
    ExitCode::from(failure.exit_code())
}

/// Writes to standard error. When even that is gone, the exit code has to do.
fn print_error(text: &str) {
    drop(std::io::stderr().write_all(text.as_bytes()));
}

/// Writes what the command was asked to print. A reader that has seen enough, as in `ukci plan | head`, is no error.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Broken(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

//! What can be typed: [`Cli`].

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::styling::Styles;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use globset::Glob;

use super::filters::{FilterArgs, glob_set, parse_glob};
use super::items::ItemArgs;
use super::out::{Destination, wants_color};
use super::run::Job;
use crate::error::Result;
use crate::options::{BackendChoice, Launch, Options, SeccompChoice, Target, Wait};
use crate::output::{Format, Json, Layout, Palette, Perfetto, Text, Timestamp};
use crate::redact::Redact;
use crate::show::{Item, Show};

/// Shows what is executed, by whom, with which arguments: as the kernel has it.
#[derive(Debug, Parser)]
#[command(name = "tracer", version, max_term_width = 100, styles = Styles::plain(), after_help = "\
Examples:
  tracer log -- make -j2                       what does the build execute?
  tracer log --timestamp -Z                    what fails on this system, until Ctrl-C
  tracer collect -o t.json -- ./configure      environments, files, parents too, for scripts
  tracer doctor                                what this kernel allows")]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) action: Action,
}

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Print one line per exec, of a command and its descendants or of the whole system
    #[command(after_help = LOG_HELP)]
    Log(LogCommand),
    /// Write all there is to know about each exec to a file, for scripts and for the Perfetto UI
    #[command(after_help = COLLECT_HELP)]
    Collect(CollectCommand),
    /// Say what this kernel allows: how execs can be seen, what was tried, and what it answered
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a shell's completion script
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the man page, or that of a command: `tracer man log | man -l -`
    Man {
        /// The command
        command: Option<String>,
    },
}

const LOG_HELP: &str = "\
Each --show-ITEM has a --hide-ITEM; without them argv and interpreter are shown. What stands
before the `#` can be pasted into a shell, what stands behind it is notes.

Examples:
  tracer log -- make -j2
  tracer log --timestamp=relative --show-env-diff --show-cwd -- make
  tracer log --show-cmdline --path '*/cc1' -o cc1.log -- make
  tracer log --uid www-data --show-cgroup
  tracer log --attach 4711

Exit status: the command's, or 128 + the signal that ended it; 127 if there is no such command,
126 if it cannot be executed; 1 an error, 2 wrong usage. Ctrl-C is left to the command, and
SIGTERM is passed on to it.";

const COLLECT_HELP: &str = "\
Each --show-ITEM has a --hide-ITEM; without them everything is collected.

WARNING: what is collected holds environments and arguments, and those hold passwords and
tokens. Keep the file to yourself, or use --redact. It hides values of variables; arguments are
left as they are.

Forms: json is one array, jsonl one object per line, each as soon as it happens; their first
record is about the trace, their last about its end. perfetto is for ui.perfetto.dev and
chrome://tracing.

Examples:
  tracer collect -o t.json -- make
  tracer collect -f jsonl -o - -- make -s | jq -c 'select(.event == \"exec\").argv'
  tracer collect -f perfetto -o t.perfetto.json --redact '*TOKEN*' --redact '*SECRET*' -- make
  tracer collect -o all.json                   the whole system, until Ctrl-C

Exit status: as of `tracer log`.";

/// Arguments of `tracer log`.
#[derive(Debug, Args)]
pub(super) struct LogCommand {
    /// Put the time in front: boot (seconds), wall, relative (to the start), or a format of strftime(3)
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "wall")]
    timestamp: Option<Timestamp>,
    /// Use colours; NO_COLOR turns `auto` off
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
    /// Write to FILE; `-` is the standard output [default: the standard error with a command, else `-`]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    trace: TraceArgs,
}

/// Arguments of `tracer collect`.
#[derive(Debug, Args)]
pub(super) struct CollectCommand {
    /// The form
    #[arg(short, long, value_name = "FORM", default_value = "json")]
    format: FormatChoice,
    /// Write to FILE; `-` is the standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    trace: TraceArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatChoice {
    Json,
    Jsonl,
    Perfetto,
}

/// What both have.
#[derive(Debug, Args)]
struct TraceArgs {
    /// The command to trace; without one and without --attach, the whole system is traced (eBPF only)
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
    /// What sees the execs; auto is eBPF where that can be had, else ptrace with seccomp
    #[arg(long, value_name = "BACKEND", default_value = "auto")]
    backend: BackendArg,
    /// Spare ptrace all stops but those at execs; auto where the command cannot notice
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    seccomp: SeccompArg,
    /// When the trace ends: with the last process, or with the command, after which daemons go on untraced
    #[arg(long, value_name = "WHOM", default_value = "all")]
    wait: WaitArg,
    /// Trace processes that run already, and their descendants
    #[arg(short = 'p', long, value_name = "PID", value_delimiter = ',', conflicts_with = "command",
          value_parser = clap::value_parser!(u32).range(1..))]
    attach: Vec<u32>,
    /// Run the command as this user
    #[arg(short, long, value_name = "USER", requires = "command")]
    user: Option<String>,
    /// Run the command in this directory
    #[arg(short = 'C', long, value_name = "DIR", requires = "command")]
    cwd: Option<PathBuf>,
    /// Size of the eBPF ring buffer; larger loses less in bursts
    #[arg(long, value_name = "MIB", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    ring_mib: u32,
    /// Hide the values of environment variables whose names match a glob; may be repeated
    #[arg(long, value_name = "GLOB", value_parser = parse_glob)]
    redact: Vec<Glob>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    items: ItemArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum BackendArg {
    Auto,
    Ptrace,
    Seccomp,
    Ebpf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SeccompArg {
    Auto,
    On,
    Off,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WaitArg {
    All,
    Root,
}

impl LogCommand {
    /// What is to be done.
    pub(super) fn job(self) -> Result<Job> {
        let output = match self.output {
            Some(path) => Destination::of(path),
            None if self.trace.command.is_empty() => Destination::Stdout,
            None => Destination::Stderr,
        };
        let colored = match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => wants_color(&output),
        };
        let palette = if colored { Palette::ANSI } else { Palette::default() };
        let format = Text { timestamp: self.timestamp, palette };
        let mut job = self.trace.job(Box::new(format), output, Show::only(&[Item::Argv, Item::Interpreter]))?;
        // A line of text has no place for them.
        job.options.collect.namespace_pids = false;
        Ok(job)
    }
}

impl CollectCommand {
    /// What is to be done.
    pub(super) fn job(self) -> Result<Job> {
        let format: Box<dyn Format> = match self.format {
            FormatChoice::Json => Box::new(Json(Layout::Array)),
            FormatChoice::Jsonl => Box::new(Json(Layout::Lines)),
            FormatChoice::Perfetto => Box::new(Perfetto::default()),
        };
        self.trace.job(format, Destination::of(self.output), Show::records())
    }
}

impl TraceArgs {
    fn job(self, format: Box<dyn Format>, output: Destination, show: Show) -> Result<Job> {
        let filter = self.filter.filter()?;
        let show = self.items.apply(show);
        let options = Options {
            backend: match self.backend {
                BackendArg::Auto => BackendChoice::Auto,
                BackendArg::Ptrace => BackendChoice::Ptrace,
                BackendArg::Seccomp => BackendChoice::Seccomp,
                BackendArg::Ebpf => BackendChoice::Ebpf,
            },
            seccomp: match self.seccomp {
                SeccompArg::Auto => SeccompChoice::Auto,
                SeccompArg::On => SeccompChoice::On,
                SeccompArg::Off => SeccompChoice::Off,
            },
            wait: match self.wait {
                WaitArg::All => Wait::All,
                WaitArg::Root => Wait::Root,
            },
            collect: show.collect(&filter),
            filter,
            ring_bytes: self.ring_mib << 20,
            ..Options::default()
        };
        let target = match self.command.split_first() {
            Some((program, args)) => Target::Command(Launch {
                program: program.clone(),
                args: args.to_vec(),
                cwd: self.cwd,
                user: self.user,
            }),
            None if self.attach.is_empty() => Target::System,
            None => Target::Processes(self.attach),
        };
        Ok(Job { target, options, format, output, show, redact: Redact(glob_set(&self.redact)?) })
    }
}

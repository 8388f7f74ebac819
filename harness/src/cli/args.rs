//! What can be typed: [`Cli`].

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::matrix::{Arch, Filter, Shard};

/// Runs the root-only tests of a Rust eBPF project on a matrix of real kernels in QEMU.
#[derive(Debug, Parser)]
#[command(name = "ukci", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  ukci run                              boot every kernel of the matrix and run the tests
  ukci run --kernel 6.12 --kernel 7.2   only on these
  ukci run --set pr                     only a set that the matrix names
  ukci run --resume                     what the newest run did not get done
  ukci plan --json                      the cells, for scripts
  ukci shell 6.12                       a root shell in that kernel's VM
  ukci doctor                           what this machine has, and what is missing

Exit codes of `ukci run`:
  0  all as expected                    3  a cell was lost or timed out, none failed
  1  a bug or an I/O error              4  a test failed or unexpectedly passed
  2  usage or configuration             130  interrupted";

const RUN_EXAMPLES: &str = "\
Examples:
  ukci run --kernel '6.*' --test '*argv*'
  ukci run --jobs 1 --no-progress --out /tmp/run
  ukci run --resume             what the newest run did not get done
  ukci run --resume /tmp/run    the same of that run

A resumed run keeps the verdicts that say something about the program. Cells that never began,
were cut short, or lost their VM run again, in the same directory. Matrix, kernels, guest image
and test executables must be those of before.";

const MERGE_EXAMPLE: &str = "\
Example:
  ukci run --shard 1/2 --out one    on one machine
  ukci run --shard 2/2 --out two    on another
  ukci merge one two --out all

It exits as a `ukci run` of the whole plan would have.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Boot the kernels, run the tests, print the table
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Print the cells of the matrix, or shards of them for many machines
    #[command(
        after_help = "Examples:\n  ukci plan --set pr\n  ukci plan --json | jq -r '.[] | select(.not_run == null).id'\n  ukci plan --format github --shards 8   the JSON of a GitHub Actions `strategy.matrix`"
    )]
    Plan(PlanArgs),
    /// Pin the newest kernel of every series in kernels.lock.json, and say what moved
    Update(UpdateArgs),
    /// Make one run out of the results of all shards of a plan
    #[command(after_help = MERGE_EXAMPLE)]
    Merge(MergeArgs),
    /// Print a finished run again
    Report(ReportArgs),
    /// Open a root shell in a kernel's VM, which is gone afterwards
    Shell(ShellArgs),
    /// Say what this machine has: QEMU, KVM, LLVM, the package mirror, the store, disk space
    Doctor(DoctorArgs),
    /// Look after the store of downloads and images
    Cache {
        /// What to do with it.
        #[command(subcommand)]
        command: CacheCommand,
    },
    /// Run a command in the environment in which the matrix's project compiles
    #[command(after_help = "Example:\n  ukci exec -- cargo test --package tracer")]
    Exec(ExecArgs),
    /// Measure
    Bench {
        /// What to measure.
        #[command(subcommand)]
        command: BenchCommand,
    },
    /// Print a shell's completion script
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Where the matrix is.
#[derive(Clone, Debug, Args)]
pub struct MatrixArgs {
    /// The matrix [default: matrix/matrix.yaml or ukci.yaml, here or in a directory above]
    #[arg(long, value_name = "FILE")]
    pub matrix: Option<PathBuf>,
    /// Refuse kernels other than those that kernels.lock.json pins
    #[arg(long)]
    pub locked: bool,
}

/// Which cells.
#[derive(Clone, Debug, Args)]
pub struct FilterArgs {
    /// Only this set of the matrix; the filters below narrow it further
    #[arg(long, value_name = "NAME")]
    pub set: Option<String>,
    /// Only this kernel; a glob, may be repeated
    #[arg(long = "kernel", value_name = "GLOB")]
    pub kernels: Vec<String>,
    /// Only this architecture; may be repeated
    #[arg(long = "arch", value_name = "ARCH", value_parser = parse_arch)]
    pub arches: Vec<Arch>,
    /// Only this LLVM release; may be repeated
    #[arg(long, value_name = "N")]
    pub llvm: Vec<u32>,
}

fn parse_arch(name: &str) -> Result<Arch, String> {
    name.parse().map_err(|()| format!("expected one of {}", Arch::ALL.map(Arch::name).join(", ")))
}

impl FilterArgs {
    /// As the plan takes it.
    #[must_use]
    pub fn filter(&self) -> Filter {
        let Self { set, kernels, arches, llvm } = self.clone();
        Filter { set, kernels, arches, llvm }
    }
}

/// Which part of the plan, when many machines share it.
#[derive(Clone, Debug, Args)]
pub struct ShardArgs {
    /// Only this of N shards, which are expected to take the same time
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Expect times as this run had them: its name, its directory or its run.json; the same for every shard
    #[arg(long, value_name = "RUN")]
    pub times: Option<PathBuf>,
}

/// Arguments of `ukci run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Where the matrix is.
    #[command(flatten)]
    pub matrix: MatrixArgs,
    /// Which cells.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Which shard.
    #[command(flatten)]
    pub shard: ShardArgs,
    /// Only tests whose path matches; a glob, may be repeated
    #[arg(long = "test", value_name = "GLOB")]
    pub tests: Vec<String>,
    /// VMs at once [default: as many as the processors and the free memory carry]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub jobs: Option<u32>,
    /// The run's directory [default: target/ukci/runs/<time>]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Take up a run that did not come to its end: its name, its directory or its run.json [default: the newest]
    #[arg(long, value_name = "RUN", conflicts_with_all = ["FilterArgs", "ShardArgs", "tests", "out"])]
    pub resume: Option<Option<PathBuf>>,
    /// Print plain lines instead of live progress
    #[arg(long)]
    pub no_progress: bool,
    /// How guests are run
    #[arg(long, value_enum, default_value_t)]
    pub accel: AccelChoice,
}

/// How guests are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum AccelChoice {
    /// By KVM when a probe guest boots with it, else by software emulation
    #[default]
    Auto,
    /// By KVM, or not at all
    Kvm,
    /// By software emulation
    Tcg,
}

/// Arguments of `ukci plan`.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// Where the matrix is.
    #[command(flatten)]
    pub matrix: MatrixArgs,
    /// Which cells.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Which shard.
    #[command(flatten)]
    pub shard: ShardArgs,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    pub format: PlanFormat,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// With --format github: the most shards to make
    #[arg(long, value_name = "N", required_if_eq("format", "github"), conflicts_with = "shard",
        value_parser = clap::value_parser!(u16).range(1..=i64::from(Shard::MOST)))]
    pub shards: Option<u16>,
}

/// What `ukci plan` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// A table for each architecture
    #[default]
    Text,
    /// Every cell
    Json,
    /// Shards, in one line, for a GitHub Actions `strategy.matrix`
    Github,
}

/// Arguments of `ukci update`.
#[derive(Clone, Debug, Args)]
pub struct UpdateArgs {
    /// The matrix [default: matrix/matrix.yaml or ukci.yaml, here or in a directory above]
    #[arg(long, value_name = "FILE")]
    pub matrix: Option<PathBuf>,
    /// Say what would move, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `ukci merge`.
#[derive(Clone, Debug, Args)]
pub struct MergeArgs {
    /// The directories of the shards' runs
    #[arg(required = true, value_name = "DIR")]
    pub shards: Vec<PathBuf>,
    /// The merged run's directory [default: target/ukci/runs/<time>]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Arguments of `ukci report`.
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// The run: its name, its directory or its run.json [default: the newest]
    pub run: Option<PathBuf>,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    pub format: ReportFormat,
}

/// What `ukci report` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// The table
    #[default]
    Table,
    /// Markdown
    Markdown,
    /// run.json
    Json,
    /// JUnit XML
    Junit,
}

/// Arguments of `ukci shell`.
#[derive(Clone, Debug, Args)]
pub struct ShellArgs {
    /// Where the matrix is.
    #[command(flatten)]
    pub matrix: MatrixArgs,
    /// The kernel's name in the matrix
    pub kernel: String,
    /// The architecture [default: this machine's]
    #[arg(long, value_parser = parse_arch)]
    pub arch: Option<Arch>,
    /// Put the project's test executables into the guest, below /ukci/bundle
    #[arg(long)]
    pub bundle: bool,
    /// Run this command instead of a shell
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// Arguments of `ukci doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// The matrix [default: matrix/matrix.yaml or ukci.yaml, here or in a directory above]
    #[arg(long, value_name = "FILE")]
    pub matrix: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The commands of `ukci cache`.
#[derive(Clone, Debug, Subcommand)]
pub enum CacheCommand {
    /// List what the store holds
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove what was not used lately
    Prune {
        /// Keep what was used within this time, for example `7d` or `12h`
        #[arg(long, value_name = "TIME", default_value = "30d", value_parser = parse_duration)]
        older_than: Duration,
    },
    /// Hash every download again and remove what is damaged
    Verify,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let span: jiff::Span = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|error| error.to_string())?;
    Duration::try_from(duration).map_err(|error| error.to_string())
}

/// Arguments of `ukci exec`.
#[derive(Clone, Debug, Args)]
pub struct ExecArgs {
    /// Where the matrix is.
    #[command(flatten)]
    pub matrix: MatrixArgs,
    /// The LLVM release [default: the matrix's newest]
    #[arg(long, value_name = "N")]
    pub llvm: Option<u32>,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    pub command: Vec<std::ffi::OsString>,
}

/// The commands of `ukci bench`.
#[derive(Clone, Debug, Subcommand)]
pub enum BenchCommand {
    /// How long a large matrix takes from its text to the printed plan
    Plan {
        /// At least this many cells
        #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        cells: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run the matrix once, and say what a cell takes, how busy QEMU was, and what time was lost to waiting
    #[command(after_help = "Example:\n  ukci bench matrix --arch x86_64 --json")]
    Matrix {
        /// What to run.
        #[command(flatten)]
        run: Box<RunArgs>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// How much the harness adds to the boot of a bare kernel, as a ratio
    Boot {
        /// Where the matrix is.
        #[command(flatten)]
        matrix: MatrixArgs,
        /// The kernel's name in the matrix
        #[arg(long, default_value = "6.12")]
        kernel: String,
        /// Boots of each kind
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
        rounds: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// How long merging shards takes, and how that compares with only reading their records
    Merge {
        /// Test results in all shards together
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
        results: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

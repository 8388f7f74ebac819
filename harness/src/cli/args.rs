//! What can be typed: [`Cli`].

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

mod bench;
mod cells;
mod complexity;

pub use self::bench::BenchCommand;
use self::cells::parse_arch;
pub use self::cells::{AccelChoice, FilterArgs, MatrixArgs, PlanArgs, PlanFormat, RunArgs, ShardArgs};
pub use self::complexity::{ComplexityArgs, VeristatArgs};
use crate::matrix::Arch;

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
  2  usage or configuration             5  a budget is broken, and nothing worse happened
  130  interrupted";

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

const CAPABILITIES_EXAMPLE: &str = "\
Examples:
  ukci capabilities                 the newest run; exit code 4 when something is not as expected
  ukci capabilities --bless 'the kernel was built without BTF'

--bless appends rows to capabilities.yaml, beside the matrix, that expect what was found. Rows that
are there stay; of those that name a capability, the last counts.";
const COVERAGE_EXAMPLE: &str = "\
Example:
  ukci run --coverage
  ukci coverage           of the newest run

It writes coverage/{ebpf.lcov,userspace.lcov,lines.json,html/} into the run's directory.
The LLVM release that `rustc -vV` names reads the profiles of user space; without it, only those are missing.
Exit code 5: less is covered than the policy demands.";

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
    /// Compare what a run's kernels are capable of with capabilities.yaml
    #[command(after_help = CAPABILITIES_EXAMPLE)]
    Capabilities(CapabilitiesArgs),
    /// Say what the tests of a run covered of the sources, and write lcov, HTML and JSON
    #[command(after_help = COVERAGE_EXAMPLE)]
    Coverage(CoverageArgs),
    /// Print what the BPF programs of a run cost the verifiers, and hold it against the budget or another run
    #[command(after_help = complexity::COMPLEXITY_HELP)]
    Complexity(ComplexityArgs),
    /// Load BPF objects of any project on every kernel, and print what that costs the verifiers
    #[command(after_help = complexity::VERISTAT_HELP)]
    Veristat(VeristatArgs),
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
    /// Print what each kernel turned out to be capable of, instead of the verdicts
    #[arg(long, conflicts_with = "html")]
    pub support: bool,
    /// Write the page for a browser instead, and print its path
    #[arg(long, conflicts_with = "format")]
    pub html: bool,
    /// Where the page goes [default: report.html in the run's directory]
    #[arg(short, long, value_name = "FILE", requires = "html")]
    pub output: Option<PathBuf>,
}

/// Arguments of `ukci capabilities`.
#[derive(Clone, Debug, Args)]
pub struct CapabilitiesArgs {
    /// The run: its name, its directory or its run.json [default: the newest]
    pub run: Option<PathBuf>,
    /// The matrix [default: matrix/matrix.yaml or ukci.yaml, here or in a directory above]
    #[arg(long, value_name = "FILE")]
    pub matrix: Option<PathBuf>,
    /// Expect what was found, for this reason
    #[arg(long = "bless", value_name = "REASON", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub reason: Option<String>,
}

/// Arguments of `ukci coverage`.
#[derive(Clone, Debug, Args)]
pub struct CoverageArgs {
    /// The run: its name or its directory [default: the newest]
    pub run: Option<PathBuf>,
    /// Where the matrix is.
    #[command(flatten)]
    pub matrix: MatrixArgs,
    /// What is to be covered at least [default: coverage/policy.yaml of the project, if it is there]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
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

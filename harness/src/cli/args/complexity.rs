//! What can be asked about the cost of BPF programs: [`ComplexityArgs`], [`VeristatArgs`].

use std::path::PathBuf;

use clap::Args;

use super::{AccelChoice, FilterArgs, MatrixArgs};

pub(super) const COMPLEXITY_HELP: &str = "\
Examples:
  ukci complexity                        of the newest run
  ukci complexity --json > before.json   for scripts, and for a comparison later
  ukci complexity --diff before.json     what changed since
  ukci complexity --bless                write matrix/budget.yaml anew

Exit codes: 0; 1 a file cannot be read; 5 a budget is broken, or the comparison shows a program that
loaded and does not any more, that is gone, or that takes many more instructions.";

pub(super) const VERISTAT_HELP: &str = "\
Examples:
  ukci veristat exec.bpf.o --set full
  ukci veristat *.bpf.o --kernel '6.*' --arch x86_64 --json

Each program is loaded alone, as `SEC(\"…\")` says, and attached to nothing. Results lie in
target/ukci/veristat/<time>, which `ukci complexity` reads.

Exit codes: 0 every kernel takes every program; 3 a kernel was lost, none refused one; 4 a program is refused.";

/// Arguments of `ukci complexity`.
#[derive(Clone, Debug, Args)]
pub struct ComplexityArgs {
    /// The run: its name, its directory or its run.json [default: the newest]
    pub run: Option<PathBuf>,
    /// The matrix, which the budget lies beside [default: matrix/matrix.yaml or ukci.yaml, here or in a directory above]
    #[arg(long, value_name = "FILE")]
    pub matrix: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Compare with another run, or with what --json printed of one
    #[arg(long, value_name = "RUN|FILE")]
    pub diff: Option<PathBuf>,
    /// With --diff: how much more a program may take, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 10, requires = "diff")]
    pub max_percent: u64,
    /// With --diff: and in instructions processed; it must take more than both to be worse
    #[arg(long, value_name = "INSNS", default_value_t = 500, requires = "diff")]
    pub max_insns: u64,
    /// Write the budget so that this run keeps it; comments and reasons stay
    #[arg(long, conflicts_with_all = ["diff", "json"])]
    pub bless: bool,
}

/// Arguments of `ukci veristat`.
#[derive(Clone, Debug, Args)]
pub struct VeristatArgs {
    /// BPF object files
    #[arg(required = true, value_name = "FILE.bpf.o")]
    pub objects: Vec<PathBuf>,
    /// Where the matrix is.
    #[command(flatten)]
    pub matrix: MatrixArgs,
    /// Which kernels.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// VMs at once [default: as many as the processors and the free memory carry]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub jobs: Option<u32>,
    /// The directory of the results [default: target/ukci/veristat/<time>]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print plain lines instead of live progress
    #[arg(long)]
    pub no_progress: bool,
    /// How guests are run
    #[arg(long, value_enum, default_value_t)]
    pub accel: AccelChoice,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

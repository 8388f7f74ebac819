//! What can be measured: [`BenchCommand`].

use clap::Subcommand;

use super::{MatrixArgs, RunArgs, VeristatArgs};

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
    /// Load objects on every kernel once, and say the same
    #[command(after_help = "Example:\n  ukci bench veristat exec.bpf.o --arch x86_64 --json")]
    Veristat {
        /// What to load, and where.
        #[command(flatten)]
        veristat: Box<VeristatArgs>,
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

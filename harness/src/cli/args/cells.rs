//! What says which cells are meant, and how they run: [`FilterArgs`], [`ShardArgs`], [`RunArgs`], [`PlanArgs`].

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::matrix::{Arch, Filter, Shard};

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

pub(super) fn parse_arch(name: &str) -> Result<Arch, String> {
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
    /// Run the tests once more, compiled to count what they reach; `project.coverage` says with which LLVM
    #[arg(long)]
    pub coverage: bool,
    /// VMs at once [default: as many as the processors and the free memory carry]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub jobs: Option<u32>,
    /// The run's directory [default: target/ukci/runs/<time>]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Take up a run that did not come to its end: its name, its directory or its run.json [default: the newest]
    #[arg(long, value_name = "RUN", conflicts_with_all = ["FilterArgs", "ShardArgs", "tests", "out", "coverage"])]
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

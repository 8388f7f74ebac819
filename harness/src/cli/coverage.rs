//! `ukci coverage`: what the tests of a run covered.

use std::io;
use std::path::{Path, PathBuf};

use bpf_coverage::export::Tools;

use super::args::CoverageArgs;
use super::failure::Failure;
use super::screen::{self, Screen};
use super::workshop::Workshop;
use crate::archive::Progress;
use crate::coverage::{self, Coverage, Policy, Readers, Summary};
use crate::provision::{CoverageTools, ToolchainError, coverage_tools, rust};

/// The exit code when less is covered than the policy demands.
const BELOW_FLOOR: u8 = 5;

pub(super) async fn coverage(args: CoverageArgs) -> Result<u8, Failure> {
    let workshop = Workshop::open(args.matrix.matrix.as_deref(), Screen::new(false))?;
    let root = workshop.project.root.clone();
    let policy = read_policy(args.policy.as_deref(), &root)?;
    let run = super::report::find(args.run.as_deref(), || Ok(workshop.project.runs()))?;
    let run = run.parent().map(Path::to_owned).unwrap_or_default();
    // Before anything is fetched.
    let cells = coverage::scan(&run).map_err(coverage::CoverageError::from)?;
    if cells.is_empty() {
        return Err(coverage::CoverageError::Nothing(run).into());
    }
    let compiled = cells.iter().filter_map(|files| files.cell.rsplit_once("/llvm")?.1.parse().ok());
    let newest = compiled.chain(workshop.project.spec.llvm_versions()).max();
    let newest = newest.ok_or_else(|| Failure::Usage("the matrix has no LLVM".into()))?;
    let bpf = of_release(&workshop, newest).await?;
    let userspace = match cells.iter().any(|files| !files.userspace.is_empty()) {
        true => of_rustc(&workshop).await,
        false => Err("no test left a profile".to_owned()),
    };
    let repository = bpf_coverage::repository_around(&root.join("Cargo.toml"));
    let gathered = Coverage::gather(&run, &repository, Readers { bpf, userspace })?;
    gathered.write(&run.join("coverage"))?;
    for (reason, cells) in &gathered.userspace_missing {
        workshop.screen.warn(&format!("no coverage of user space from {}: {reason}", cells.join(", ")));
    }
    let summary = Summary::new(&gathered.lines, gathered.cells, &policy);
    if args.json {
        let json = serde_json::to_string_pretty(&summary).map_err(|error| Failure::Broken(error.to_string()))?;
        super::print(&format!("{json}\n"))?;
    } else {
        super::print(&coverage::render(&summary, screen::style(&io::stdout())))?;
    }
    let unused = policy.unused(&gathered.lines);
    if !unused.is_empty() {
        return Err(Failure::Usage(format!(
            "the policy excludes what has no code: {}\n  hint: the sources have changed; remove or move the exclusions",
            unused.join(", ")
        )));
    }
    Ok(if summary.shortfalls.is_empty() { 0 } else { BELOW_FLOOR })
}

async fn of_release(workshop: &Workshop, llvm: u32) -> Result<Tools, ToolchainError> {
    let CoverageTools { llvm_profdata, llvm_cov } =
        coverage_tools(&workshop.archive, &workshop.project.spec, llvm).await?;
    Ok(Tools { llvm_profdata, llvm_cov })
}

/// What reads the raw profiles of Rust programs: LLVM's release in rustc, whose format no other may read. The error is for a
/// person.
async fn of_rustc(workshop: &Workshop) -> Result<Tools, String> {
    let release = rust::llvm_release(&workshop.project.root).await.map_err(|error| error.to_string())?;
    let release = release.ok_or("`rustc -vV` names no LLVM release")?;
    let found = of_release(workshop, release).await;
    found.map_err(|error| {
        format!("rustc writes profiles of LLVM {release}, and there is no llvm-profdata of it: {error}")
    })
}

fn read_policy(given: Option<&Path>, root: &Path) -> Result<Policy, Failure> {
    let usual = root.join("coverage/policy.yaml");
    let path: PathBuf = given.map_or(usual, Path::to_owned);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Policy::parse(&path, &text)?),
        Err(error) if given.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(Policy::default()),
        Err(error) => Err(Failure::Usage(format!("cannot read `{}`: {error}", path.display()))),
    }
}

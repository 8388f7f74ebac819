//! `ukci report`: prints a finished run again, or makes its page.

mod page;

use std::path::{Path, PathBuf};

use super::args::{ReportArgs, ReportFormat};
use super::failure::Failure;
use crate::project::Project;
use crate::report::{self, Support};
use crate::run::outcome::RunOutcome;

pub(super) use self::page::write_page;

pub(super) fn report(args: &ReportArgs) -> Result<u8, Failure> {
    let (path, text, outcome) = load(args.run.as_deref())?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if args.support {
        super::print(&support(&outcome, args.format)?)?;
        return Ok(0);
    }
    if args.html {
        let page = args.output.clone().unwrap_or_else(|| directory.join(page::NAME));
        write_page(&outcome, directory, &page)?;
        super::print(&format!("{}\n", page.display()))?;
        return Ok(0);
    }
    let printed = match args.format {
        ReportFormat::Table => super::run::table(&outcome, directory),
        ReportFormat::Markdown => report::markdown(&outcome),
        ReportFormat::Json => text,
        ReportFormat::Junit => {
            let mut xml = Vec::new();
            report::write_junit(&outcome, &mut xml).map_err(|error| Failure::Broken(error.to_string()))?;
            String::from_utf8_lossy(&xml).into_owned()
        }
    };
    super::print(&printed)?;
    Ok(0)
}

/// What the run's kernels are capable of.
fn support(outcome: &RunOutcome, format: ReportFormat) -> Result<String, Failure> {
    let support = Support::of(outcome);
    if support.is_empty() {
        return Err(Failure::Usage(
            "no test of this run reported capabilities\n  hint: a test does by leaving `capabilities.json` in UKCI_ARTIFACTS"
                .into(),
        ));
    }
    match format {
        ReportFormat::Table => Ok(support.to_text(super::screen::style(&std::io::stdout()))),
        ReportFormat::Markdown => Ok(support.to_markdown()),
        ReportFormat::Json => {
            let json = serde_json::to_string_pretty(&support);
            json.map(|json| json + "\n").map_err(|error| Failure::Broken(error.to_string()))
        }
        ReportFormat::Junit => Err(Failure::Usage("--support goes with --format table, markdown and json".into())),
    }
}

/// The record of the run that is `given`, below the runs of the nearest project: its path, its text and what it says.
pub(super) fn load(given: Option<&Path>) -> Result<(PathBuf, String, RunOutcome), Failure> {
    load_from(given, || Ok(Project::load(None)?.runs()))
}

/// The same, below the directory `runs`.
pub(super) fn load_from(
    given: Option<&Path>,
    runs: impl FnOnce() -> Result<PathBuf, Failure>,
) -> Result<(PathBuf, String, RunOutcome), Failure> {
    let path = find(given, runs)?;
    let (text, outcome) = read(&path)?;
    Ok((path, text, outcome))
}

/// The `run.json` that is meant: a file, a run's directory, a run's name below the directory `runs`, or the newest run.
pub(super) fn find(given: Option<&Path>, runs: impl FnOnce() -> Result<PathBuf, Failure>) -> Result<PathBuf, Failure> {
    let given = match given {
        Some(path) if path.is_file() => return Ok(path.to_owned()),
        Some(path) if path.is_dir() => return Ok(path.join("run.json")),
        given => given.unwrap_or(Path::new("latest")),
    };
    Ok(runs()?.join(given).join("run.json"))
}

/// Reads a `run.json`: its text, and what that says.
pub(super) fn read(path: &Path) -> Result<(String, RunOutcome), Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::Usage(format!(
            "cannot read `{}`: {error}\n  hint: `ls target/ukci/runs` lists the runs",
            path.display()
        ))
    })?;
    let outcome = report::read(&text).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    Ok((text, outcome))
}

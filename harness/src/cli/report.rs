//! `ukci report`: prints a finished run again.

use std::path::{Path, PathBuf};

use super::args::{ReportArgs, ReportFormat};
use super::failure::Failure;
use crate::project::Project;
use crate::report;
use crate::run::outcome::RunOutcome;

pub(super) fn report(args: &ReportArgs) -> Result<u8, Failure> {
    let (path, text, outcome) = load(args.run.as_deref())?;
    let directory = path.parent().unwrap_or(Path::new("."));
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

/// The record of the run that is `given`: its path, its text and what it says.
pub(super) fn load(given: Option<&Path>) -> Result<(PathBuf, String, RunOutcome), Failure> {
    let path = find(given)?;
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::Usage(format!(
            "cannot read `{}`: {error}\n  hint: `ls target/ukci/runs` lists the runs",
            path.display()
        ))
    })?;
    let outcome = report::read(&text).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    Ok((path, text, outcome))
}

/// The `run.json` that is meant: a file, a run's directory, a run's name, or the newest run.
fn find(given: Option<&Path>) -> Result<PathBuf, Failure> {
    let given = match given {
        Some(path) if path.is_file() => return Ok(path.to_owned()),
        Some(path) if path.is_dir() => return Ok(path.join("run.json")),
        given => given.unwrap_or(Path::new("latest")),
    };
    Ok(Project::load(None)?.runs().join(given).join("run.json"))
}

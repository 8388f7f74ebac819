//! `ukci complexity`: what the BPF programs of a run cost, and whether that is too much.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::args::ComplexityArgs;
use super::failure::Failure;
use super::report::{find, load, read};
use super::screen;
use crate::complexity::budget::{self, Budget, Verification};
use crate::complexity::diff::{Diff, Thresholds};
use crate::complexity::{self, Export, Problem, Table, render};
use crate::matrix::{Filter, Plan};
use crate::project::Project;
use crate::report;
use crate::run::outcome::RunOutcome;

/// The exit code of a budget that is broken.
const BROKEN: u8 = 5;

pub(super) fn complexity(args: &ComplexityArgs) -> Result<u8, Failure> {
    let (path, _, outcome) = load(args.run.as_deref())?;
    let (table, problems) = table_of(&path, &outcome);
    problems.iter().for_each(|problem| super::print_error(&format!("warning: {problem}\n")));
    if table.is_empty() {
        let hint = "hint: a test leaves `complexity.json` in the directory that UKCI_ARTIFACTS names, with the crate bpf-complexity; \
                    `ukci veristat` needs no test";
        return Err(Failure::Usage(format!("`{}` has no numbers of BPF programs\n  {hint}", path.display())));
    }
    let style = screen::style(&std::io::stdout());
    let unread = u8::from(!problems.is_empty());
    if args.bless {
        let project = Project::load(args.matrix.as_deref())?;
        bless(&project, &table)?;
        return Ok(unread);
    }
    // Everything is read before anything is printed.
    let before = args.diff.as_ref().map(|before| Ok::<_, Failure>((before, other_table(before)?))).transpose()?;
    // A run from elsewhere can be looked at without a project.
    let project = Project::load(args.matrix.as_deref()).ok();
    let verification = project.map(|project| verify(&project, &table)).transpose()?;
    if args.json {
        super::print(&json(&Export::new(&outcome.id, &table))?)?;
    } else {
        super::print(&render::render(&table, style))?;
    }
    let mut code = unread;
    if let Some((before, other)) = before {
        let thresholds = Thresholds { percent: args.max_percent, insns: args.max_insns };
        let diff = Diff::new(&other, &table, thresholds);
        say(args.json, &render::diff(&diff, &before.display().to_string(), &table, style))?;
        code = if diff.is_worse() { BROKEN } else { code };
    }
    if let Some(verification) = verification {
        say(args.json, &render::verification(&verification, &table, style))?;
        code = if verification.findings.is_empty() { code } else { BROKEN };
    }
    Ok(code)
}

/// Prints for people; where scripts read standard output, beside it.
fn say(json: bool, text: &str) -> Result<(), Failure> {
    if json {
        super::print_error(text);
        return Ok(());
    }
    super::print(text)
}

pub(super) fn json(export: &Export) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(export).map_err(|error| Failure::Broken(error.to_string()))?;
    Ok(format!("{text}\n"))
}

fn table_of(run: &Path, outcome: &RunOutcome) -> (Table, Vec<Problem>) {
    let (found, problems) = complexity::collect(run.parent().unwrap_or(Path::new(".")), outcome);
    (Table::new(outcome, &found), problems)
}

/// The table of another run, or of a file that `--json` has written.
fn other_table(given: &Path) -> Result<Table, Failure> {
    let path = find(Some(given), || Ok(Project::load(None)?.runs()))?;
    if given.is_file() && path.file_name().is_none_or(|name| name != "run.json") {
        let wrong = |error: &dyn std::fmt::Display| Failure::Usage(format!("{}: {error}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(&error))?;
        return Ok(Export::parse(&text).map_err(|error| wrong(&error))?.table());
    }
    let (_, outcome) = read(&path)?;
    let (table, problems) = table_of(&path, &outcome);
    problems.iter().for_each(|problem| super::print_error(&format!("warning: {problem}\n")));
    Ok(table)
}

/// The budget beside the matrix, with its text; `None` when there is none.
fn budget_of(project: &Project) -> Result<Option<(String, Budget)>, Failure> {
    let path = budget_path(project);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let budget = Budget::parse(&path, &text).map_err(|error| Failure::Usage(error.to_string()))?;
            Ok(Some((text, budget)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::Usage(format!("cannot read `{}`: {error}", path.display()))),
    }
}

fn budget_path(project: &Project) -> PathBuf {
    project.directory.join(budget::FILE_NAME)
}

/// Holds the table against the project's budget. A project without one has nothing to break.
fn verify(project: &Project, table: &Table) -> Result<Verification, Failure> {
    Ok(budget_of(project)?.map(|(_, budget)| budget.verify(table)).unwrap_or_default())
}

fn bless(project: &Project, table: &Table) -> Result<(), Failure> {
    let (text, old) = budget_of(project)?.unwrap_or_default();
    let plan = Plan::expand(&project.spec, &Filter::default())?;
    let cells: Vec<String> =
        plan.cells().iter().filter(|cell| cell.not_run.is_none()).map(|cell| cell.id.clone()).collect();
    let blessed = budget::blessed(&text, &old, table, &cells);
    let path = budget_path(project);
    report::replace_file(&path, |file| file.write_all(blessed.as_bytes()))
        .map_err(|error| Failure::Broken(format!("cannot write `{}`: {error}", path.display())))?;
    let changed = if blessed == text { "nothing changed in" } else { "wrote" };
    super::print(&format!("{changed} {}\n", path.display()))
}

/// The budget that a run is held against at its end.
pub(super) struct Gate {
    budget: Option<Budget>,
}

impl Gate {
    /// Reads the budget of the project whose matrix is `given`, or the nearest one; there may be none.
    pub(super) fn open(given: Option<&Path>) -> Result<Self, Failure> {
        let project = Project::load(given)?;
        Ok(Self { budget: budget_of(&project)?.map(|(_, budget)| budget) })
    }

    /// The same of the nearest project, where there is one.
    pub(super) fn nearest() -> Result<Self, Failure> {
        match Project::load(None) {
            Ok(project) => Ok(Self { budget: budget_of(&project)?.map(|(_, budget)| budget) }),
            Err(_no_project) => Ok(Self { budget: None }),
        }
    }

    /// Holds a run in `directory`, which deserves the exit code `code` by itself, against the budget; prints what is broken. What is worse
    /// than a broken budget stays.
    pub(super) fn judge(&self, directory: &Path, outcome: &RunOutcome, code: u8) -> Result<u8, Failure> {
        let Some(budget) = &self.budget else { return Ok(code) };
        let (found, problems) = complexity::collect(directory, outcome);
        problems.iter().for_each(|problem| super::print_error(&format!("warning: {problem}\n")));
        let table = Table::new(outcome, &found);
        let verification = budget.verify(&table);
        if verification.findings.is_empty() {
            return Ok(code);
        }
        super::print(&render::verification(&verification, &table, screen::style(&std::io::stdout())))?;
        Ok(if code == 0 { BROKEN } else { code })
    }
}

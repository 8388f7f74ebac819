//! `ukci capabilities`: what the kernels of a run are capable of, against what is expected of them now.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use super::args::CapabilitiesArgs;
use super::failure::Failure;
use crate::matrix::Arch;
use crate::project::{CAPABILITIES, Project};
use crate::report::{self, Support};
use crate::run::outcome::{Capability, CellOutcome, RunOutcome};
use crate::run::{Judged, judge};

/// A finding that is as bad as a failed test.
const SURPRISED: u8 = 4;

pub(super) fn capabilities(args: &CapabilitiesArgs) -> Result<u8, Failure> {
    let project = Project::load(args.matrix.as_deref())?;
    let (_, _, outcome) = super::report::load_from(args.run.as_deref(), || Ok(project.runs()))?;
    let surprises = surprises(&outcome, &project);
    if let Some(reason) = &args.reason {
        let path = project.directory.join(CAPABILITIES);
        bless(&path, &rows(&surprises, reason))?;
        super::print(&format!("{}: {} rows added\n", path.display(), rows(&surprises, reason).len()))?;
        return Ok(0);
    }
    let mut printed = Support::of(&outcome).to_text(super::screen::style(&std::io::stdout()));
    for (cell, capability) in &surprises {
        let why = capability.surprise().unwrap_or_default();
        _ = writeln!(printed, "{}: {}", cell.id, report::one_line(&why));
    }
    super::print(&printed)?;
    Ok(if surprises.is_empty() { 0 } else { SURPRISED })
}

/// What was found in the run that the project does not expect now.
fn surprises<'run>(run: &'run RunOutcome, project: &Project) -> Vec<(&'run CellOutcome, Capability)> {
    let of_cell = |cell: &'run CellOutcome| {
        let last = cell.attempts.last()?;
        let reported = last.capabilities.iter().filter_map(|it| Some((it.name.clone(), it.found.clone()?)));
        let found: BTreeMap<String, String> = reported.collect();
        let complete =
            run.test_globs.is_empty() && last.elsewhere == 0 && last.loss.is_none() && !cell.is_interrupted();
        let expected = project.capabilities.clone().unwrap_or_default();
        let judged = Judged { arch: cell.arch, kernel: &cell.kernel.name, cell: &cell.id, complete };
        let capabilities = judge(&found, Some(&expected), judged);
        Some(capabilities.into_iter().filter(|it| it.surprise().is_some()).map(move |it| (cell, it)))
    };
    run.cells.iter().filter_map(of_cell).flatten().collect()
}

/// What is expected, by capability; `None` for one that must not be reported.
type Expect<'a> = BTreeMap<&'a str, Option<&'a str>>;

/// The rows that expect what was found: one for all kernels of an architecture that differ in the same way. A kernel whose cells
/// differ has a row for each.
fn rows(surprises: &[(&CellOutcome, Capability)], reason: &str) -> Vec<String> {
    let mut cells: Vec<(&CellOutcome, Expect<'_>)> = Vec::new();
    for (cell, capability) in surprises {
        let (name, found) = (capability.name.as_str(), capability.found.as_deref());
        match cells.last_mut().filter(|(last, _)| last.id == cell.id) {
            Some((_, expect)) => _ = expect.insert(name, found),
            None => cells.push((cell, BTreeMap::from([(name, found)]))),
        }
    }
    let same_kernel = |a: &CellOutcome, b: &CellOutcome| a.arch == b.arch && a.kernel.name == b.kernel.name;
    let mut groups: BTreeMap<(Arch, &Expect<'_>), Vec<String>> = BTreeMap::new();
    let mut rows = Vec::new();
    for (cell, expect) in &cells {
        let mut twins = cells.iter().filter(|(other, _)| same_kernel(cell, other));
        if twins.all(|(_, other)| other == expect) {
            let kernels = groups.entry((cell.arch, expect)).or_default();
            if !kernels.contains(&cell.kernel.name) {
                kernels.push(cell.kernel.name.clone());
            }
        } else {
            rows.push(row(&format!("cell: {}", quoted(&cell.id)), expect, reason));
        }
    }
    let of_group = |((arch, expect), kernels): ((Arch, &Expect<'_>), Vec<String>)| {
        let kernel = if let [only] = kernels.as_slice() { only.clone() } else { format!("{{{}}}", kernels.join(",")) };
        row(&format!("arch: {arch}, kernel: {}", quoted(&kernel)), expect, reason)
    };
    groups.into_iter().map(of_group).chain(rows).collect()
}

fn row(place: &str, expect: &Expect<'_>, reason: &str) -> String {
    let expect: Vec<String> = expect
        .iter()
        .map(|(name, found)| format!("{}: {}", quoted(name), found.map_or("null".into(), quoted)))
        .collect();
    format!("- {{{place}, expect: {{{}}}, reason: {}}}\n", expect.join(", "), quoted(reason))
}

/// The text as YAML: a JSON string is one.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Appends rows, which win over those before them; comments and reasons stay.
fn bless(path: &Path, rows: &[String]) -> Result<(), Failure> {
    let written = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(rows.concat().as_bytes()));
    written.map_err(|error| Failure::Broken(format!("cannot write `{}`: {error}", path.display())))
}

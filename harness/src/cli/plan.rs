//! `ukci plan`: the cells of the matrix, as text and as JSON.

use serde::Serialize;

use super::args::PlanArgs;
use super::failure::Failure;
use crate::matrix::{Arch, Cell, KernelOrigin, Plan};
use crate::project::Project;

/// A cell with what its kernel is pinned to.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    cell: &'a Cell,
    release: Option<&'a str>,
    version: Option<&'a str>,
    /// What is said in place of a release.
    #[serde(skip)]
    unpinned: &'static str,
}

pub(super) fn plan(args: &PlanArgs) -> Result<u8, Failure> {
    let project = Project::load(args.matrix.matrix.as_deref())?;
    let plan = Plan::expand(&project.spec, &args.filter.filter(), Arch::host())?;
    let rows: Vec<Row<'_>> = plan.cells().iter().map(|cell| row(&project, cell)).collect();
    if args.json {
        let json = serde_json::to_string_pretty(&rows).map_err(|error| Failure::Broken(error.to_string()))?;
        super::print(&format!("{json}\n"))?;
    } else {
        super::print(&text(&rows, plan.jobs().len()))?;
    }
    Ok(0)
}

fn row<'a>(project: &'a Project, cell: &'a Cell) -> Row<'a> {
    let pinned = project.lock.get(cell.arch, &cell.kernel);
    let version = pinned.and_then(|pinned| pinned.image_package()).map(|package| package.version.as_str());
    let kernel = project.spec.kernels.iter().find(|kernel| kernel.name == cell.kernel);
    let unpinned = match kernel.map(|kernel| &kernel.origin) {
        Some(KernelOrigin::Series(_)) | None => "not pinned: the newest of its series",
        Some(KernelOrigin::Path(_)) => "from files of this machine",
        Some(KernelOrigin::Url(_)) => "from a server",
        Some(KernelOrigin::Source(_)) => "built from source",
    };
    Row { cell, unpinned, release: pinned.map(|pinned| pinned.release.as_str()), version }
}

fn text(rows: &[Row<'_>], jobs: usize) -> String {
    let width = rows.iter().map(|row| row.cell.id.len()).max().unwrap_or_default();
    let mut text = String::new();
    for row in rows {
        let note = match &row.cell.not_run {
            Some(reason) => format!("not run: {reason}"),
            None => row.release.unwrap_or(row.unpinned).to_owned(),
        };
        text += &format!("{:width$}  {note}\n", row.cell.id);
    }
    let waiting = rows.iter().filter(|row| row.cell.not_run.is_some()).count();
    let not_run = if waiting > 0 { format!(", {waiting} of them not run") } else { String::new() };
    text + &format!("{} cells in {jobs} VMs{not_run}\n", rows.len())
}

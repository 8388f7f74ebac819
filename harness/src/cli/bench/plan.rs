//! `ukci bench plan`: how long a large matrix takes from its text to the printed plan.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::matrix::{Arch, ExpectedTimes, Filter, MatrixSpec, Plan, Shard};
use crate::report::{self, Style};

/// What was measured, for scripts.
#[derive(Debug, Serialize)]
struct PlanBench {
    cells: usize,
    jobs: usize,
    parse_seconds: f64,
    expand_seconds: f64,
    shard_seconds: f64,
    text_seconds: f64,
    json_seconds: f64,
    total_seconds: f64,
}

pub(super) fn bench(cells: usize, json: bool) -> Result<u8, Failure> {
    let text = specification(cells);
    let start = Instant::now();
    let spec = MatrixSpec::parse(Path::new("bench.yaml"), &text).map_err(|error| Failure::Broken(error.to_string()))?;
    let parsed = Instant::now();
    let plan = Plan::expand(&spec, &Filter::default())?;
    let expanded = Instant::now();
    let times = ExpectedTimes::default();
    let shards = plan.split(usize::from(Shard::MOST), &times);
    let sharded = Instant::now();
    let table = report::plan(&plan, plan.expected_seconds(&times), |cell| Some(cell.kernel.clone()), Style::default());
    let rendered = Instant::now();
    let rows = serde_json::to_string_pretty(plan.cells()).map_err(|error| Failure::Broken(error.to_string()))?;
    let end = Instant::now();
    // What is not used might not be made.
    std::hint::black_box((shards, table, rows));
    let result = PlanBench {
        cells: plan.cells().len(),
        jobs: plan.jobs().len(),
        parse_seconds: (parsed - start).as_secs_f64(),
        expand_seconds: (expanded - parsed).as_secs_f64(),
        shard_seconds: (sharded - expanded).as_secs_f64(),
        text_seconds: (rendered - sharded).as_secs_f64(),
        json_seconds: (end - rendered).as_secs_f64(),
        total_seconds: (end - start).as_secs_f64(),
    };
    if json {
        let text = serde_json::to_string_pretty(&result).map_err(|error| Failure::Broken(error.to_string()))?;
        crate::cli::print(&format!("{text}\n"))?;
    } else {
        crate::cli::print(&table_of(&result))?;
    }
    Ok(0)
}

fn table_of(result: &PlanBench) -> String {
    let PlanBench {
        cells,
        jobs,
        parse_seconds,
        expand_seconds,
        shard_seconds,
        text_seconds,
        json_seconds,
        total_seconds,
    } = result;
    let mut text = format!("{cells} cells in {jobs} VMs, from the matrix's text to the plan:\n");
    for (what, seconds) in [
        ("parse and check", parse_seconds),
        ("expand", expand_seconds),
        ("cut into shards", shard_seconds),
        ("print as text", text_seconds),
        ("print as JSON", json_seconds),
        ("together", total_seconds),
    ] {
        _ = writeln!(text, "  {what:16} {seconds:6.3} s");
    }
    text
}

/// A matrix of at least so many cells, with a row to leave some out for every tenth kernel, and one to let some of those run.
fn specification(cells: usize) -> String {
    const VERSIONS: [u32; 5] = [23, 22, 21, 20, 19];
    let kernels = cells.div_ceil(VERSIONS.len() * Arch::ALL.len());
    let mut text = "\
project: {directory: ., package: demo}
archive: {kernels: [stable], tools: stable, sysroot: stable}
"
    .to_owned();
    let mut list = |key: &str, rows: &mut dyn Iterator<Item = String>| {
        _ = writeln!(text, "{key}:");
        rows.for_each(|row| _ = writeln!(text, "  {row}"));
    };
    let tenth = || (0..kernels).step_by(10);
    list("arches", &mut Arch::ALL.iter().map(|arch| format!("{arch}: {{}}")));
    list("kernels", &mut (0..kernels).map(|minor| format!("- {{name: \"9.{minor}\", series: \"9.{minor}\"}}")));
    list("llvm", &mut VERSIONS.iter().map(|version| format!("- {{version: {version}}}")));
    list("exclude", &mut tenth().map(|minor| format!("- {{kernel: \"9.{minor}\", reason: \"reason {minor}\"}}")));
    list(
        "include",
        &mut tenth().map(|minor| format!("- {{kernel: \"9.{minor}\", llvm: 23, reason: \"all the same\"}}")),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_is_one_and_is_as_large_as_asked_for() {
        for cells in [1, 100, 2000] {
            let spec = MatrixSpec::parse(Path::new("bench.yaml"), &specification(cells)).unwrap();
            let plan = Plan::expand(&spec, &Filter::default()).unwrap();
            assert!((cells..cells + 15).contains(&plan.cells().len()), "{cells}");
            assert!(plan.cells().iter().any(|cell| cell.included.is_some()));
        }
    }
}

//! `ukci bench merge`: how long it takes to make one run out of shards.

use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::merge::Merger;
use crate::cli::run::table;
use crate::matrix::{Arch, Shard};
use crate::report;
use crate::run::directory::RunDirectory;
use crate::run::outcome::{
    Attempt, CellOutcome, HostId, Inputs, KernelId, Phase, PhaseName, RunOutcome, TestRecord, TestResult,
};
use crate::run::plan_id;

/// As many machines as a weekly run may have.
const SHARDS: usize = 8;
/// Tests of a large project, each with a log of its own.
const TESTS_PER_CELL: usize = 100;

/// What was measured, for scripts.
#[derive(Debug, Serialize)]
struct MergeBench {
    shards: usize,
    cells: usize,
    results: usize,
    bytes: u64,
    read_seconds: f64,
    merge_seconds: f64,
    ratio: f64,
}

pub(super) fn bench(results: usize, json: bool) -> Result<u8, Failure> {
    let failed = |error: std::io::Error| Failure::Broken(format!("cannot write the shards to be merged: {error}"));
    let scratch = tempfile::tempdir().map_err(failed)?;
    let shards = write_shards(scratch.path(), results).map_err(failed)?;

    let started = Instant::now();
    let mut bytes = 0;
    for shard in &shards {
        let text = std::fs::read_to_string(shard.join("run.json")).map_err(failed)?;
        bytes += text.len() as u64;
        report::read(&text).map_err(|error| Failure::Broken(error.to_string()))?;
    }
    let read_seconds = started.elapsed().as_secs_f64();

    let started = Instant::now();
    let merger = Merger::read(&shards)?;
    let directory = RunDirectory::at(&scratch.path().join("merged"), Timestamp::now())?;
    let outcome = merger.assemble(&directory)?;
    report::write_all(directory.path(), &outcome).map_err(failed)?;
    let printed = table(&outcome, directory.path());
    let merge_seconds = started.elapsed().as_secs_f64();

    let found: usize = outcome.cells.iter().map(|cell| cell.tests().len()).sum();
    if found != results || printed.is_empty() {
        return Err(Failure::Broken(format!("the merged run has {found} results: expected {results}")));
    }
    let ratio = merge_seconds / read_seconds;
    let cells = outcome.cells.len();
    let result = MergeBench { shards: shards.len(), cells, results, bytes, read_seconds, merge_seconds, ratio };
    if json {
        let text = serde_json::to_string_pretty(&result).map_err(|error| Failure::Broken(error.to_string()))?;
        crate::cli::print(&format!("{text}\n"))?;
    } else {
        crate::cli::print(&format!(
            "{results} test results of {cells} cells in {} shards, each with its log:\n  reading the records alone  \
             {read_seconds:.2} s\n  merging                    {merge_seconds:.2} s\n  ratio                      \
             {ratio:.1}\n",
            shards.len()
        ))?;
    }
    Ok(0)
}

/// Writes the shards of a run with so many results below `directory`, with all their logs.
fn write_shards(directory: &Path, results: usize) -> std::io::Result<Vec<PathBuf>> {
    let count = results.div_ceil(TESTS_PER_CELL);
    let cells: Vec<CellOutcome> =
        (0..count).map(|place| cell(place, TESTS_PER_CELL.min(results - place * TESTS_PER_CELL))).collect();
    let plan = plan_id(cells.iter().map(|cell| cell.id.as_str()));
    let parts: Vec<&[CellOutcome]> = cells.chunks(count.div_ceil(SHARDS)).collect();
    let mut shards = Vec::new();
    for (place, own) in parts.iter().enumerate() {
        let id = Shard { index: place + 1, of: parts.len() };
        let shard = directory.join(format!("shard{}", id.index));
        for cell in *own {
            let logs = shard.join("cells").join(&cell.id);
            std::fs::create_dir_all(&logs)?;
            let mut first: Option<PathBuf> = None;
            for log in cell.tests().iter().filter_map(|test| test.log.as_ref()) {
                let place = shard.join(log);
                // A link is made faster than a file, and is as much work for the merge.
                match &first {
                    Some(first) => std::fs::hard_link(first, place)?,
                    None => std::fs::write(first.insert(place), "test result: ok\n")?,
                }
            }
        }
        let outcome = RunOutcome {
            schema: 1,
            id: id.to_string(),
            started: Timestamp::UNIX_EPOCH,
            finished: Some(Timestamp::UNIX_EPOCH),
            resumed: Vec::new(),
            host: HostId { cores: 2, accel: "tcg".into(), qemu: "10.0.13".into() },
            hosts: Vec::new(),
            plan: Some(plan.clone()),
            shard: Some(id),
            test_globs: Vec::new(),
            coverage: false,
            cells: own.to_vec(),
            jobs: Vec::new(),
        };
        report::write_record(&shard, &outcome)?;
        shards.push(shard);
    }
    Ok(shards)
}

/// A cell in which one test in a hundred failed.
fn cell(position: usize, tests: usize) -> CellOutcome {
    let name = format!("6.{position}");
    let id = format!("x86_64/{name}/llvm22");
    let test = |place: usize| TestRecord {
        binary: "demo::exec".into(),
        name: format!("module::the_test_with_the_number_{place}"),
        result: if place == 42 { TestResult::Failed } else { TestResult::Passed },
        seconds: 0.25,
        message: (place == 42).then(|| format!("assertion `left == right` failed in {position}\n  left: 1\n right: 2")),
        expected_failure: None,
        log: Some(format!("cells/{id}/demo-exec-{place}.log")),
        artifacts: Vec::new(),
    };
    let phases = vec![Phase { name: PhaseName::Test, seconds: 25.0 }];
    let attempt = Attempt { phases, tests: (0..tests).map(test).collect(), ..Attempt::default() };
    let kernel = KernelId { name, release: format!("6.{position}-amd64"), package: None, version: None };
    let (arch, inputs, attempts) = (Arch::X86_64, Inputs::default(), vec![attempt]);
    CellOutcome { id, arch, kernel, llvm: 22, position, inputs, not_run: None, attempts }
}

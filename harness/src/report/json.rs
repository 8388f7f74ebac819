//! `run.json`: the record of a run for scripts, for `ukci report`, and for resuming. [`write()`] and [`read`].

use std::io::{self, BufWriter, Write};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::matrix::{Arch, Shard};
use crate::run::outcome::{
    Capability, CellOutcome, CoverageRecord, HostId, Inputs, JobUse, KernelId, Loss, Phase, PlanId, RunOutcome,
    TestRecord, TestResult, Verdict, VmUse,
};

/// The layout that this version writes and reads.
pub(super) const SCHEMA: u32 = 1;

/// Why a `run.json` cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The record is not what this version writes.
    #[error("line {line}, column {column}{}: {message}", .key.as_ref().map(|key| format!(", key `{key}`")).unwrap_or_default())]
    Malformed {
        /// The key whose value is wrong, where there is one.
        key: Option<String>,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What was found and what was expected.
        message: String,
        /// The parser's own words.
        source: serde_json::Error,
    },
    /// The record has another layout.
    #[error(
        "written by a newer ukci: found schema `{found}`, expected `{SCHEMA}`\n\n  hint: read it with the ukci that wrote it"
    )]
    Schema {
        /// The number that the record has.
        found: u64,
    },
}

/// Reads what [`write()`] wrote. Keys that this version does not know are skipped.
///
/// # Errors
///
/// Fails when the text is not the record of a run, and says where.
pub fn read(json: &str) -> Result<RunOutcome, ReadError> {
    #[derive(Deserialize)]
    struct Head {
        schema: u64,
    }
    let malformed = |error| malformed(json, error);
    let head: Head = serde_json::from_str(json).map_err(malformed)?;
    if head.schema != u64::from(SCHEMA) {
        return Err(ReadError::Schema { found: head.schema });
    }
    serde_json::from_str(json).map_err(malformed)
}

fn malformed(json: &str, source: serde_json::Error) -> ReadError {
    let (line, column) = (source.line(), source.column());
    let whole = source.to_string();
    let message = whole.split_once(" at line ").map_or(whole.as_str(), |(message, _)| message).to_owned();
    // An error about a value stands behind its key; one about a field names the field itself.
    let has_key = source.is_data() && !message.contains(" field ");
    let key = if has_key { key_before(json, line, column) } else { None };
    ReadError::Malformed { key, line, column, message, source }
}

/// The last key that stands before the position.
fn key_before(json: &str, line: usize, column: usize) -> Option<String> {
    let line_start: usize = json.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let before = json.get(..(line_start + column).min(json.len()))?;
    let (key, _) = before.rsplit_once("\":")?;
    Some(key.rsplit_once('"')?.1.to_owned())
}

/// Writes the record, with the verdicts as they are now.
///
/// # Errors
///
/// Fails when the writer does.
pub(super) fn write(run: &RunOutcome, writer: impl Write) -> io::Result<()> {
    let mut writer = BufWriter::new(writer);
    serde_json::to_writer_pretty(&mut writer, &RunView::of(run))?;
    writer.write_all(b"\n")?;
    writer.flush()
}

/// Milliseconds are all that a clock across a VM's border is good for.
fn round(seconds: f64) -> f64 {
    if seconds.is_finite() { (seconds * 1000.0).round() / 1000.0 } else { 0.0 }
}

fn rounded(job: &JobUse) -> JobUse {
    let vm = |vm: &VmUse| VmUse {
        started: round(vm.started),
        ended: round(vm.ended),
        cpu_seconds: vm.cpu_seconds.map(round),
    };
    JobUse {
        id: job.id.clone(),
        provision_seconds: round(job.provision_seconds),
        build_seconds: round(job.build_seconds),
        ready: round(job.ready),
        processors: job.processors,
        vms: job.vms.iter().map(vm).collect(),
    }
}

#[derive(Serialize)]
struct RunView<'a> {
    schema: u32,
    id: &'a str,
    started: Timestamp,
    finished: Option<Timestamp>,
    resumed: &'a [Timestamp],
    host: &'a HostId,
    hosts: &'a [HostId],
    plan: Option<&'a PlanId>,
    shard: Option<Shard>,
    test_globs: &'a [String],
    coverage: bool,
    cells: Vec<CellView<'a>>,
    jobs: Vec<JobUse>,
}

#[derive(Serialize)]
struct CellView<'a> {
    id: &'a str,
    arch: Arch,
    kernel: &'a KernelId,
    llvm: u32,
    position: usize,
    verdict: Verdict,
    reason: Option<String>,
    inputs: Inputs,
    not_run: Option<&'a str>,
    attempts: Vec<AttemptView<'a>>,
}

#[derive(Serialize)]
struct AttemptView<'a> {
    phases: Vec<Phase>,
    tests: Vec<TestView<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    elsewhere: usize,
    #[serde(skip_serializing_if = "<[Capability]>::is_empty")]
    capabilities: &'a [Capability],
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<&'a CoverageRecord>,
    loss: Option<&'a Loss>,
}

#[derive(Serialize)]
struct TestView<'a> {
    binary: &'a str,
    name: &'a str,
    verdict: Verdict,
    result: TestResult,
    seconds: f64,
    message: Option<&'a str>,
    expected_failure: Option<&'a str>,
    log: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    artifacts: &'a [String],
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl<'a> RunView<'a> {
    fn of(run: &'a RunOutcome) -> Self {
        let RunOutcome {
            schema,
            id,
            started,
            finished,
            resumed,
            host,
            hosts,
            plan,
            shard,
            test_globs,
            coverage,
            cells,
            jobs,
        } = run;
        Self {
            schema: *schema,
            id,
            started: *started,
            finished: *finished,
            resumed,
            host,
            hosts,
            plan: plan.as_ref(),
            shard: *shard,
            test_globs,
            coverage: *coverage,
            cells: cells.iter().map(CellView::of).collect(),
            jobs: jobs.iter().map(rounded).collect(),
        }
    }
}

impl<'a> CellView<'a> {
    fn of(cell: &'a CellOutcome) -> Self {
        let CellOutcome { id, arch, kernel, llvm, position, inputs, not_run, attempts } = cell;
        let attempts = attempts.iter().map(|attempt| AttemptView {
            phases: attempt
                .phases
                .iter()
                .map(|phase| Phase { seconds: round(phase.seconds), ..phase.clone() })
                .collect(),
            tests: attempt.tests.iter().map(TestView::of).collect(),
            elsewhere: attempt.elsewhere,
            capabilities: &attempt.capabilities,
            coverage: attempt.coverage.as_ref(),
            loss: attempt.loss.as_ref(),
        });
        Self {
            id,
            arch: *arch,
            kernel,
            llvm: *llvm,
            position: *position,
            verdict: cell.verdict(),
            reason: cell.reason(),
            inputs: *inputs,
            not_run: not_run.as_deref(),
            attempts: attempts.collect(),
        }
    }
}

impl<'a> TestView<'a> {
    fn of(test: &'a TestRecord) -> Self {
        let TestRecord { binary, name, result, seconds, message, expected_failure, log, artifacts } = test;
        Self {
            binary,
            name,
            verdict: test.verdict(),
            result: *result,
            seconds: round(*seconds),
            message: message.as_deref(),
            expected_failure: expected_failure.as_deref(),
            log: log.as_deref(),
            artifacts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    /// Check that nothing is lost on the way to the file and back.
    #[test]
    fn a_record_reads_back_as_it_was() {
        for run in [fixture::empty(), fixture::every_verdict(), fixture::hostile(), fixture::resumed_shard()] {
            let mut json = vec![];
            write(&run, &mut json).unwrap();
            assert_eq!(read(std::str::from_utf8(&json).unwrap()).unwrap(), run);
        }
    }

    /// Check that a record of before there were shards and resumed runs can still be read.
    #[test]
    fn a_record_without_the_newer_keys_reads_as_if_they_were_empty() {
        let mut json = vec![];
        write(&fixture::one_cell(), &mut json).unwrap();
        let mut record: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let run = record.as_object_mut().unwrap();
        for key in ["resumed", "hosts", "plan", "shard", "test_globs", "coverage"] {
            assert!(run.remove(key).is_some(), "{key}");
        }
        let cell = run["cells"][0].as_object_mut().unwrap();
        for key in ["position", "inputs"] {
            assert!(cell.remove(key).is_some(), "{key}");
        }
        assert_eq!(read(&record.to_string()).unwrap(), fixture::one_cell());
    }

    #[test]
    fn one_cell_has_the_keys_that_scripts_rely_on() {
        let mut json = vec![];
        write(&fixture::one_cell(), &mut json).unwrap();
        insta::assert_snapshot!(String::from_utf8(json).unwrap());
    }

    #[test]
    fn an_unreadable_record_says_where_and_why() {
        let mut json = vec![];
        write(&fixture::one_cell(), &mut json).unwrap();
        let json = String::from_utf8(json).unwrap();
        let error = |from: &str, to: &str| {
            assert!(json.contains(from), "the record has no {from}");
            read(&json.replacen(from, to, 1)).unwrap_err().to_string()
        };
        let errors = [
            error("\"llvm\": 22", "\"llvm\": \"22\""),
            error("\"result\": \"passed\",", ""),
            error("\"arch\": \"x86_64\"", "\"arch\": \"mips\""),
            error("\"schema\": 1", "\"schema\": 2"),
            error("\"schema\": 1,", ""),
            read("").unwrap_err().to_string(),
            read(&json[..json.len() / 2]).unwrap_err().to_string(),
        ];
        insta::assert_snapshot!(errors.join("\n"));
    }
}

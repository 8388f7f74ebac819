//! Runs with reports for the tests of this module.

use bpf_complexity::record::{Kernel, Mode, Object};
use bpf_complexity::{Record, Report, Verdict};

use super::collect::Found;
use super::table::Table;
use crate::report::fixture;
use crate::run::outcome::{CellOutcome, RunOutcome};

/// A program that is taken at this cost.
pub(super) fn ok(program: &str, insns: u64) -> Record {
    Record {
        insns_processed: Some(insns),
        stack_max: Some(100),
        map_count: Some(3),
        ..Record::bare("default", program, Verdict::Ok)
    }
}

/// A program that is not.
pub(super) fn refused(program: &str, reason: &str) -> Record {
    Record { reason: Some(reason.into()), ..Record::bare("default", program, Verdict::Rejected) }
}

pub(super) fn report(records: Vec<Record>) -> Report {
    Report {
        schema: 1,
        kernel: Kernel { release: "6.12.1".into(), arch: "x86_64".into(), config_sha: None },
        object: Object { name: "demo".into(), sha256: "0".into(), clang: None, mcpu: None, mode: Mode::Release },
        records,
    }
}

/// A cell that came to its end.
pub(super) fn cell(id: &str) -> CellOutcome {
    let (arch, rest) = id.split_once('/').unwrap();
    let (kernel, llvm) = rest.split_once("/llvm").unwrap();
    let attempts = vec![fixture::attempt(vec![fixture::passed("a")])];
    fixture::cell(arch.parse().unwrap(), kernel, llvm.parse().unwrap(), attempts)
}

/// The run of these cells, and what was found in them.
pub(super) fn run(cells: &[(&str, Vec<Record>)]) -> (RunOutcome, Vec<Found>) {
    let found = |(id, records): &(&str, Vec<Record>)| Found {
        cell: (*id).to_owned(),
        path: "complexity.json".into(),
        report: report(records.clone()),
    };
    let found = cells.iter().filter(|(_, records)| !records.is_empty()).map(found).collect();
    (fixture::run(cells.iter().map(|(id, _)| cell(id)).collect()), found)
}

/// The table of these cells.
pub(super) fn table(cells: &[(&str, Vec<Record>)]) -> Table {
    let (run, found) = run(cells);
    Table::new(&run, &found)
}

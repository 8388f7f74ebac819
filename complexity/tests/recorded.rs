//! Reads logs that were recorded in guests: what each kernel says of the programs in `tests/programs/several.bpf.c`.
//!
//! `tests/logs/<arch>-<kernel>/<program>.log` is the end of the verifier's text, as `bpf-complexity --logs` writes it, and
//! `report.json` beside it what the loader said there of the programs, but for their logs.

#![allow(missing_docs, reason = "the names of tests are sentences")]

use std::path::{Path, PathBuf};

use bpf_complexity::parse::{self, Stats};
use bpf_complexity::{Record, Report, Verdict};

/// The directories of all recordings, by name.
fn recordings() -> Vec<(String, PathBuf)> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/logs");
    let entries = std::fs::read_dir(home).unwrap().map(|entry| entry.unwrap());
    let mut recordings: Vec<_> =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path())).collect();
    recordings.sort();
    recordings
}

fn log(directory: &Path, program: &str) -> String {
    std::fs::read_to_string(directory.join(format!("{program}.log"))).unwrap()
}

fn report(directory: &Path) -> Report {
    Report::parse(&std::fs::read_to_string(directory.join("report.json")).unwrap()).unwrap()
}

fn record(report: &Report, program: &str) -> Record {
    report.records.iter().find(|record| record.program == program).unwrap().clone()
}

#[test]
fn every_format_was_recorded() {
    let names: Vec<String> = recordings().into_iter().map(|(name, _)| name).collect();
    for name in ["x86_64-5.10", "x86_64-6.1", "x86_64-6.12", "x86_64-7.2", "x86_64-7.3-rc", "aarch64-6.12"] {
        assert!(names.iter().any(|other| other == name), "{name}: {names:?}");
    }
}

/// Check that each kernel's words give every number that they hold, and that these agree with what the kernel says of the
/// loaded program.
#[test]
fn a_taken_program_is_understood_on_every_kernel() {
    for (name, directory) in recordings() {
        let stats = Stats::of(&log(&directory, "taken"));
        let record = record(&report(&directory), "taken");
        assert_eq!(record.verdict, Verdict::Ok, "{name}");
        assert!(stats.insns_processed.is_some_and(|insns| insns > 60), "{name}: {stats:?}");
        assert_eq!(stats.insns_processed, record.processed(), "{name}");
        if let Some(verified) = record.verified_insns {
            assert_eq!(stats.insns_processed, Some(verified), "{name}");
        }
        assert_eq!(stats.insns_limit, Some(1_000_000), "{name}");
        assert!(stats.total_states.is_some() && stats.peak_states.is_some(), "{name}: {stats:?}");
        assert!(stats.max_states_per_insn.is_some() && stats.mark_read.is_some(), "{name}: {stats:?}");
        assert!(stats.verification_us.is_some_and(|time| time > 0), "{name}: {stats:?}");
        // The comm's 64 bytes and the leaf's 32: as the calls add up, or as the kernel says, which gives the 64 a stack of
        // their own.
        assert_eq!(stats.stack_depths, Some(vec![64, 32]), "{name}");
        assert_eq!(record.stack_max, Some(if tells_the_deepest_chain(&name) { 64 } else { 96 }), "{name}");
        assert!(record.warning.is_none(), "{name}: {record:?}");
    }
}

fn tells_the_deepest_chain(name: &str) -> bool {
    name.ends_with("-7.2") || name.ends_with("-7.3-rc")
}

#[test]
fn newer_kernels_tell_the_deepest_chain_themselves() {
    for (name, directory) in recordings() {
        let stats = Stats::of(&log(&directory, "taken"));
        assert_eq!(stats.stack_max, tells_the_deepest_chain(&name).then_some(64), "{name}: {stats:?}");
        let subprogs = stats.subprogs.map(|subprogs| subprogs.into_iter().map(|subprog| subprog.kind).collect());
        let kinds = name.ends_with("-7.3-rc").then(|| vec!["main".to_owned(), "static".to_owned()]);
        assert_eq!(subprogs, kinds, "{name}");
    }
}

/// Check that the reason of a refusal is found in each kernel's log, and that nothing of it is statistics.
#[test]
fn a_refusal_has_its_reason_on_every_kernel() {
    for (name, directory) in recordings() {
        let text = log(&directory, "refused");
        let reason = parse::reason(&text).unwrap();
        assert!(reason.contains("invalid mem access"), "{name}: {reason}");
        let record = record(&report(&directory), "refused");
        assert_eq!((record.verdict, record.errno), (Verdict::Rejected, Some(13)), "{name}");
    }
}

/// Check that a program with a helper of 5.17 is refused by older kernels and by no other.
#[test]
fn a_program_may_be_too_new() {
    for (name, directory) in recordings() {
        let record = record(&report(&directory), "loops");
        let too_old = name.ends_with("-5.10");
        assert_eq!(record.verdict == Verdict::Rejected, too_old, "{name}: {record:?}");
    }
}

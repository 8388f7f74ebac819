//! What every program costs this kernel's verifier, for `ukci complexity`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bpf_complexity::record::INSNS_LIMIT;
use bpf_complexity::{Case, Record, Verdict, measure};
use serial_test::serial;

use super::Tier;
use super::load_cases::{load_cases, setup};
use super::programs::Programs;

static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bpf-coverage/tracer.o"));

/// Check that no program of the object is left out of what is measured, and that none is made up.
#[test]
fn the_cases_have_every_program() {
    let cases = load_cases();
    let measured: BTreeSet<String> = cases.iter().flat_map(|case| case.programs.clone()).collect();
    let mut all = BTreeSet::new();
    let mut show = |object: &mut libbpf_rs::OpenObject| {
        all = object.progs().map(|program| program.name().to_string_lossy().into_owned()).collect();
    };
    cases[0].open(&mut show).unwrap();
    assert_eq!(measured, all);
}

/// Check that the kernel takes each program but those of fentry, which it may not have, that each costs less than a fifth
/// of the verifier's limit, and that these are the programs of a trace: they cost the same there. Leaves what each costs
/// in UKCI_ARTIFACTS.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn complexity_of_every_program() {
    let mut cases = Vec::new();
    for case in load_cases() {
        let case = Rc::new(case);
        cases.extend(case.programs.iter().map(|program| {
            let case = Rc::clone(&case);
            Case { name: case.name.into(), program: program.clone(), configure: Rc::new(move |show| case.open(show)) }
        }));
    }
    let report = measure("tracer", OBJECT, &cases);
    report.leave().unwrap();

    // Kernels have it or not.
    let may_be_absent = |record: &Record| record.case.starts_with("fentry");
    let absent: Vec<_> =
        report.records.iter().filter(|record| record.verdict != Verdict::Ok && !may_be_absent(record)).collect();
    assert!(absent.is_empty(), "{absent:#?}");
    let loaded = || report.records.iter().filter(|record| record.verdict == Verdict::Ok);
    for record in loaded() {
        let processed = record.processed().unwrap_or_else(|| panic!("{record:#?}"));
        assert!(processed < INSNS_LIMIT / 5, "{}: {processed} instructions processed", record.name());
    }

    // Kernels before 5.16 do not say what a loaded program cost.
    let for_a_command = loaded().filter(|record| !record.case.ends_with("-system"));
    let alone: BTreeMap<&str, u32> =
        for_a_command.map(|record| (&*record.program, record.verified_insns.unwrap_or(0) as u32)).collect();
    if std::env::var_os("BPF_COVERAGE_DIR").is_some() {
        return; // a trace loads an instrumented object then
    }
    let programs = Programs::start(&setup(false, Tier::FentrySleepable)).unwrap();
    let together = programs.verified();
    assert!(!together.is_empty());
    for (program, verified) in together {
        assert_eq!(alone.get(&*program), Some(&verified), "{program}");
    }
}

//! Loads real programs. The object is compiled here, with the clang that `CLANG` names.

#![cfg(feature = "libbpf")]
#![allow(missing_docs, reason = "the names of tests are sentences")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bpf_complexity::elf::{self, ElfError};
use bpf_complexity::{Case, Record, Report, Verdict, measure, set_autoload};
use serial_test::serial;

/// Compiles a program of `tests/programs`.
fn compile(name: &str, options: &[&str]) -> Vec<u8> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(name);
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out.o");
    let clang = std::env::var_os("CLANG").unwrap_or_else(|| "clang".into());
    let output = Command::new(clang)
        .args(["-target", "bpf", "-mcpu=v2", "-g", "-O2", "-Wall", "-Werror", "-c"])
        .args(options)
        .arg(source)
        .arg("-o")
        .arg(&out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(out).unwrap()
}

fn record<'a>(report: &'a Report, program: &str) -> &'a Record {
    report.records.iter().find(|record| record.program == program).unwrap()
}

/// Runs the loader.
fn loader(arguments: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bpf-complexity")).args(arguments).output().unwrap()
}

fn in_directory(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    let write = |(name, bytes): &(&str, &[u8])| {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let paths = files.iter().map(write).collect();
    (directory, paths)
}

/// Check that an object says which clang compiled it, and that one cut short anywhere is refused and never panics.
#[test]
fn an_object_is_inspected_whole() {
    let bytes = compile("several.bpf.c", &[]);
    let object = elf::inspect("several", &bytes).unwrap();
    assert_eq!(object.name, "several");
    assert!(object.clang.as_ref().is_some_and(|clang| clang.contains('.')), "{object:?}");
    assert_eq!(object.sha256.len(), 64);
    for length in (0..bytes.len()).step_by(97) {
        let error = elf::inspect("several", &bytes[..length]).unwrap_err();
        assert!(matches!(error, ElfError::NotElf { .. } | ElfError::Broken(_)), "{length}: {error}");
    }
    let error = elf::inspect("big", &compile("several.bpf.c", &["-target", "bpfeb"])).unwrap_err();
    assert_eq!(error, ElfError::BigEndian);
}

/// Check that the loader names each file that it cannot use, says what it expected, and still measures the others.
#[test]
fn the_loader_refuses_what_is_no_object_and_goes_on() {
    let object = compile("several.bpf.c", &[]);
    let machine = std::fs::read("/proc/self/exe").unwrap();
    let files = [
        ("text.o", b"#!/bin/sh\n".as_slice()),
        ("machine.o", &machine),
        ("cut.o", &object[..2000]),
        ("good.o", &object),
    ];
    let (_directory, paths) = in_directory(&files);
    let output = loader(&paths.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(1));
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    for (file, expected) in [
        ("text.o", "expected a BPF object"),
        ("machine.o", "expected an ELF file for machine 247"),
        ("cut.o", "truncated"),
    ] {
        let line = complaints.lines().find(|line| line.contains(file));
        assert!(line.is_some_and(|line| line.contains(expected)), "{file}: {complaints}");
    }
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let report = Report::parse(&printed).unwrap();
    assert_eq!(report.object.name, "good");
    // Who runs this need not be root: then each record says why it was skipped.
    assert_eq!(report.records.len(), 4, "{printed}");
    assert!(report.records.iter().all(|record| record.verdict == Verdict::Ok || record.reason.is_some()), "{printed}");
}

#[test]
fn the_loader_explains_its_use() {
    let output = loader(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("usage: bpf-complexity"));
    assert_eq!(loader(&[Path::new("--wrong")]).status.code(), Some(2));
    assert_eq!(loader(&[Path::new("--help")]).status.code(), Some(0));
}

/// Check that a taken program has every number, and that they agree with one another.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn a_program_that_is_taken_has_its_numbers() {
    let bytes = compile("several.bpf.c", &[]);
    let report = measure("several", &bytes, &Case::plain(&bytes).unwrap());
    let taken = record(&report, "taken");
    assert_eq!((taken.verdict, &taken.reason, taken.errno), (Verdict::Ok, &None, None), "{taken:?}");
    assert!(taken.warning.is_none(), "{taken:?}");
    assert!(taken.insns_processed.is_some_and(|insns| insns > 20), "{taken:?}");
    if let Some(verified) = taken.verified_insns {
        assert_eq!(taken.insns_processed, Some(verified));
    }
    assert_eq!(taken.insns_limit, Some(1_000_000));
    // The comm's 64 bytes and the leaf's 32.
    assert!(taken.stack_max.is_some_and(|stack| (96..=192).contains(&stack)), "{taken:?}");
    assert!(taken.stack_depths.as_ref().is_none_or(|depths| depths.len() == 2), "{taken:?}");
    assert_eq!(taken.kind.as_deref(), Some("raw_tracepoint"));
    assert!(taken.insns > Some(20) && taken.xlated > Some(20), "{taken:?}");
}

/// Check that a refused program has its reason and its log's end, and that one alone is refused.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn a_program_that_is_refused_says_why() {
    let bytes = compile("several.bpf.c", &[]);
    let report = measure("several", &bytes, &Case::plain(&bytes).unwrap());
    let refused = record(&report, "refused");
    assert_eq!((refused.verdict, refused.errno), (Verdict::Rejected, Some(13)), "{refused:?}");
    assert!(refused.reason.as_ref().is_some_and(|reason| reason.contains("invalid mem access")), "{refused:?}");
    assert!(refused.log_tail.as_ref().is_some_and(|tail| tail.contains("invalid mem access")), "{refused:?}");
    assert_eq!(report.rejected().iter().filter(|name| name.starts_with("refused: ")).count(), 1);
}

/// Check that what a case does to the object is done, and that what it cannot do is a record with the reason.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn a_case_configures_its_object() {
    let bytes = compile("several.bpf.c", &[]);
    let cases = Case::each("quiet", &bytes, |object| {
        ["refused", "loops", "traces"].iter().for_each(|name| set_autoload(object, name, false));
        Ok(())
    });
    let mut cases = cases.unwrap();
    assert_eq!(cases.iter().map(|case| case.program.as_str()).collect::<Vec<_>>(), ["taken"]);
    let broken = |_show: &mut dyn FnMut(&mut libbpf_rs::OpenObject)| Err("this kernel has\nno such hook".into());
    cases.push(Case { name: "broken".into(), program: "taken".into(), configure: std::rc::Rc::new(broken) });
    let other = Case { name: "quiet".into(), program: "absent".into(), configure: cases[0].configure.clone() };
    cases.push(other);
    let report = measure("several", &bytes, &cases);
    let told: Vec<_> =
        report.records.iter().map(|record| (record.name(), record.verdict, record.reason.as_deref())).collect();
    let expected = [
        ("quiet/taken".to_owned(), Verdict::Ok, None),
        ("broken/taken".to_owned(), Verdict::Skipped, Some("this kernel has no such hook")),
        ("quiet/absent".to_owned(), Verdict::Skipped, Some("the object has no program `absent`")),
    ];
    assert_eq!(told, expected);
}

/// Check that programs that are loaded together cost what each costs alone, whether or not one among them is refused.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn programs_cost_the_same_together() {
    let bytes = compile("several.bpf.c", &[]);
    let all = Case::plain(&bytes).unwrap();
    let taken = Case::each("taken", &bytes, |object| {
        set_autoload(object, "refused", false);
        Ok(())
    });
    for cases in [all, taken.unwrap()] {
        let timeless = |record: &Record| {
            let log = record.log_tail.as_deref().unwrap_or_default();
            let log: String = log.lines().filter(|line| !line.starts_with("verification time")).collect();
            Record { verification_us: None, log_tail: Some(log), ..record.clone() }
        };
        let together = measure("several", &bytes, &cases).records;
        let alone = cases.iter().flat_map(|case| measure("several", &bytes, std::slice::from_ref(case)).records);
        let alone: Vec<Record> = alone.map(|record| timeless(&record)).collect();
        assert!(alone.iter().any(|record| record.verdict == Verdict::Ok), "{alone:#?}");
        assert_eq!(together.iter().map(timeless).collect::<Vec<_>>(), alone);
    }
}

//! From objects and profiles to lcov. `LLVM_PROFDATA` and `LLVM_COV` name the tools, else those of the `PATH` serve.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bpf_coverage::Instrumented;
use bpf_coverage::collect::Record;
use bpf_coverage::export::{Exporter, Objects, Tools, lcov};
use bpf_coverage_example::Probe;
use bpf_coverage_example::skeleton::probe;
use serial_test::serial;
use tempfile::TempDir;

/// Where the build script has left the objects.
const OBJECTS: &str = concat!(env!("OUT_DIR"), "/bpf-coverage");

/// The repository that this is in; none in a guest, where nothing can be compared with the sources.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// An exporter, or none where LLVM is missing or too old for the clang that compiled; then it says so.
fn exporter() -> Option<Exporter> {
    let tool = |variable: &str, name: &str| PathBuf::from(std::env::var_os(variable).unwrap_or_else(|| name.into()));
    let tools = Tools { llvm_profdata: tool("LLVM_PROFDATA", "llvm-profdata"), llvm_cov: tool("LLVM_COV", "llvm-cov") };
    let version = Command::new(&tools.llvm_cov).arg("--version").output().ok();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let version = version.split("version ").nth(1).and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    if !raw_object(0).exists() {
        say_skipped("the objects are on the machine that compiled");
        return None;
    }
    let compiler = probe_clang();
    if version.is_none_or(|version| version < compiler) {
        let found = version.map_or("none".to_owned(), |version| format!("release {version}"));
        say_skipped(&format!("llvm-cov: expected release {compiler} or later, found {found}"));
        return None;
    }
    Some(Exporter::new(tools, &repository()).unwrap())
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn say_skipped(reason: &str) {
    assert!(std::env::var_os("GITHUB_ACTIONS").is_none(), "on GitHub everything can be had; {reason}");
    eprintln!("skipped: {reason}");
}

/// The release of the clang that compiled, from what it wrote into the object: its DWARF names the producer.
fn probe_clang() -> u32 {
    let raw = fs::read(raw_object(0)).unwrap();
    let text = String::from_utf8_lossy(&raw);
    text.split("clang version ").nth(1).and_then(|rest| rest.split('.').next()?.parse().ok()).unwrap()
}

/// The object that llvm-cov needs for a variant of the probe.
fn raw_object(variant: usize) -> PathBuf {
    Path::new(OBJECTS).join(format!("probe-{}.raw.o", probe::COVERAGE.variants[variant].mode.name()))
}

/// A profile of a variant in which nothing ran.
fn empty_profile(instrumented: &Instrumented, variant: usize, directory: &Path) -> PathBuf {
    let path = directory.join(format!("{}-1-1.proftext", instrumented.name));
    let variant = &instrumented.variants[variant];
    let mut text = ":fe\n".to_owned();
    if variant.mode == bpf_coverage::Mode::SingleByte {
        text.push_str(":single_byte_coverage\n");
    }
    for function in variant.functions {
        text.push_str(&format!("{}\n{}\n{}\n", function.name, function.hash, function.counters));
        text.push_str(&"0\n".repeat(function.counters as usize));
    }
    fs::write(&path, text).unwrap();
    path
}

/// The lines of a file in a report, with their counts.
fn lines(report: &lcov::Report, file: &str) -> Vec<(u32, u64)> {
    let section = report.sections.iter().find(|(key, _)| key.source_file.ends_with(file)).unwrap().1;
    section.lines.iter().map(|(key, value)| (key.line, value.count)).collect()
}

/// The count of the line of a source that has this text.
fn count_of(report: &lcov::Report, file: &str, text: &str) -> u64 {
    let source = fs::read_to_string(repository().join("coverage/example/src/bpf").join(file)).unwrap();
    let line = source.lines().position(|line| line.contains(text)).unwrap() as u32 + 1;
    lines(report, file).into_iter().find(|(at, _)| *at == line).unwrap().1
}

/// Check that paths are as in git, headers of the program are there under their own names, and those of libbpf are not.
#[test]
fn paths() {
    let Some(exporter) = exporter() else { return };
    let directory = TempDir::new().unwrap();
    for variant in 0..probe::COVERAGE.variants.len() {
        let profile = empty_profile(&probe::COVERAGE, variant, directory.path());
        let report = exporter.bpf(&raw_object(variant), &[profile]).unwrap();
        let paths: Vec<&str> = report.sections.keys().map(|key| key.source_file.to_str().unwrap()).collect();
        assert_eq!(paths, ["coverage/example/src/bpf/probe.bpf.c", "coverage/example/src/bpf/probe.h"]);
        assert!(lines(&report, "probe.bpf.c").iter().all(|(_, count)| *count == 0));
    }
}

/// Check each bad object: the error says what is wrong with it, and nothing panics, wherever it is cut.
#[test]
fn bad_objects() {
    let directory = TempDir::new().unwrap();
    let tools = Tools { llvm_profdata: "not-run".into(), llvm_cov: "not-run".into() };
    let exporter = Exporter::new(tools, &repository()).unwrap();
    let profile = empty_profile(&probe::COVERAGE, 0, directory.path());
    let object = directory.path().join("object.o");
    let error = |contents: &[u8]| {
        fs::write(&object, contents).unwrap();
        exporter.bpf(&object, std::slice::from_ref(&profile)).unwrap_err().to_string()
    };
    let raw = fs::read(raw_object(0)).unwrap();

    let plain = fs::read(Path::new(OBJECTS).join("probe.o")).unwrap();
    assert!(error(&plain).contains("no coverage sections\n  hint: compile with `-fprofile-instr-generate"));
    let other = fs::read(Path::new(OBJECTS).join("refuses_both-counters.raw.o")).unwrap();
    assert!(error(&other).contains("is not a profile of"));
    let mut big = raw.clone();
    big[5] = 2;
    assert!(error(&big).contains("a big-endian object, expected a little-endian one"));
    let mut machine = raw.clone();
    machine[18] = 62;
    assert!(error(&machine).contains("not a BPF object: expected ELF machine 247, found 62"));
    assert!(error(b"").contains("not a whole ELF file"));
    for len in (1..raw.len()).step_by(97) {
        assert!(error(&raw[..len]).contains("not a whole ELF file"), "cut after {len} bytes");
    }
}

/// Check that a damaged byte anywhere in an object gives an error or a result, and no panic.
#[test]
fn damaged_objects() {
    let directory = TempDir::new().unwrap();
    let tools = Tools { llvm_profdata: "not-run".into(), llvm_cov: "not-run".into() };
    let exporter = Exporter::new(tools, &repository()).unwrap();
    let profile = empty_profile(&probe::COVERAGE, 0, directory.path());
    let object = directory.path().join("object.o");
    let raw = fs::read(raw_object(0)).unwrap();
    for at in (0..raw.len()).step_by(13) {
        let mut contents = raw.clone();
        contents[at] ^= 0xff;
        fs::write(&object, &contents).unwrap();
        assert!(exporter.bpf(&object, std::slice::from_ref(&profile)).is_err());
    }
}

/// Check that an object whose contents are not those of its name is refused, and that others are found by hash.
#[test]
fn objects_by_hash() {
    let directory = TempDir::new().unwrap();
    let hash = probe::COVERAGE.variants[0].hash;
    let path = directory.path().join("x86_64").join(format!("probe-{hash}.o"));
    fs::create_dir(path.parent().unwrap()).unwrap();
    let raw = fs::read(raw_object(0)).unwrap();
    fs::write(&path, &raw).unwrap();
    assert_eq!(Objects::below(directory.path()).unwrap().bpf(hash), Some(path.as_path()));
    fs::write(&path, &raw[..raw.len() - 1]).unwrap();
    let error = Objects::below(directory.path()).unwrap_err().to_string();
    assert!(error.contains(&format!("expected the contents of hash `{hash}`")), "{error}");
}

/// Check that a tool which fails is named with what it said, and an old llvm-cov with what to do.
#[test]
fn tools_that_fail() {
    let directory = TempDir::new().unwrap();
    let script = directory.path().join("llvm-cov");
    fs::write(&script, "#!/bin/sh\necho \"error: unsupported coverage format version\" >&2\nexit 1\n").unwrap();
    let mut permissions = fs::metadata(&script).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    fs::set_permissions(&script, permissions).unwrap();
    let profile = empty_profile(&probe::COVERAGE, 0, directory.path());
    let export = |llvm_profdata: &str| {
        let tools = Tools { llvm_profdata: llvm_profdata.into(), llvm_cov: script.clone() };
        let exporter = Exporter::new(tools, &repository()).unwrap();
        exporter.bpf(&raw_object(0), std::slice::from_ref(&profile)).unwrap_err().to_string()
    };
    let error = export("true");
    assert!(
        error.contains("unsupported coverage format version\n  hint: its LLVM release must not be older"),
        "{error}"
    );
    assert!(export("/no/such/tool").starts_with("cannot run `/no/such/tool`: "));
}

/// Check the whole way: what ran in the kernel is what the report says, line by line, for each mode.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn whole_way() {
    let Some(exporter) = exporter() else { return };
    let directory = TempDir::new().unwrap();
    for _ in 0..2 {
        let probe = Probe::load_into(Some(directory.path().into()), false).unwrap();
        for value in [0, 5, 500] {
            probe.run(value).unwrap();
        }
    }
    let (mut records, mut profiles) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "json") {
            records.push(serde_json::from_slice::<Record>(&fs::read(&path).unwrap()).unwrap());
        } else {
            profiles.push(path);
        }
    }
    assert_eq!(records[0].object_hash.as_deref(), Some(probe::COVERAGE.variants[0].hash));
    let report = exporter.bpf(&raw_object(0), &profiles).unwrap();
    let counts = [
        ("probe.bpf.c", "runs++", 6),
        ("probe.bpf.c", "value *= 2", 0),
        ("probe.bpf.c", "total +=", 4),
        ("probe.bpf.c", "sum += i", 26), // 5 and 8 times
        ("probe.bpf.c", "return ctx->args[0] > 5", 0),
        ("probe.h", "return 3", 0),
        ("probe.h", "return value > 100", 4),
    ];
    for (file, text, count) in counts {
        assert_eq!(count_of(&report, file, text), count, "{text}");
    }
    let html = directory.path().join("html");
    exporter.html(&raw_object(0), &profiles, &html).unwrap();
    assert!(html.join("index.html").is_file());
}

/// Check that the second engine gives the same lcov for the same program and the same runs.
#[cfg(feature = "bpfcov")]
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn both_engines() {
    use bpf_coverage::collect;
    use bpf_coverage_example::place;
    use bpf_coverage_example::skeleton::probe_bpfcov;
    use libbpf_rs::ProgramInput;
    use libbpf_rs::skel::{OpenSkel, SkelBuilder};

    let Some(exporter) = exporter() else { return };
    let values = [0_u64, 5, 500];
    let clang = TempDir::new().unwrap();
    let probe = Probe::load_into(Some(clang.path().into()), false).unwrap();
    for value in values {
        probe.run(value).unwrap();
    }
    drop(probe);
    let bpfcov = TempDir::new().unwrap();
    let loaded = collect::load_into(Some(bpfcov.path().into()), &probe_bpfcov::COVERAGE, || {
        probe_bpfcov::ProbeSkelBuilder::default().open(place())?.load()
    });
    let (skel, coverage) = loaded.unwrap();
    assert_eq!(coverage.outcome(), Some(collect::Outcome::Counters));
    for value in values {
        let input = ProgramInput { context_in: Some(&mut value.to_ne_bytes()), ..Default::default() };
        skel.progs.probe.test_run(input).unwrap();
    }
    drop((skel, coverage));
    let report = |object: &Path, directory: &Path| {
        let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let profiles: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|it| it == "proftext")).collect();
        exporter.bpf(object, &profiles).unwrap()
    };
    let of_clang = report(&raw_object(0), clang.path());
    assert_eq!(of_clang, report(&Path::new(OBJECTS).join("bpfcov/probe.bpf.obj"), bpfcov.path()));
    assert_eq!(count_of(&of_clang, "probe.bpf.c", "runs++"), 3);
}

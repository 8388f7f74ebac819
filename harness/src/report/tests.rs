//! Whole reports of whole runs, as files and as text.

use super::*;
use crate::matrix::Arch;
use crate::report::text::WIDTH;

fn table(run: &RunOutcome, style: Style) -> String {
    let mut out = vec![];
    table::render(run, Path::new("target/ukci/runs/20260824T100211Z"), style, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The table, after a check that it fits and holds nothing but text.
#[track_caller]
fn plain_table(run: &RunOutcome) -> String {
    let table = table(run, Style::default());
    for line in table.lines() {
        assert!(text::width(line) <= WIDTH, "{} columns: {line}", text::width(line));
        assert!(!line.ends_with(' '), "a space at the end of {line:?}");
        assert!(!line.contains(char::is_control), "a control character in {line:?}");
    }
    table
}

fn junit(run: &RunOutcome) -> String {
    let mut xml = vec![];
    junit::write(run, &mut xml).unwrap();
    String::from_utf8(xml).unwrap()
}

#[test]
fn the_table_of_each_kind_of_run() {
    insta::assert_snapshot!("table_empty", plain_table(&fixture::empty()));
    insta::assert_snapshot!("table_one_cell", plain_table(&fixture::one_cell()));
    insta::assert_snapshot!("table_nine_kernels", plain_table(&fixture::nine_kernels()));
    insta::assert_snapshot!("table_full_matrix", plain_table(&fixture::full_matrix()));
    insta::assert_snapshot!("table_weekly", plain_table(&fixture::weekly()));
    insta::assert_snapshot!("table_every_verdict", plain_table(&fixture::every_verdict()));
    insta::assert_snapshot!("table_hostile", plain_table(&fixture::hostile()));
}

#[test]
fn the_markdown_of_each_kind_of_run() {
    insta::assert_snapshot!("markdown_empty", markdown::render(&fixture::empty()));
    insta::assert_snapshot!("markdown_nine_kernels", markdown::render(&fixture::nine_kernels()));
    insta::assert_snapshot!("markdown_weekly", markdown::render(&fixture::weekly()));
    insta::assert_snapshot!("markdown_every_verdict", markdown::render(&fixture::every_verdict()));
    insta::assert_snapshot!("markdown_hostile", markdown::render(&fixture::hostile()));
}

#[test]
fn the_junit_of_each_kind_of_run() {
    insta::assert_snapshot!("junit_empty", junit(&fixture::empty()));
    insta::assert_snapshot!("junit_every_verdict", junit(&fixture::every_verdict()));
    insta::assert_snapshot!("junit_hostile", junit(&fixture::hostile()));
}

/// Check that colour only adds escape sequences.
#[test]
fn a_coloured_table_says_the_same() {
    for run in [fixture::nine_kernels(), fixture::full_matrix(), fixture::every_verdict(), fixture::hostile()] {
        let coloured = table(&run, Style { color: true });
        assert!(coloured.contains("\x1b[1;31m"));
        let stripped: Vec<String> = text::clean(&coloured).lines().map(|line| line.trim_end().to_owned()).collect();
        assert_eq!(stripped.join("\n") + "\n", table(&run, Style::default()));
    }
}

/// Check that lines fit for many shapes: 1 to 14 LLVM releases, kernel names of 1 to 40 columns, messages of any length.
#[test]
fn no_shape_of_a_matrix_makes_a_table_too_wide() {
    for size in 1..15_u32 {
        for name in ["k", "日本語", "6.12-debian-backports-cloud-amd64-unsigned"] {
            let cells = (0..size * 3).map(|index| {
                let kernel = format!("{name}{}", index % 3);
                let tests =
                    vec![fixture::test(&name.repeat(size as usize), fixture_result(index), Some(&name.repeat(9)))];
                fixture::cell(Arch::Aarch64, &kernel, 10 + index / 3, vec![fixture::attempt(tests)])
            });
            plain_table(&fixture::run(cells.collect()));
            let kernels = (0..size * 2).map(|index| {
                let tests = vec![fixture::passed(&format!("{name}::case_{index}"))];
                fixture::cell(Arch::Riscv64, &format!("{name}{index}"), 22, vec![fixture::attempt(tests)])
            });
            plain_table(&fixture::run(kernels.collect()));
        }
    }
}

fn fixture_result(index: u32) -> crate::run::outcome::TestResult {
    use crate::run::outcome::TestResult::{Failed, NotRun, Passed, TimedOut};
    [Passed, Failed, TimedOut, NotRun][index as usize % 4]
}

#[test]
fn the_files_of_a_run_replace_those_of_before() {
    let dir = tempfile::tempdir().unwrap();
    write_all(dir.path(), &fixture::empty()).unwrap();
    write_all(dir.path(), &fixture::nine_kernels()).unwrap();
    let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["junit.xml", "run.json", "summary.md"]);
    let record = fs::read_to_string(dir.path().join("run.json")).unwrap();
    assert_eq!(json::read(&record).unwrap(), fixture::nine_kernels());
    let missing = write_record(&dir.path().join("gone"), &fixture::empty()).unwrap_err().to_string();
    assert!(missing.contains("gone/run.json"), "{missing}");
}

#[test]
fn a_step_summary_grows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("summary");
    append_step_summary(&path, "# one\n").unwrap();
    append_step_summary(&path, "# two").unwrap();
    assert_eq!(fs::read_to_string(path).unwrap(), "# one\n\n# two\n\n");
}

/// Check that a hundred thousand results, a third of them failures, survive the round trip and fit GitHub's page.
#[test]
fn a_hundred_thousand_tests_are_written_and_read_back() {
    let names: Vec<String> = (0..1000).map(|index| format!("module::test_{index}")).collect();
    let cells = (0..100).map(|cell| {
        let tests = names.iter().enumerate().map(|(index, name)| match index % 3 {
            0 => fixture::test(name, crate::run::outcome::TestResult::Failed, Some("left != right\n  details")),
            _ => fixture::passed(name),
        });
        fixture::cell(Arch::X86_64, &cell.to_string(), 22, vec![fixture::attempt(tests.collect())])
    });
    let run = fixture::run(cells.collect());
    let dir = tempfile::tempdir().unwrap();
    write_all(dir.path(), &run).unwrap();
    let read = json::read(&fs::read_to_string(dir.path().join("run.json")).unwrap()).unwrap();
    table(&read, Style::default());
    assert_eq!(read, run);
    let markdown = fs::metadata(dir.path().join("summary.md")).unwrap().len();
    assert!(markdown < 1 << 20, "{markdown} bytes are more than GitHub shows");
}

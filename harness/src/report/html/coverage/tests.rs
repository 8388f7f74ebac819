//! Reach, tallies and tables of coverage. The cells are those of a small matrix: two architectures, two kernels, two LLVMs.

use serde_json::{Value, json};

use super::*;
use crate::matrix::Arch;
use crate::report::fixture;
use crate::report::html::{LoadVerdict, Logs, Measured, Page, Part, render};
use crate::run::outcome::RunOutcome;

fn run() -> RunOutcome {
    let cells = [Arch::X86_64, Arch::Aarch64].into_iter().flat_map(|arch| {
        ["5.10", "6.12"].into_iter().flat_map(move |kernel| {
            [21, 22].map(|llvm| fixture::cell(arch, kernel, llvm, vec![fixture::attempt(vec![])]))
        })
    });
    fixture::run(cells.collect())
}

/// The ids of the cells of `run` whose id contains one of `parts`.
fn cells(parts: &[&str]) -> Vec<String> {
    let ids = run().cells.into_iter().map(|cell| cell.id);
    ids.filter(|id| parts.iter().any(|part| id.contains(part))).collect()
}

fn coverage(lines: &[Value], functions: &[Value]) -> Coverage {
    let file = json!({"path": "src/a.bpf.c", "lines": lines, "functions": functions});
    Coverage::parse(&json!({"schema": 1, "files": [file]}).to_string()).expect("coverage")
}

/// Two functions, of which one is a fallback for old kernels, with a line that never ran and one that nobody counted.
fn fallback() -> Coverage {
    let all = cells(&["/"]);
    let old = cells(&["5.10"]);
    coverage(
        &[
            json!({"line": 2, "count": 44, "cells": all}),
            json!({"line": 6, "count": 12, "cells": old}),
            json!({"line": 5, "count": 12, "cells": old.iter().rev().collect::<Vec<_>>()}),
            json!({"line": 7, "count": 0, "cells": []}),
            json!({"line": 8, "count": null, "cells": []}),
        ],
        &[
            json!({"name": "fallback", "line": 4, "count": 12, "cells": old}),
            json!({"name": "main", "line": 1, "count": 44, "cells": cells(&["x86_64", "6.12", "5.10/llvm22"])}),
        ],
    )
}

fn page(coverage: Coverage) -> String {
    page_with(coverage, Vec::new())
}

fn page_with(coverage: Coverage, measured: Vec<Measured>) -> String {
    let (run, logs) = (run(), Logs::new());
    let (coverage, complexity) = (Part::Read(coverage), Part::Read(measured));
    render(&Page {
        run: &run,
        directory: "x",
        lies_in_directory: false,
        logs: &logs,
        coverage: &coverage,
        complexity: &complexity,
        capabilities: &Part::Absent,
    })
}

/// The row of the page that begins with `head`, as text with `|` between its cells.
fn row(page: &str, head: &str) -> String {
    let rows = page.split("<tr").map(|row| row.split("</tr>").next().unwrap_or_default());
    let rows = rows.map(|row| {
        let row = row.replace("</td>", "|</td>").replace("</th>", "|</th>");
        let texts = row.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text);
        texts.collect::<String>()
    });
    let rows: Vec<String> = rows.filter(|row| row.starts_with(head)).collect();
    rows.last().unwrap_or_else(|| panic!("no row {head}")).clone()
}

/// Check that a line is what it is by where it ran, and that what nobody counted is not taken for what never ran.
#[test]
fn a_line_ran_everywhere_somewhere_never_or_nobody_knows() {
    let coverage = fallback();
    let run = run();
    let places = Places::of(&coverage, &run);
    let tally = Tally::of(&coverage.files[0], &places);
    assert_eq!(tally, Tally { everywhere: 1, somewhere: 2, never: 1, unknown: 1 });
    assert_eq!(tally.percent(), Some(75.0));
    assert_eq!(Tally { unknown: 3, ..Tally::default() }.percent(), None);
    assert_eq!(row(&page(fallback()), "src/a.bpf.c|"), "src/a.bpf.c|5|3|75.0|1|2|1|1|");
}

/// Check that a fallback is found with the kernels that took it and those that did not.
#[test]
fn a_fallback_names_its_kernels() {
    let source = "int main() {\n\tcall();\n\nfallback() {\n\told_way();\n\told_too();\n\tnever();\n\tunknown();\n";
    let page = page(fallback().with_sources([("src/a.bpf.c".to_owned(), source.to_owned())].into()));
    // Columns: x86_64 5.10 and 6.12, aarch64 5.10 and 6.12.
    assert_eq!(row(&page, "fallback "), "fallback src/a.bpf.c:4|✓|✗|✓|✗|");
    assert_eq!(row(&page, "main "), "main src/a.bpf.c:1|✓|✓|✓ 1/2|✓|");
    assert_eq!(
        row(&page, "a.bpf.c:5–6|"),
        "a.bpf.c:5–6|fallback|old_way();|x86_64/5.10/*, aarch64/5.10/*|x86_64/6.12/*, aarch64/6.12/*|"
    );
    assert_eq!(row(&page, "a.bpf.c:7|"), "a.bpf.c:7|fallback|never();|");
}

/// Check that each program that was loaded is shown with its ways, and where it was not loaded; other functions are no programs.
#[test]
fn programs_say_which_kernels_took_them() {
    let loaded = |program: &str, kernel: &str, verdict| Measured {
        arch: Arch::X86_64,
        program: program.into(),
        kernel: kernel.into(),
        llvm: 22,
        verdict,
        insns_processed: None,
        stack_max: None,
        reason: None,
    };
    let measured = vec![
        loaded("kprobe/fallback", "5.10", LoadVerdict::Loaded),
        loaded("other/fallback", "5.10", LoadVerdict::Loaded),
        loaded("kprobe/fallback", "6.12", LoadVerdict::Rejected),
        loaded("kprobe/absent", "6.12", LoadVerdict::Loaded),
    ];
    let page = page_with(fallback(), measured);
    let table = page.split_once("coverage-programs").expect("programs").1;
    let table = table.split_once("</table>").expect("a table").0;
    // Not loaded on x86_64's 6.12; not run, and nobody knows of loading, on aarch64's.
    assert_eq!(row(table, "fallback "), "fallback kprobe, other|✓|–|✓|✗|");
    assert_eq!(table.matches("<tr").count(), 3, "two of heads");
    assert!(!super::tests::page(fallback()).contains("coverage-programs"));
}

/// Check that each line of the source stands beside its count and its kernels, without the source as well.
#[test]
fn lines_stand_beside_their_counts() {
    let source = "one\ntwo\nthree\n<four>\nfive\nsix\nseven\n";
    let page = page(fallback().with_sources([("src/a.bpf.c".to_owned(), source.to_owned())].into()));
    let lines = ["2|44|all|two|", "3|||three|", "4|||&lt;four&gt;|", "5|12|2 of 4|five|", "7|0|never|seven|"];
    for line in lines {
        let (number, _) = line.split_once('|').expect("a number");
        assert_eq!(row(&page, &format!("{number}|")), line);
    }
    // The source has a line less than was measured.
    assert_eq!(row(&page, "8|"), "8|–|no data|(beyond the end of the file)|");
    let without = super::tests::page(fallback());
    assert_eq!(row(&without, "5|"), "5|12|2 of 4||");
    assert!(!without.contains(">3</th>") && without.contains("only the numbers of the lines are known"));
}

/// Check that cells which the run does not have are said and not counted.
#[test]
fn cells_of_another_run_are_said() {
    let page =
        page(coverage(&[json!({"line": 1, "count": 1, "cells": ["x86_64/9.9/llvm22", "x86_64/6.12/llvm22"]})], &[]));
    assert!(page.contains("names 1 cell that this run does not have"), "{page}");
    assert_eq!(row(&page, "1|"), "1|1|all||");
}

#[test]
fn another_layout_is_refused() {
    let error = |json: &str| Coverage::parse(json).unwrap_err().to_string();
    assert_eq!(error(r#"{"schema": 2, "files": []}"#), "written by a newer ukci: found schema `2`, expected `1`");
    assert_eq!(error(r#"{"schema": 1, "files": [{}]}"#), "missing field `path` at line 1 column 26");
    assert_eq!(error("{"), "EOF while parsing an object at line 1 column 1");
}

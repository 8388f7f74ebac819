//! The page as a reader of markup sees it. A browser looks at it in `.ci/page`.

mod pages;

use std::collections::{BTreeMap, BTreeSet};

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::*;
use crate::matrix::Arch;
use crate::report::fixture;
use crate::run::outcome::{JobUse, TestResult, VmUse};

/// An element of the page, with all text inside.
#[derive(Debug)]
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    text: String,
}

impl Element {
    fn of(start: &BytesStart<'_>) -> Self {
        let attribute = |attribute: Result<quick_xml::events::attributes::Attribute<'_>, _>| {
            let attribute = attribute.expect("an attribute");
            let value = String::from_utf8(attribute.value.to_vec()).expect("UTF-8");
            (
                String::from_utf8(attribute.key.0.to_vec()).expect("UTF-8"),
                quick_xml::escape::unescape(&value).expect("escaped").into_owned(),
            )
        };
        let name = String::from_utf8(start.name().0.to_vec()).expect("UTF-8");
        Self { name, attributes: start.attributes().map(attribute).collect(), text: String::new() }
    }

    fn get(&self, attribute: &str) -> &str {
        self.attributes.get(attribute).map_or("", String::as_str)
    }
}

/// Every element of the page in the order in which they begin, after a check that it is well-formed XML.
#[track_caller]
fn parse(page: &str) -> Vec<Element> {
    let page = page.replacen(STYLE, "", 1).replacen(SCRIPT, "", 1);
    let mut reader = Reader::from_str(&page);
    let (mut elements, mut open): (Vec<Element>, Vec<usize>) = (vec![], vec![]);
    loop {
        let text = match reader.read_event().expect("well-formed") {
            Event::Eof => break,
            Event::Start(start) => {
                open.push(elements.len());
                elements.push(Element::of(&start));
                continue;
            }
            Event::Empty(start) => {
                elements.push(Element::of(&start));
                continue;
            }
            Event::End(_) => {
                open.pop();
                continue;
            }
            Event::Text(text) => text.decode().expect("UTF-8").into_owned(),
            Event::GeneralRef(reference) => match &*reference.decode().expect("UTF-8") {
                "lt" => "<".into(),
                "gt" => ">".into(),
                "amp" => "&".into(),
                "quot" => "\"".into(),
                other => panic!("&{other};"),
            },
            _ => continue,
        };
        open.iter().for_each(|index| elements[*index].text.push_str(&text));
    }
    assert_eq!(open, [0; 0]);
    elements
}

fn page(run: &RunOutcome) -> Vec<Element> {
    with(run, &Logs::new(), &Part::Absent, &Part::Absent, &Part::Absent)
}

#[track_caller]
fn with(
    run: &RunOutcome,
    logs: &Logs,
    coverage: &Part<Coverage>,
    complexity: &Part<Vec<Measured>>,
    capabilities: &Part<Vec<Capability>>,
) -> Vec<Element> {
    let directory = "target/ukci/runs/20260824T100211Z";
    let page = Page { run, directory, lies_in_directory: true, logs, coverage, complexity, capabilities };
    let elements = parse(&render(&page));
    check(&elements);
    elements
}

/// What holds for every page: ids are unique, links lead somewhere and ask no server, tables have captions and heads.
#[track_caller]
fn check(elements: &[Element]) {
    let ids: Vec<&str> = elements.iter().map(|element| element.get("id")).filter(|id| !id.is_empty()).collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(unique.len(), ids.len(), "an id stands twice");
    for element in elements {
        for (name, value) in &element.attributes {
            assert!(!name.starts_with("on") && name != "src" && name != "style", "{element:?}");
            match (name.as_str(), value.strip_prefix('#')) {
                ("href", Some(id)) => assert!(unique.contains(id), "{value} leads nowhere"),
                ("href", None) => assert!(value.starts_with("./") || value == "data:,", "{element:?}"),
                ("aria-labelledby" | "aria-describedby", _) => assert!(unique.contains(value.as_str()), "{element:?}"),
                _ => {}
            }
        }
        if element.name == "th" {
            assert!(!element.get("scope").is_empty(), "{element:?}");
        }
        assert!(!element.text.contains(|char: char| char.is_control() && char != '\n'), "{element:?}");
    }
    let count = |name| elements.iter().filter(|element| element.name == name).count();
    assert_eq!(count("table"), count("caption"));
    assert_eq!((count("script"), count("style"), count("h1")), (1, 1, 1));
}

fn by_id<'a>(elements: &'a [Element], id: &str) -> &'a Element {
    elements.iter().find(|element| element.get("id") == id).unwrap_or_else(|| panic!("no {id}"))
}

fn every_fixture() -> [RunOutcome; 8] {
    [
        fixture::empty(),
        fixture::one_cell(),
        fixture::resumed_shard(),
        fixture::nine_kernels(),
        fixture::full_matrix(),
        fixture::weekly(),
        fixture::every_verdict(),
        fixture::hostile(),
    ]
}

/// Check that each cell of the plan stands in the matrix once, with its verdict, and a link to why it is no plain pass.
#[test]
fn every_cell_stands_in_the_matrix_once() {
    for run in every_fixture() {
        let elements = page(&run);
        let cells: Vec<&Element> = elements.iter().filter(|element| element.get("id").starts_with("cell")).collect();
        assert_eq!(cells.len(), run.cells.len());
        for (number, cell) in run.cells.iter().enumerate() {
            let element = by_id(&elements, &format!("cell{number}"));
            assert_eq!((element.name.as_str(), element.get("class")), ("td", cell.verdict().name()));
            assert!(element.text.contains(&crate::report::grid::cell_text(cell)), "{element:?}");
        }
        let passes = run.cells.iter().filter(|cell| cell.verdict() == Verdict::Pass).count();
        let links = elements.iter().filter(|element| element.get("href").starts_with("#finding"));
        assert!(links.count() >= run.cells.len() - passes);
    }
}

/// Check that a cell stands in the row of its kernel and the column of its LLVM, also where others are missing.
#[test]
fn a_cell_stands_where_its_row_and_column_meet() {
    let mut run = fixture::full_matrix();
    run.cells.retain(|cell| !(cell.kernel.name == "6.1" && cell.llvm == 22));
    let elements = page(&run);
    let start = elements.iter().position(|element| element.get("id") == "matrix-aarch64").expect("the table");
    let row = elements[start..].iter().position(|element| element.name == "th" && element.text.starts_with("6.1 "));
    let row: Vec<&str> = elements[start + row.expect("the row")..]
        .iter()
        .filter(|element| element.name == "td")
        .map(|element| element.text.as_str())
        .take(3)
        .collect();
    assert_eq!(row, ["✓ 9/9 pass 4.2 s", "not in the plan", "✗ 8/9 FAIL 4.2 s"]);
}

#[test]
fn every_reason_not_to_run_is_told() {
    for run in every_fixture() {
        let elements = page(&run);
        let all = &by_id(&elements, "matrix").text;
        for reason in run.cells.iter().filter_map(|cell| cell.not_run.as_deref()) {
            assert!(all.contains(reason), "{reason}");
        }
    }
}

/// Check that each test stands in its table once per architecture, with the worst over the LLVM releases.
#[test]
fn tests_stand_by_kernels() {
    let elements = page(&fixture::weekly());
    let start = elements.iter().position(|element| element.get("id") == "tests-x86_64").expect("the table");
    let rows: Vec<&Element> = elements[start..].iter().filter(|element| element.name == "tr").take(13).collect();
    assert!(rows[0].text.starts_with("Test5.106.16.12"), "{:?}", rows[0].text);
    assert_eq!(rows[4].text, format!("counts_drops tracer::exec{}", "✗ 1/4".repeat(11)));
    assert_eq!(rows[5].text, format!("names_the_failing_errno tracer::exec✗✗{}", "✓".repeat(9)));
}

/// Check that nothing that a guest, a record or a source says is anything but text: in names, messages, reasons, logs.
#[test]
fn what_others_say_stays_text() {
    let evil =
        "</pre></details><script>alert(1)</script><img src=x onerror=alert(2)>\" onfocus=\"alert(3)\x1b[2J\u{202e}&lt;";
    let shown = "</pre></details><script>alert(1)</script><img src=x onerror=alert(2)>\" onfocus=\"alert(3)&lt;";
    let mut run = fixture::run(vec![
        fixture::cell(
            Arch::X86_64,
            evil,
            22,
            vec![fixture::attempt(vec![fixture::test(evil, TestResult::Failed, Some(evil))])],
        ),
        fixture::cell(
            Arch::X86_64,
            "6.1",
            22,
            vec![fixture::lost(Verdict::Lost, crate::run::outcome::PhaseName::Boot, evil, vec![])],
        ),
        fixture::cell(Arch::X86_64, "6.2", 22, vec![]),
        fixture::cell(
            Arch::X86_64,
            "6.3",
            22,
            vec![fixture::attempt(vec![fixture::expecting(fixture::test("t", TestResult::Failed, None), evil)])],
        ),
    ]);
    run.cells[2].not_run = Some(evil.into());
    run.cells[0].attempts[0].tests[0].log = Some(format!("cells/{evil}"));
    run.cells[1].attempts[0].loss.as_mut().expect("a loss").log = Some("javascript:alert(4)".into());
    run.id = evil.into();
    run.host.qemu = evil.into();
    run.test_globs = vec![evil.into()];
    let tail = Excerpt::Tail { total_bytes: 9_000_000, shown_bytes: 60_000, text: evil.into() };
    let logs: Logs = wanted_logs(&run).into_iter().map(|path| (path, tail.clone())).collect();
    assert_eq!(logs.len(), 2);
    let cell = &run.cells[0].id;
    let json = serde_json::json!({"schema": 1, "files": [{
        "path": evil,
        "lines": [{"line": 1, "count": 1, "cells": [cell]}],
        "functions": [{"name": evil, "line": 1, "count": 1, "cells": [cell]}],
    }], "no_data": [{"cell": evil, "test": evil, "object": evil, "reason": evil, "mode": evil}]});
    let coverage = Coverage::parse(&json.to_string()).expect("coverage");
    let coverage = coverage.with_sources([(evil.to_owned(), evil.to_owned())].into());
    let measured = Measured {
        arch: Arch::X86_64,
        program: evil.into(),
        kernel: evil.into(),
        llvm: 22,
        verdict: LoadVerdict::Rejected,
        insns_processed: None,
        stack_max: None,
        reason: Some(evil.into()),
    };
    let capability =
        Capability { arch: Arch::X86_64, kernel: evil.into(), llvm: 22, name: evil.into(), value: evil.into() };
    let elements = with(&run, &logs, &Part::Read(coverage), &Part::Read(vec![measured]), &Part::Read(vec![capability]));
    assert!(!elements.iter().any(|element| element.name == "img"));
    for section in SECTIONS.map(|(id, ..)| id).into_iter().filter(|id| *id != "times") {
        assert!(by_id(&elements, section).text.contains(shown), "{section}");
    }
    assert!(by_id(&elements, "findings").text.contains("the last 58.59 KiB of 8.58 MiB"));
    assert!(elements.iter().any(|element| element.get("href") == "./javascript%3Aalert%284%29"));
}

/// Check that a page of a part that cannot be read says so, and that of a part that is not there too.
#[test]
fn a_part_that_is_not_there_is_said() {
    let broken = || "lines.json cannot be read: of another planet".to_owned();
    let elements = with(&fixture::one_cell(), &Logs::new(), &Part::Unreadable(broken()), &Part::Absent, &Part::Absent);
    assert!(by_id(&elements, "coverage").text.contains("of another planet"));
    assert!(by_id(&elements, "complexity").text.contains("measured no verifier complexity"));
    assert!(by_id(&elements, "capabilities").text.contains("did not ask"));
    assert!(by_id(&page(&fixture::empty()), "matrix").text.contains("no cells"));
}

/// The texts of the cells of the row that begins with `head` in the table whose caption has that id.
fn row(elements: &[Element], table: &str, head: &str) -> Vec<String> {
    let start = elements.iter().position(|element| element.get("id") == table).unwrap_or_else(|| panic!("no {table}"));
    let row = elements[start..].iter().position(|element| element.name == "tr" && element.text.starts_with(head));
    let rest = &elements[start + row.unwrap_or_else(|| panic!("no row {head}")) + 1..];
    let cells = rest.iter().take_while(|element| element.name != "tr").filter(|element| element.name == "td");
    cells.map(|element| element.text.clone()).collect()
}

/// Check that what nobody measured is a dash and never a 0.
#[test]
fn what_is_missing_is_never_zero() {
    let mut run = fixture::one_cell();
    let vm = VmUse { started: 1.0, ended: 4.0, cpu_seconds: None };
    let job = JobUse {
        id: "x86_64/6.12".into(),
        provision_seconds: 0.0,
        build_seconds: 0.5,
        ready: 0.5,
        processors: 1,
        vms: vec![vm],
    };
    run.jobs = vec![job];
    let record = |program: &str, verdict, insns_processed, stack_max| Measured {
        arch: Arch::X86_64,
        program: program.into(),
        kernel: "6.12".into(),
        llvm: 22,
        verdict,
        insns_processed,
        stack_max,
        reason: Some("no fentry".into()),
    };
    let complexity = vec![
        record("none", LoadVerdict::Loaded, None, None),
        record("zero", LoadVerdict::Loaded, Some(0), Some(0)),
        record("big", LoadVerdict::Loaded, Some(812_345), Some(512)),
        record("refused", LoadVerdict::Rejected, None, None),
        record("skipped", LoadVerdict::Skipped, None, None),
    ];
    let elements = with(&run, &Logs::new(), &Part::Absent, &Part::Read(complexity), &Part::Absent);
    let heat = |program| row(&elements, "complexity-x86_64", program).concat();
    assert_eq!(heat("none"), "– – B");
    assert_eq!(heat("zero"), "0 0 B");
    assert_eq!(heat("big"), "812\u{202f}345 512 B");
    assert_eq!((heat("refused"), heat("skipped")), ("✗ rejected".into(), "– skipped".into()));
    assert_eq!(row(&elements, "complexity-reasons", "skipped")[1..], ["no fentry", "x86_64/6.12/llvm22"]);
    assert_eq!(row(&elements, "times-jobs", "x86_64/6.12"), ["0.00", "0.50", "0.50", "1.00", "4.00", "–", ""]);
    let phases = row(&elements, "times-cells", "x86_64/6.12/llvm22");
    assert_eq!(phases, ["1", "4.20", "–", "–", "2.10", "0.40", "0.10", "1.60", "–", "–", ""]);
}

/// Check that capabilities stand by kernel, once where its cells agree.
#[test]
fn capabilities_stand_by_kernel() {
    let capability = |kernel: &str, llvm, value: &str| Capability {
        arch: Arch::Aarch64,
        kernel: kernel.into(),
        llvm,
        name: "execve".into(),
        value: value.into(),
    };
    let tried = vec![
        capability("5.10", 21, "kprobe"),
        capability("5.10", 22, "kprobe"),
        capability("6.12", 21, "fentry"),
        capability("6.12", 22, "absent"),
    ];
    let elements = with(&fixture::one_cell(), &Logs::new(), &Part::Absent, &Part::Absent, &Part::Read(tried));
    assert_eq!(row(&elements, "capabilities-aarch64", "execve"), ["kprobe", "fentry (LLVM 21), absent (LLVM 22)"]);
}

/// Check that the one script that may run is the page's own, and that nothing may be asked for.
#[test]
fn the_policy_names_the_script_and_allows_nothing_else() {
    let run = fixture::one_cell();
    let logs = Logs::new();
    let page = Page {
        run: &run,
        directory: "x",
        lies_in_directory: false,
        logs: &logs,
        coverage: &Part::Absent,
        complexity: &Part::Absent,
        capabilities: &Part::Absent,
    };
    let text = render(&page);
    let (_, script) = text.split_once("<script>").expect("a script");
    let (script, _) = script.split_once("</script>").expect("its end");
    let hash = BASE64_STANDARD.encode(Sha256::digest(script));
    let elements = parse(&text);
    let policy = elements.iter().find(|element| element.get("http-equiv") == "Content-Security-Policy");
    let policy = policy.expect("a policy").get("content");
    assert!(policy.starts_with(&format!("default-src 'none'; script-src 'sha256-{hash}';")), "{policy}");
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
}

/// Check that ten thousand cells, a thousand of them failed, stay a page that a browser can take.
#[test]
fn ten_thousand_cells_fit() {
    let run = pages::many();
    let logs = Logs::new();
    let page = Page {
        run: &run,
        directory: "x",
        lies_in_directory: true,
        logs: &logs,
        coverage: &Part::Absent,
        complexity: &Part::Absent,
        capabilities: &Part::Absent,
    };
    let text = render(&page);
    assert!(text.len() < 3 << 20, "{} bytes", text.len());
    assert_eq!(text.matches("<td id=\"cell").count(), 10_000);
    assert!(text.contains("Phases of the 1000 slowest of 10000 cells"));
}

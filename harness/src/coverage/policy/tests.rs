use bpf_coverage::export::lcov::{Reader, Report};

use super::*;

/// `go` on the lines 2 to 4, of which one ran; `help` on line 9, which did not.
fn table() -> LineTable {
    let text = "SF:a.bpf.c\nFN:2,go\nFN:9,help\nDA:2,4\nDA:3,0\nDA:4,0\nDA:9,0\nend_of_record\n";
    let report = Report::from_reader(Reader::new(text.as_bytes())).unwrap();
    LineTable::new(&[("x86_64/7.2/llvm22".to_owned(), report)], Vec::new())
}

fn policy(text: &str) -> Result<Policy, String> {
    Policy::parse(Path::new("p.yaml"), text).map_err(|error| error.to_string())
}

fn shortfalls(text: &str) -> Vec<String> {
    policy(text).unwrap().shortfalls(&table()).iter().map(ToString::to_string).collect()
}

/// Check that floors are kept or not by what is not excluded, for files and for functions.
#[test]
fn floors() {
    assert_eq!(shortfalls("floors: [{file: a.bpf.c, percent: 25}]"), Vec::<String>::new());
    assert_eq!(
        shortfalls("floors: [{file: a.bpf.c, percent: 26}, {file: a.bpf.c, program: go, percent: 50}]"),
        [
            "`a.bpf.c`: 25.0 % of the lines ran, expected at least 26 %",
            "`go` of `a.bpf.c`: 33.3 % of the lines ran, expected at least 50 %"
        ]
    );
    let excluded = "exclude: [{file: a.bpf.c, function: help, reason: r}, {file: a.bpf.c, lines: 3-4, reason: r}]";
    assert_eq!(shortfalls(&format!("floors: [{{file: a.bpf.c, percent: 100}}]\n{excluded}")), Vec::<String>::new());
}

/// Check that a file or a function that is not there any more breaks its floor.
#[test]
fn vanished() {
    assert_eq!(
        shortfalls("floors: [{file: b.bpf.c, percent: 1}, {file: a.bpf.c, function: gone, percent: 1}]"),
        ["`b.bpf.c`: no data, expected at least 1 %", "`gone` of `a.bpf.c`: no data, expected at least 1 %"]
    );
}

/// Check that exclusions without a line of code are found out.
#[test]
fn unused() {
    let text = "exclude:\n- {file: a.bpf.c, lines: 5-8, reason: r}\n- {file: a.bpf.c, lines: 9, reason: r}\n- {file: a.bpf.c, function: gone, reason: r}\n- {file: b.bpf.c, lines: 2, reason: r}\n";
    assert_eq!(
        policy(text).unwrap().unused(&table()),
        ["lines 5-8 of `a.bpf.c`", "`gone` of `a.bpf.c`", "line 2 of `b.bpf.c`"]
    );
}

/// Check each mistake in the file: the message has its line and says what was expected.
#[test]
fn mistakes() {
    let refused = |text: &str| policy(text).unwrap_err();
    assert!(refused("floors: [{file: a, percents: 1}]").contains("did you mean `percent`?"));
    assert_eq!(
        refused("floors:\n- {file: a, percent: 101}\n"),
        "p.yaml:2: floors: `a`: percent is 101, expected 0 to 100"
    );
    assert_eq!(refused("exclude: [{file: a, lines: 1, reason: ' '}]"), "p.yaml:1: exclude: `a`: `reason` is empty");
    assert_eq!(refused("exclude: [{file: a, reason: r}]"), "p.yaml:1: exclude: `a`: expected `lines` or `function`");
    assert_eq!(
        refused("exclude: [{file: a, lines: 9-3, reason: r}]"),
        "p.yaml:1: exclude: lines are `9-3`, expected a line or a range such as 12-15"
    );
    assert!(policy("").unwrap().shortfalls(&table()).is_empty());
}

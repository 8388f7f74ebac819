use super::super::fixture::{ok, refused, table};
use super::*;

const CELL: &str = "x86_64/6.12/llvm22";

fn changes(before: Vec<Record>, after: Vec<Record>) -> Vec<(String, Change)> {
    let (before, after) = (table(&[(CELL, before)]), table(&[(CELL, after)]));
    let diff = Diff::new(&before, &after, Thresholds::default());
    diff.changes.into_iter().map(|(_, id, change)| (id.program, change)).collect()
}

/// Check that both thresholds must be passed, and exactly passed is not.
#[test]
fn only_much_more_is_a_change() {
    let change = |before, after| changes(vec![ok("a", before)], vec![ok("a", after)]).len();
    assert_eq!(change(1000, 1500), 0, "500 is not more than 500");
    assert_eq!(change(1000, 1501), 1);
    assert_eq!(change(10_000, 11_000), 0, "10 % is not more than 10 %");
    assert_eq!(change(10_000, 11_001), 1);
    assert_eq!(change(10_000, 8000), 1, "less is told, too");
    assert_eq!(change(0, 501), 1);
    assert!(!changes(vec![ok("a", 9000)], vec![ok("a", 1)])[0].1.is_worse());
    assert!(changes(vec![ok("a", 1)], vec![ok("a", 9000)])[0].1.is_worse());
}

#[test]
fn another_answer_and_no_answer_are_changes() {
    let told = changes(
        vec![ok("gone", 1), ok("lost", 1), refused("won", "old"), refused("same", "x")],
        vec![refused("lost", "why"), ok("won", 1), refused("same", "x"), ok("new", 1)],
    );
    let expected = [
        ("gone", Change::Vanished, true),
        ("lost", Change::Verdict { before: Verdict::Ok, after: Verdict::Rejected, reason: Some("why".into()) }, true),
        ("new", Change::New, false),
        ("won", Change::Verdict { before: Verdict::Rejected, after: Verdict::Ok, reason: None }, false),
    ];
    let told: Vec<_> =
        told.iter().map(|(program, change)| (program.as_str(), change.clone(), change.is_worse())).collect();
    assert_eq!(told, expected);
}

/// Check that a cell that did not run is no vanished program.
#[test]
fn cells_that_did_not_run_are_counted() {
    let before = table(&[(CELL, vec![ok("a", 1)]), ("x86_64/7.2/llvm22", vec![ok("a", 1)])]);
    let diff = Diff::new(&before, &table(&[(CELL, vec![ok("a", 1)])]), Thresholds::default());
    assert_eq!((diff.compared, diff.elsewhere, diff.is_worse()), (1, 1, false));
}

use std::path::Path;

use super::super::budget::Budget;
use super::super::diff::Thresholds;
use super::super::fixture::{ok, refused, table};
use super::*;

fn whole() -> Table {
    let mut cells = Vec::new();
    for (place, kernel) in ["5.10", "6.1", "6.12", "7.2", "rc"].into_iter().enumerate() {
        for llvm in [19, 22, 23] {
            let insns = 1000 * (place as u64 + 1) + u64::from(llvm == 19) * 7;
            let old = if place == 0 { refused("loops", "unknown func bpf_loop#181") } else { ok("loops", 120_345) };
            let skipped = Record {
                reason: Some("not permitted".into()),
                case: "fentry".into(),
                ..Record::bare("fentry", "enter", Verdict::Skipped)
            };
            cells.push((format!("x86_64/{kernel}/llvm{llvm}"), vec![ok("taken", insns), old, skipped]));
        }
    }
    let cells: Vec<(&str, Vec<Record>)> = cells.iter().map(|(id, records)| (id.as_str(), records.clone())).collect();
    table(&cells)
}

#[test]
fn a_table_shows_what_each_cell_takes() {
    insta::assert_snapshot!(render(&whole(), Style::default()));
}

/// Check that no name, however long or hostile, makes a line too wide or reaches the terminal as a command.
#[test]
fn whatever_it_is_called_it_fits() {
    let kernels: Vec<String> =
        (0..30).map(|minor| format!("x86_64/a-kernel-of-some-length-9.{minor}/llvm22")).collect();
    let name = format!("\x1b[2Jprogram_{}", "long_".repeat(40));
    let records = || vec![ok(&name, u64::MAX), refused("other", &format!("\x1b]0;{}", "because ".repeat(60)))];
    let cells: Vec<(&str, Vec<Record>)> = kernels.iter().map(|id| (id.as_str(), records())).collect();
    let table = table(&cells);
    let budget = Budget::parse(Path::new("b.yaml"), "programs:\n  'demo/*':\n    '*': {insns: 5}\n").unwrap();
    let style = Style::default();
    let none = table_of_nothing();
    let diff_text = diff(&Diff::new(&none, &table, Thresholds::default()), &name, &table, style);
    let text = render(&table, style) + &verification(&budget.verify(&table), &table, style);
    let wide: Vec<&str> = text.lines().filter(|line| text::width(line) > WIDTH).collect();
    assert_eq!(wide, [""; 0]);
    assert!(!text.contains('\x1b') && !diff_text.contains('\x1b'));
}

fn table_of_nothing() -> Table {
    Table::default()
}

#[test]
fn what_broke_the_budget_and_what_changed_is_told() {
    let text = "programs:\n  demo/taken:\n    '*': {insns: 3000}\n  demo/gone:\n    rc: {insns: 5}\n";
    let budget = Budget::parse(Path::new("b.yaml"), text).unwrap();
    let after = whole();
    let told = verification(&budget.verify(&after), &after, Style::default());
    let before = table(&[
        ("x86_64/6.12/llvm22", vec![ok("taken", 100), ok("gone", 1)]),
        ("x86_64/5.10/llvm22", vec![ok("loops", 100)]),
    ]);
    let changes = diff(&Diff::new(&before, &after, Thresholds::default()), "before.json", &after, Style::default());
    insta::assert_snapshot!(format!("{told}\n{changes}"));
}

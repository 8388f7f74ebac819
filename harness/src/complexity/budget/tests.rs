use super::super::fixture::{ok, refused, run, table};
use super::*;
use crate::complexity::{Record, Table};
use crate::run::outcome::RunOutcome;

fn parse(text: &str) -> Budget {
    Budget::parse(Path::new("budget.yaml"), text).unwrap()
}

/// `program cell: breach` of each finding.
fn findings(text: &str, cells: &[(&str, Vec<Record>)]) -> Vec<String> {
    let found = parse(text).verify(&table(cells)).findings;
    found.iter().map(|found| format!("{} {}: {}", found.program, found.cell, found.breach)).collect()
}

/// The cells of a matrix that has these alone.
fn ids(cells: &[(&str, Vec<Record>)]) -> Vec<String> {
    cells.iter().map(|(id, _)| (*id).to_owned()).collect()
}

/// The programs of a first budget of these cells, in a matrix that has them and `others`.
fn programs(cells: &[(&str, Vec<Record>)], others: &[&str]) -> String {
    let matrix: Vec<String> = ids(cells).into_iter().chain(others.iter().map(|id| (*id).to_owned())).collect();
    let text = blessed("", &Budget::default(), &table(cells), &matrix);
    let verification = parse(&text).verify(&table(cells));
    assert!(verification.findings.is_empty() && verification.uncovered.is_empty(), "{verification:?}");
    let again = blessed(&text, &parse(&text), &table(cells), &matrix);
    assert_eq!(again, text, "a second blessing changes nothing");
    text.split_once("programs:\n").unwrap().1.to_owned()
}

const X: &str = "x86_64/6.12/llvm22";
const R: &str = "riscv64/6.12/llvm22";

#[test]
fn a_program_within_its_ceiling_breaks_nothing() {
    let text = "programs:\n  demo/a:\n    \"6.1 6.12\": {insns: 100, stack: 100}\n";
    assert_eq!(findings(text, &[(X, vec![ok("a", 100)])]), [""; 0]);
    let told = findings(text, &[(X, vec![Record { stack_max: Some(101), ..ok("a", 101) }])]);
    let expected = [
        format!("demo/a {X}: expected at most 100 instructions processed, found 101"),
        format!("demo/a {X}: expected at most 100 bytes of stack, found 101"),
    ];
    assert_eq!(told, expected);
}

/// Check that the loaded program's own number stands in for the log's.
#[test]
fn a_number_of_either_source_counts() {
    let text = "programs:\n  demo/a:\n    \"6.12\": {insns: 100}\n";
    let record = Record { insns_processed: None, verified_insns: Some(101), ..ok("a", 0) };
    assert_eq!(findings(text, &[(X, vec![record])]).len(), 1);
    let unknown = Record { insns_processed: None, ..ok("a", 0) };
    let verification = parse(text).verify(&table(&[(X, vec![unknown])]));
    assert!(verification.findings.is_empty() && verification.uncovered.contains("demo/a"));
}

#[test]
fn lines_of_cells_go_before_those_of_kernels() {
    let text = "programs:\n  demo/*:\n    \"6.*\": {insns: 10}\n    \"riscv64/*/llvm22\": {insns: 50}\n";
    let told = findings(text, &[(X, vec![ok("a", 40)]), (R, vec![ok("a", 40)])]);
    assert_eq!(told, [format!("demo/a {X}: expected at most 10 instructions processed, found 40")]);
}

/// Check that what cannot be is told: a refusal, a word that never came, and a program that loads against expectation.
#[test]
fn verdicts_are_held_against_what_is_known() {
    let text =
        "programs:\n  demo/a:\n    \"6.12\": {insns: 10}\n  demo/b:\n    \"6.12\": {verdict: rejected, reason: old}\n";
    let told = findings(text, &[(X, vec![refused("a", "bad"), refused("b", "bad")])]);
    assert_eq!(told, [format!("demo/a {X}: expected ok, found rejected: bad")]);
    let told = findings(text, &[(X, vec![ok("b", 1)])]);
    let expected = [
        format!("demo/a {X}: expected a record of it, found none"),
        format!("demo/b {X}: expected rejected, found ok"),
    ];
    assert_eq!(told, expected);
    assert_eq!(findings(text, &[("x86_64/7.2/llvm22", vec![])]), [""; 0], "nothing is expected there");
}

#[test]
fn the_kernels_limits_hold_for_every_program() {
    let record = Record { stack_max: Some(461), map_count: Some(58), ..ok("a", 200_001) };
    let told = findings("", &[(X, vec![record])]);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].ends_with("expected at most 20 % of 1000000 instructions processed, found 200001"), "{told:?}");
    let at_limit = Record { stack_max: Some(460), map_count: Some(57), ..ok("a", 200_000) };
    assert_eq!(findings("", &[(X, vec![at_limit])]), [""; 0]);
    let limits = "limits: {insns_percent: 30, stack_percent: 100, maps_percent: 100}";
    assert_eq!(findings(limits, &[(X, vec![ok("a", 250_000)])]), [""; 0]);
    assert_eq!(findings("programs:\n", &[(X, vec![ok("a", 250_000)])]).len(), 1);
}

/// Check that each thing that is wrong is told with its line.
#[test]
fn a_wrong_budget_says_where() {
    let error = |text: &str| Budget::parse(Path::new("b.yaml"), text).unwrap_err().to_string();
    let line = |line: &str| error(&format!("programs:\n  demo/a:\n    {line}\n"));
    assert!(line("\"6.1\": {insn: 5}").contains("did you mean `insns`?"));
    assert!(
        line("\"6.1 x86_64/6.1/*\": {insns: 5}")
            .starts_with("b.yaml:3: programs.demo/a.\"6.1 x86_64/6.1/*\": expected globs either")
    );
    assert!(line("\"6.1\": {verdict: rejected}").contains("`verdict` needs a `reason`"));
    assert!(line("\"6.1\": {verdict: ok}").contains("expected `insns`"));
    assert!(line("\"6.1\": {stack: 5}").contains("expected either `insns`"));
    assert!(line("\"6.[\": {insns: 5}").contains("`6.[` is not a glob"));
    assert!(line("\"6.1\": {insns: 5}\n    \"6.1\": {insns: 6}").contains("`6.1` stands there twice"));
    assert!(error("limit: {}\n").contains("unknown field `limit`"));
}

#[test]
fn a_first_blessing_writes_a_budget_that_holds() {
    let cells = [
        ("x86_64/5.10/llvm22", vec![refused("a", "no \"loop\""), ok("b", 90)]),
        ("x86_64/6.1/llvm22", vec![ok("a", 10_000), ok("b", 100)]),
        ("x86_64/6.1/llvm19", vec![ok("a", 10_400), ok("b", 100)]),
        ("x86_64/6.12/llvm22", vec![ok("a", 30_000), ok("b", 120)]),
        ("riscv64/6.12/llvm22", vec![refused("a", "big"), ok("b", 120)]),
    ];
    let table = table(&cells);
    let ids = ids(&cells);
    let text = blessed("", &Budget::default(), &table, &ids);
    let programs = text.split_once("programs:\n").unwrap().1;
    let expected = r#"  demo/a:
    "5.10": {verdict: rejected, reason: "no \"loop\""}
    "6.1": {insns: 11500, stack: 128}
    "6.12": {insns: 33000, stack: 128}
    "riscv64/6.12/*": {verdict: rejected, reason: "big"}
  demo/b:
    "5.10 6.1 6.12": {insns: 700, stack: 128}
"#;
    assert_eq!(programs, expected);
    let budget = parse(&text);
    let verification = budget.verify(&table);
    assert!(verification.findings.is_empty() && verification.uncovered.is_empty(), "{verification:?}");
    assert_eq!(blessed(&text, &budget, &table, &ids), text, "a second blessing changes nothing");
}

/// Check that architectures and LLVM releases have ceilings of their own where they differ by more than the room, and that
/// nothing is said of cells that did not run: they may cost more.
#[test]
fn ceilings_are_apart_where_costs_are() {
    let costs = |arch: &str, llvm: u32| match (arch, llvm) {
        ("riscv64", _) => 20_000,
        (_, 19) => 15_000,
        _ => 10_000,
    };
    let mut all = Vec::new();
    for arch in ["x86_64", "aarch64", "riscv64"] {
        for kernel in ["5.10", "6.1", "7.2"] {
            for llvm in [22, 21, 19] {
                all.push((format!("{arch}/{kernel}/llvm{llvm}"), vec![ok("a", costs(arch, llvm))]));
            }
        }
    }
    all.retain(|(id, _)| !id.starts_with("riscv64/5.10"));
    let cells: Vec<(&str, Vec<Record>)> = all.iter().map(|(id, records)| (id.as_str(), records.clone())).collect();
    let expected = r#"  demo/a:
    "5.10 6.1 7.2": {insns: 11000, stack: 128}
    "*/5.10/llvm19": {insns: 16500, stack: 128}
    "{x86_64,aarch64}/{6.1,7.2}/llvm19": {insns: 16500, stack: 128}
    "riscv64/{6.1,7.2}/*": {insns: 22000, stack: 128}
"#;
    assert_eq!(programs(&cells, &[]), expected);
    let of_x86: Vec<_> =
        cells.iter().filter(|(id, _)| id.starts_with("x86_64") && !id.ends_with("21")).cloned().collect();
    let others: Vec<&str> =
        cells.iter().map(|(id, _)| *id).filter(|id| !of_x86.iter().any(|(own, _)| own == id)).collect();
    let expected = r#"  demo/a:
    "x86_64/{5.10,6.1,7.2}/llvm22": {insns: 11000, stack: 128}
    "x86_64/{5.10,6.1,7.2}/llvm19": {insns: 16500, stack: 128}
"#;
    assert_eq!(programs(&of_x86, &others), expected);
}

/// Check that a blessing after another one, of a part of the matrix or of costs that hardly moved, changes next to nothing.
#[test]
fn later_blessings_change_little() {
    let matrix = [X, R, "x86_64/7.2/llvm22", "riscv64/7.2/llvm22"];
    let at = |costs: [u64; 4]| -> Vec<(&str, Vec<Record>)> {
        matrix.iter().zip(costs).map(|(id, insns)| (*id, vec![ok("a", insns)])).collect()
    };
    let cells = at([10_000, 10_400, 10_000, 10_000]);
    let line = |insns: u64| format!("  demo/a:\n    \"6.12 7.2\": {{insns: {insns}, stack: 128}}\n");
    assert_eq!(programs(&cells, &[]), line(11_500));
    let text = blessed("", &Budget::default(), &table(&cells), &ids(&cells));
    let again = |cells: &[(&str, Vec<Record>)]| blessed(&text, &parse(&text), &table(cells), &matrix.map(String::from));
    assert_eq!(again(&at([9_800, 10_300, 10_100, 9_600])), text);
    assert_eq!(again(&at([9_800, 9_800, 9_800, 9_800])[..1]), text, "one cell alone");
    let dear = again(&at([10_000, 20_000, 10_000, 20_000]));
    let expected = format!("{}    \"riscv64/{{6.12,7.2}}/*\": {{insns: 22000, stack: 128}}\n", line(11_500));
    assert!(dear.ends_with(&expected), "{dear}");
}

/// Check that small steps from kernel to kernel do not lead to a ceiling far above what the first one costs.
#[test]
fn a_row_of_small_steps_is_no_line() {
    let ids: Vec<String> = (0..8).map(|kernel| format!("x86_64/6.{kernel}/llvm22")).collect();
    let cost = |place: usize| 10_000 + 600 * place as u64;
    let cells: Vec<_> = ids.iter().enumerate().map(|(place, id)| (id.as_str(), vec![ok("a", cost(place))])).collect();
    let expected = r#"  demo/a:
    "6.0 6.1": {insns: 11700, stack: 128}
    "6.2 6.3 6.4": {insns: 13700, stack: 128}
    "6.5 6.6 6.7": {insns: 15700, stack: 128}
"#;
    assert_eq!(programs(&cells, &[]), expected);
}

/// Check that a cell that was not run, or not to its end, misses nothing.
#[test]
fn only_cells_that_ran_miss_programs() {
    let text = "programs:\n  demo/a:\n    \"6.12\": {insns: 100}\n    \"riscv64/6.12/*\": {insns: 100}\n";
    let (mut run, found) = run(&[(X, vec![ok("a", 10)]), (R, vec![])]);
    let vanished = |run: &RunOutcome| parse(text).verify(&Table::new(run, &found)).findings;
    assert!(matches!(&vanished(&run)[..], [Finding { cell, breach: Breach::Vanished, .. }] if cell == R));
    run.cells[1].attempts.clear();
    assert_eq!(vanished(&run), [], "did not begin");
    run.cells[1].not_run = Some("left out".into());
    assert_eq!(vanished(&run), [], "is not to run");
    run.cells.remove(1);
    assert_eq!(vanished(&run), [], "is not in the run");
}

/// Check that a blessing changes numbers and nothing else: comments, reasons, lines by hand, and kernels that did not run stay.
#[test]
fn a_blessing_keeps_what_people_wrote() {
    let before = r#"# Ours.
limits: {insns_percent: 15}
programs:
  # The large one.
  demo/a: # see issue 4
    # Both of the old ones.
    "6.1 6.12": {insns: 100, stack: 32}
    "riscv64/*": {insns: 5, reason: spills} # by hand
    "9.9": {insns: 77}
  demo/gone:
    "6.12": {insns: 5}
  # Globs stay.
  "demo/*":
    "*": {insns: 5}
# The end.
"#;
    let cells = [(X, vec![ok("a", 1000), ok("c", 50)]), (R, vec![ok("a", 3000), ok("c", 60)])];
    let matrix = ["x86_64/6.1/llvm22", X, R].map(String::from);
    let text = blessed(before, &parse(before), &table(&cells), &matrix);
    let expected = r#"# Ours.
limits: {insns_percent: 15}
programs:
  # The large one.
  demo/a: # see issue 4
    # Both of the old ones.
    "6.1": {insns: 100, stack: 32}
    "6.12": {insns: 1500, stack: 128}
    "9.9": {insns: 77}
    "riscv64/*": {insns: 3500, stack: 128, reason: "spills"} # by hand
  # Globs stay.
  "demo/*":
    "*": {insns: 600, stack: 128}
# The end.
"#;
    assert_eq!(text, expected);
}

/// Check that what was refused and loads now gets a ceiling, without the reason of before.
#[test]
fn a_blessing_drops_what_is_no_longer_so() {
    let before = "programs:\n  demo/a:\n    \"6.12\": {verdict: rejected, reason: old}\n    \"riscv64/6.12/*\": {verdict: skipped, reason: old}\n";
    let cells = [(X, vec![ok("a", 100)]), (R, vec![ok("a", 100)])];
    let text = blessed(before, &parse(before), &table(&cells), &ids(&cells));
    assert!(text.ends_with("programs:\n  demo/a:\n    \"6.12\": {insns: 600, stack: 128}\n"), "{text}");
}

/// Check that a budget for the whole matrix can be read: ten programs on eleven kernels, three architectures and four LLVMs.
#[test]
fn a_budget_of_the_whole_matrix_is_short() {
    let kernels = ["5.10", "6.1", "6.12", "6.16", "6.17", "6.18", "6.19", "7.0", "7.1", "7.2", "rc"].map(String::from);
    let names: Vec<String> = (0..10).map(|number| format!("program_{number}")).collect();
    let mut ids = Vec::new();
    for arch in ["x86_64", "aarch64", "riscv64"] {
        for kernel in &kernels {
            ids.extend([19, 21, 22, 23].map(|llvm| format!("{arch}/{kernel}/llvm{llvm}")));
        }
    }
    // Costs jump with 6.12, and differ by a little besides.
    let cost = |id: &str, place: usize| {
        let kernel = id.split('/').nth(1).unwrap();
        let jump = if ["5.10", "6.1"].contains(&kernel) { 1 } else { 4 };
        3000 * jump + 100 * place as u64 + id.len() as u64
    };
    let records = |id: &str| names.iter().enumerate().map(|(place, name)| ok(name, cost(id, place))).collect();
    let cells: Vec<(&str, Vec<Record>)> = ids.iter().map(|id| (id.as_str(), records(id))).collect();
    let table = table(&cells);
    let text = blessed("", &Budget::default(), &table, &ids);
    assert!(text.lines().count() < 50, "{text}");
    assert!(parse(&text).verify(&table).findings.is_empty());
}

//! What each program cost the verifier: a heat map, program × kernel × LLVM. The numbers say it; the colour repeats it.

use std::collections::BTreeMap;

use super::Context;
use super::parts::{self, grouped, table};
use super::writer::Html;
use crate::matrix::Arch;
use crate::report::text;

/// The verifier gives up after so many instructions, since 5.2 (commit c04c0d2b968a).
const INSNS_LIMIT: u64 = 1_000_000;
/// A program's stack, in bytes, together with those it calls (`MAX_BPF_STACK`).
const STACK_LIMIT: u64 = 512;

/// What came of loading one program on one kernel, as one LLVM compiled it.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The kernel's architecture.
    pub arch: Arch,
    /// The program, with its load case where it has several.
    pub program: String,
    /// The kernel's name in the matrix.
    pub kernel: String,
    /// The LLVM release.
    pub llvm: u32,
    /// Whether it was loaded.
    pub verdict: LoadVerdict,
    /// The instructions that the verifier processed; `None` when that is not known.
    pub insns_processed: Option<u64>,
    /// The deepest stack, in bytes; `None` when that is not known.
    pub stack_max: Option<u64>,
    /// Why it was not loaded.
    pub reason: Option<String>,
}

/// Whether a program was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadVerdict {
    /// The verifier took it.
    Loaded,
    /// The verifier, or the kernel, refused it.
    Rejected,
    /// It was not tried, for a reason.
    Skipped,
}

pub(super) fn write(context: &Context<'_>, html: &mut Html) {
    let absent = "The run measured no verifier complexity.";
    let Some(measured) = parts::part(html, context.page.complexity, absent) else { return };
    if measured.is_empty() {
        html.leaf("p", &[("class", "absent")], absent);
        return;
    }
    let limits = format!(
        "Instructions that the verifier processed (limit {}), then the deepest stack in bytes (limit {STACK_LIMIT}). \
         The stronger the colour, the nearer the limit; – is not known.",
        grouped(INSNS_LIMIT)
    );
    html.leaf("p", &[], &limits);
    for arch in Arch::ALL {
        let of_arch: Vec<_> = measured.iter().filter(|record| record.arch == arch).collect();
        if !of_arch.is_empty() {
            write_arch(context, arch, &of_arch, html);
        }
    }
    legend(html);
    not_loaded(measured, html);
}

fn write_arch(context: &Context<'_>, arch: Arch, measured: &[&Measured], html: &mut Html) {
    let cells = context.page.run.cells.iter().filter(|cell| cell.arch == arch).map(|cell| cell.kernel.name.as_str());
    let kernels = in_order(cells.chain(measured.iter().map(|record| record.kernel.as_str())), |kernel| {
        measured.iter().any(|record| record.kernel == *kernel)
    });
    let mut by_program: BTreeMap<(&str, u32), Vec<&Measured>> = BTreeMap::new();
    for record in measured {
        by_program.entry((&record.program, record.llvm)).or_default().push(record);
    }
    let rows: Vec<_> = by_program.into_iter().collect();
    table(html, &format!("complexity-{arch}"), "heat", &format!("{arch}: program × kernel × LLVM"), |html| {
        parts::heads(html, ["Program", "LLVM"].into_iter().chain(kernels.iter().copied()));
        for rows in rows.chunk_by(|one, other| one.0.0 == other.0.0) {
            html.element("tbody", &[], |html| {
                for (index, ((program, llvm), records)) in rows.iter().enumerate() {
                    html.element("tr", &[], |html| {
                        if index == 0 {
                            let span = rows.len().to_string();
                            html.element("th", &[("scope", "rowgroup"), ("rowspan", &span)], |html| {
                                html.name(program);
                            });
                        }
                        html.leaf("th", &[("scope", "row"), ("class", "second")], &llvm.to_string());
                        for kernel in &kernels {
                            cell(records.iter().find(|record| record.kernel == *kernel).copied(), html);
                        }
                    });
                }
            });
            html.line();
        }
    });
}

/// Those of `names` that are wanted, in the order in which they first come.
fn in_order<'a>(names: impl Iterator<Item = &'a str>, wanted: impl Fn(&&str) -> bool) -> Vec<&'a str> {
    let mut order = Vec::new();
    for name in names.filter(wanted) {
        if !order.contains(&name) {
            order.push(name);
        }
    }
    order
}

fn cell(record: Option<&Measured>, html: &mut Html) {
    let Some(record) = record else {
        html.leaf("td", &[("class", "void")], "no record");
        return;
    };
    let insns = || record.insns_processed.map_or_else(|| "–".to_owned(), grouped);
    let stack = || record.stack_max.map_or_else(|| "– B".to_owned(), |bytes| format!("{} B", grouped(bytes)));
    let (class, text, small) = match record.verdict {
        LoadVerdict::Loaded => (heat(record.insns_processed), insns(), stack()),
        LoadVerdict::Rejected => (
            "fail",
            "✗ rejected".into(),
            record.insns_processed.map(|_| format!("after {}", insns())).unwrap_or_default(),
        ),
        LoadVerdict::Skipped => ("not_run", "– skipped".into(), String::new()),
    };
    parts::verdict_cell(html, &[("class", class)], &text, None, &small);
}

/// The steps of the heat: up to how many instructions, and the class.
const HEAT: [(u64, &str); 5] =
    [(1_000, "heat0"), (10_000, "heat1"), (100_000, "heat2"), (700_000, "heat3"), (u64::MAX, "heat4")];

fn heat(insns: Option<u64>) -> &'static str {
    insns.and_then(|insns| HEAT.iter().find(|(most, _)| insns < *most)).map_or("unknown", |(_, class)| class)
}

fn legend(html: &mut Html) {
    html.element("p", &[("class", "legend")], |html| {
        let mut least = 0;
        for (most, class) in HEAT {
            let text = match most {
                u64::MAX => format!("from {}", grouped(least)),
                most => format!("below {}", grouped(most)),
            };
            html.leaf("span", &[("class", &format!("step {class}"))], &text).text(" ");
            least = most;
        }
    });
}

/// Why programs were not loaded, once per reason.
fn not_loaded(measured: &[Measured], html: &mut Html) {
    let mut reasons: BTreeMap<(&str, bool, &str), Vec<String>> = BTreeMap::new();
    for record in measured.iter().filter(|record| record.verdict != LoadVerdict::Loaded) {
        let reason = record.reason.as_deref().unwrap_or("no reason is recorded");
        let key = (record.program.as_str(), record.verdict == LoadVerdict::Skipped, reason);
        let place = format!("{}/{}/llvm{}", record.arch, record.kernel, record.llvm);
        reasons.entry(key).or_default().push(place);
    }
    if reasons.is_empty() {
        return;
    }
    table(html, "complexity-reasons", "plain", "Programs that were not loaded, and why", |html| {
        parts::heads(html, ["Program", "What", "Why", "Where"]);
        html.element("tbody", &[], |html| {
            for ((program, skipped, reason), places) in &reasons {
                html.element("tr", &[], |html| {
                    html.element("th", &[("scope", "row")], |html| {
                        html.name(program);
                    });
                    html.leaf("td", &[], if *skipped { "skipped" } else { "rejected" });
                    html.element("td", &[], |html| {
                        html.leaf("pre", &[("class", "message")], reason.trim_end());
                    });
                    let (first, rest) = (places.iter().take(12), places.len().saturating_sub(12));
                    let first: Vec<&str> = first.map(String::as_str).collect();
                    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
                    html.leaf("td", &[], &format!("{}{more}", text::one_line(&first.join(", "))));
                });
                html.line();
            }
        });
    });
}

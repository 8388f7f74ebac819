//! Writes the pages that `.ci/page` looks at with a browser: something of everything, every verdict, guests that mean harm,
//! and ten thousand cells.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::*;
use crate::report::write_record;
use crate::run::outcome::PhaseName;

/// What a guest would say that wants to run a script in its reader's browser; the browser checks that it did not.
const EVIL: &str = "</pre></td></table></details><script>globalThis.owned = 1</script><img src=x onerror=\"globalThis.owned = 2\"> \
                    ' onfocus='globalThis.owned = 3' autofocus \u{202e}<!-- ]]> javascript:globalThis.owned=4";

/// Writes the page `name` with its record.
fn write(
    name: &str,
    run: &RunOutcome,
    coverage: &Part<Coverage>,
    complexity: &Part<Vec<Measured>>,
    capabilities: &Part<Vec<Capability>>,
) {
    let pages = std::env::var_os("UKCI_TEST_PAGES").expect("UKCI_TEST_PAGES names the directory for the pages");
    let directory = Path::new(&pages).join(name);
    fs::create_dir_all(&directory).expect("a directory");
    let text =
        format!("[    0.0] booting\n{}{EVIL}\n", "[    1.0] a line of a console that goes on and on\n".repeat(400));
    let tail = Excerpt::Tail { total_bytes: 3 << 20, shown_bytes: text.len() as u64, text };
    let logs = wanted_logs(run).into_iter().map(|path| (path, tail.clone())).collect();
    let page = Page {
        run,
        directory: &format!("target/ukci/runs/{name}"),
        lies_in_directory: true,
        logs: &logs,
        coverage,
        complexity,
        capabilities,
    };
    fs::write(directory.join("report.html"), render(&page)).expect("a page");
    write_record(&directory, run).expect("a record");
}

/// The ids of the cells of `run` that ran, and that `wanted` picks.
fn ids(run: &RunOutcome, wanted: impl Fn(&CellOutcome) -> bool) -> Vec<&str> {
    let ran = run.cells.iter().filter(|cell| !cell.attempts.is_empty() && wanted(cell));
    ran.map(|cell| cell.id.as_str()).collect()
}

/// Coverage of a small program, with a path that only old kernels take, one that LLVM 19 leaves out, and a line never run.
fn coverage(run: &RunOutcome) -> Coverage {
    let old = |cell: &CellOutcome| ["5.10", "6.1"].contains(&cell.kernel.name.as_str());
    let (all, olds) = (ids(run, |_| true), ids(run, old));
    let news = ids(run, |cell| !old(cell) && cell.llvm != 19);
    let source = "#include \"vmlinux.h\"\n\nSEC(\"fentry/do_exec\")\nint BPF_PROG(on_exec_fentry)\n{\n\treturn handle(ctx);\n}\n\n\
                  SEC(\"kprobe/do_exec\")\nint BPF_KPROBE(on_exec_kprobe)\n{\n\tif (ctx->bad < 0)\n\t\treturn -1;\n\treturn handle(ctx);\n}\n";
    let line = |line: u32, count: Option<u64>, cells: &[&str]| json!({"line": line, "count": count, "cells": cells});
    let json = json!({"schema": 1, "files": [
        {"path": "src/bpf/demo.bpf.c",
         "lines": [line(5, Some(61_440), &news), line(6, Some(61_440), &news), line(11, Some(960), &olds),
                   line(12, Some(960), &olds), line(13, Some(0), &[]), line(14, Some(960), &olds)],
         "functions": [{"name": "on_exec_fentry", "line": 4, "count": 61_440, "cells": news},
                       {"name": "on_exec_kprobe", "line": 10, "count": 960, "cells": olds}]},
        {"path": "src/bpf/handle.h",
         "lines": [line(3, Some(62_400), &all), line(4, None, &[])],
         "functions": [{"name": "handle", "line": 3, "count": 62_400, "cells": all}]}],
        "no_data": [{"cell": all[0], "test": "exec::argv", "object": "demo.bpf.o", "mode": "counters",
                     "reason": "combined stack size of 8 calls is 544. Too large"}]});
    let coverage = Coverage::parse(&json.to_string()).expect("coverage");
    coverage.with_sources([("src/bpf/demo.bpf.c".to_owned(), source.to_owned())].into())
}

/// Programs of every heat, one that old kernels reject, one that is skipped.
fn complexity(run: &RunOutcome) -> Vec<Measured> {
    let programs =
        [("on_exec_fentry", 840), ("on_exec_kprobe", 3_482), ("on_fork", 41_000), ("walk", 310_000), ("huge", 900_000)];
    let of_cell = |cell: &CellOutcome| {
        let (arch, kernel, llvm) = (cell.arch, cell.kernel.name.clone(), cell.llvm);
        let record = move |(program, insns): (&str, u64)| {
            let (verdict, reason) = match (program, kernel.as_str()) {
                ("huge", "5.10" | "6.1") => {
                    (LoadVerdict::Rejected, Some("BPF program is too large. Processed 1000001 insn"))
                }
                ("on_exec_fentry", "5.10") => (LoadVerdict::Skipped, Some("no fentry on this kernel")),
                _ => (LoadVerdict::Loaded, None),
            };
            Measured {
                arch,
                program: program.into(),
                kernel: kernel.clone(),
                llvm,
                verdict,
                insns_processed: (verdict == LoadVerdict::Loaded).then_some(insns + u64::from(llvm) * 7),
                stack_max: (verdict == LoadVerdict::Loaded && llvm != 19).then_some(insns % 448 + 8),
                reason: reason.map(Into::into),
            }
        };
        programs.map(record)
    };
    run.cells.iter().filter(|cell| !cell.attempts.is_empty()).flat_map(of_cell).collect()
}

fn capabilities(run: &RunOutcome) -> Vec<Capability> {
    let of_cell = |cell: &CellOutcome| {
        let (arch, kernel, llvm) = (cell.arch, cell.kernel.name.clone(), cell.llvm);
        ["fentry", "kprobe.multi", "ringbuf"].map(|name| {
            let value = match (name, kernel.as_str()) {
                ("kprobe.multi", "5.10") => "absent: EINVAL: link_create",
                ("fentry", _) if arch == Arch::Riscv64 => "unknown: BTF was not there",
                _ => "yes",
            };
            Capability { arch, kernel: kernel.clone(), llvm, name: name.into(), value: value.into() }
        })
    };
    run.cells.iter().filter(|cell| !cell.attempts.is_empty()).flat_map(of_cell).collect()
}

/// A cell per kernel, LLVM and architecture, a tenth of them failed.
pub(super) fn many() -> RunOutcome {
    let cells = (0..10_000_u32).map(|number| {
        let tests = fixture::TESTS.iter().enumerate().map(|(index, name)| {
            let failed = number % 10 == 0 && index == 3;
            fixture::test(name, if failed { TestResult::Failed } else { TestResult::Passed }, failed.then_some("E2BIG"))
        });
        let attempt = fixture::attempt(tests.collect());
        fixture::cell(
            Arch::ALL[number as usize % 3],
            &format!("6.{}", number / 90),
            10 + number / 3 % 30,
            vec![attempt],
        )
    });
    fixture::run(cells.collect())
}

/// A run whose every word means harm.
fn evil() -> RunOutcome {
    let failed = fixture::test(EVIL, TestResult::Failed, Some(EVIL));
    let mut not_run = fixture::cell(Arch::X86_64, "6.2", 22, vec![]);
    not_run.not_run = Some(EVIL.into());
    fixture::run(vec![
        fixture::cell(Arch::X86_64, "6.1", 22, vec![fixture::attempt(vec![failed])]),
        fixture::cell(Arch::X86_64, EVIL, 22, vec![fixture::lost(Verdict::Lost, PhaseName::Boot, EVIL, vec![])]),
        not_run,
    ])
}

#[test]
#[ignore = ".ci/page: writes the pages that it looks at into $UKCI_TEST_PAGES"]
fn pages_for_a_browser() {
    let weekly = fixture::weekly();
    let job = |number: u32, cell: &CellOutcome| {
        let at = f64::from(number) * 9.0;
        let vm = VmUse { started: at + 1.5, ended: at + 21.0, cpu_seconds: Some(18.0) };
        let id = format!("{}/{}", cell.arch, cell.kernel.name);
        JobUse { id, provision_seconds: 0.4, build_seconds: 1.2, ready: at, processors: 1, vms: vec![vm] }
    };
    let jobs = weekly.cells.iter().filter(|cell| cell.llvm == 22 && !cell.attempts.is_empty());
    let weekly = RunOutcome { jobs: (0..).zip(jobs).map(|(number, cell)| job(number, cell)).collect(), ..weekly };
    let parts = (Part::Read(coverage(&weekly)), Part::Read(complexity(&weekly)), Part::Read(capabilities(&weekly)));
    write("everything", &weekly, &parts.0, &parts.1, &parts.2);
    write("verdicts", &fixture::every_verdict(), &Part::Absent, &Part::Absent, &Part::Absent);
    write("hostile", &fixture::hostile(), &Part::Unreadable(EVIL.into()), &Part::Absent, &Part::Absent);
    write("evil", &evil(), &Part::Absent, &Part::Absent, &Part::Absent);
    write("empty", &fixture::empty(), &Part::Absent, &Part::Absent, &Part::Absent);
    write("many", &many(), &Part::Absent, &Part::Absent, &Part::Absent);
}

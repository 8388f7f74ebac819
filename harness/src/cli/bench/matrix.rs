//! `ukci bench matrix`: runs the matrix once and says where the time went.

use std::fmt::Write as _;

use serde::Serialize;

use crate::cli::args::{RunArgs, VeristatArgs};
use crate::cli::failure::Failure;
use crate::cli::run::{self, Ran};
use crate::cli::veristat;
use crate::run::{Measures, PHASES};

/// What was measured, for scripts.
#[derive(Debug, Serialize)]
struct MatrixBench<'a> {
    run: &'a str,
    accel: &'a str,
    exit_code: u8,
    #[serde(flatten)]
    measures: &'a Measures,
}

pub(super) async fn bench(args: RunArgs, json: bool) -> Result<u8, Failure> {
    report(&run::execute(args).await?, json)
}

/// The same of objects that are loaded.
pub(super) async fn bench_veristat(args: VeristatArgs) -> Result<u8, Failure> {
    let json = args.json;
    report(&veristat::execute(args).await?, json)
}

fn report(ran: &Ran, json: bool) -> Result<u8, Failure> {
    ran.write_reports()?;
    let exit_code = ran.exit_code()?;
    let measures = Measures::of(&ran.outcome, ran.slots);
    let accel = &ran.outcome.host.accel;
    if json {
        let bench = MatrixBench { run: ran.directory.id(), accel, exit_code, measures: &measures };
        let text = serde_json::to_string_pretty(&bench).map_err(|error| Failure::Broken(error.to_string()))?;
        crate::cli::print(&format!("{text}\n"))?;
    } else {
        crate::cli::print(&text(&measures, accel, ran.outcome.exit_code()))?;
    }
    Ok(exit_code)
}

fn text(measures: &Measures, accel: &str, exit_code: u8) -> String {
    let Measures { cells, vms, wall_seconds, seconds_per_cell, cores, slots, waiting, .. } = measures;
    let mut text = format!("{cells} cells in {vms} VMs, {accel}, {cores} processors: {wall_seconds:.1} s\n");
    let mut say = |what: &str, value: String| _ = writeln!(text, "  {what:<30}{value}");
    say("seconds per cell", format!("{seconds_per_cell:.2}"));
    let cpu = measures.qemu_cpu_seconds;
    say("QEMU's share of processors", format!("{:.0} %  ({cpu:.1} s of CPU)", 100.0 * measures.qemu_cpu_share));
    say("time with a VM", format!("{:.0} %", 100.0 * measures.vm_share));
    #[expect(clippy::cast_precision_loss, reason = "a count of processors")]
    let of = wall_seconds * *slots as f64;
    say("lost to waiting, of all slots", format!("{:.1} s of {of:.1} s", waiting.total()));
    say("  no job ready", format!("{:.1} s", waiting.inputs));
    say("  between VMs", format!("{:.1} s", waiting.between));
    say("  nothing left to begin", format!("{:.1} s", waiting.nothing_left));
    text += "\nmedians, in s";
    let widths = PHASES.map(|name| name.len().max(7) + 2);
    text += &PHASES
        .iter()
        .zip(widths)
        .map(|(name, width)| format!("{:>width$}", name.replace('_', " ")))
        .collect::<String>();
    text.push('\n');
    for (arch, medians) in &measures.phases {
        _ = write!(text, "{arch:<13}");
        for (name, width) in PHASES.iter().zip(widths) {
            let median = medians.get(name).map_or_else(|| "-".to_owned(), |median| format!("{median:.2}"));
            _ = write!(text, "{median:>width$}");
        }
        text.push('\n');
    }
    if exit_code != 0 {
        text += "\nNot all is as expected: `ukci report` shows it.\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::matrix::Arch;
    use crate::run::Waiting;

    #[test]
    fn what_is_measured_fits_a_terminal() {
        let phases = PHASES.into_iter().zip([0.25, 1800.5, 2.2, 0.12, 0.1, 4.5, 6.0, 0.03]).collect();
        let measures = Measures {
            cells: 66,
            vms: 22,
            wall_seconds: 240.25,
            seconds_per_cell: 3.64,
            cores: 2,
            qemu_cpu_seconds: 410.0,
            qemu_cpu_share: 0.853,
            vm_share: 0.99,
            slots: 2,
            waiting: Waiting { inputs: 3.0, between: 12.0, nothing_left: 4.5 },
            phases: BTreeMap::from([(Arch::X86_64, phases), (Arch::Riscv64, BTreeMap::from([("boot", 3.0)]))]),
        };
        let text = text(&measures, "tcg", 4);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        insta::assert_snapshot!(text);
    }
}

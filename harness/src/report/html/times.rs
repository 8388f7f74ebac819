//! Where the time went: the phases of each cell as numbers and as a bar, and the life of each VM.

use super::parts::{self, bare_seconds, table};
use super::writer::Html;
use super::{Context, Link};
use crate::matrix::Arch;
use crate::report::text;
use crate::run::outcome::{CellOutcome, JobUse, PhaseName, RunOutcome, VmUse};
use crate::run::{Measures, PHASES, median};

/// The phases of a cell, in their order, with the classes of their bars.
const OF_CELL: [(PhaseName, &str); 8] = [
    (PhaseName::Provision, "provision"),
    (PhaseName::Build, "build"),
    (PhaseName::Boot, "boot"),
    (PhaseName::Connect, "connect"),
    (PhaseName::List, "list"),
    (PhaseName::Test, "test"),
    (PhaseName::Coverage, "coverage"),
    (PhaseName::PowerOff, "power_off"),
];

/// Cells with a row; of more, the slowest are shown. A browser takes seconds to lay out ten thousand.
const MOST_ROWS: usize = 1000;

/// The width of a bar, in units of its own.
const BAR: f64 = 1000.0;

pub(super) fn write(context: &Context<'_>, html: &mut Html) {
    let run = context.page.run;
    if run.cells.iter().all(|cell| cell.attempts.is_empty()) {
        html.leaf("p", &[("class", "absent")], "No cell was attempted.");
        return;
    }
    totals(run, html);
    html.element("p", &[("class", "legend")], |html| {
        for (name, class) in OF_CELL {
            html.element("span", &[("class", "swatch")], |html| {
                bar(html, [(class, 0.0, BAR)]);
                html.text(&name.to_string().replace('_', " "));
            });
        }
    });
    cells(run, html);
    if !run.jobs.is_empty() {
        jobs(run, html);
    }
}

/// Sums and medians of the phases, by architecture.
fn totals(run: &RunOutcome, html: &mut Html) {
    let measures = Measures::of(run, run.host.cores);
    if run.finished.is_some() && !run.jobs.is_empty() && run.resumed.is_empty() && run.hosts.is_empty() {
        let mut facts = vec![
            format!("{} of wall time", text::seconds(measures.wall_seconds)),
            format!("{} per cell", text::seconds(measures.seconds_per_cell)),
            text::count(measures.vms, "VM"),
        ];
        // Of a VM that was killed nobody knows what it took.
        if run.jobs.iter().flat_map(|job| &job.vms).any(|vm| vm.cpu_seconds.is_some()) {
            let cores = text::count(measures.cores, "core");
            facts.push(format!("QEMU took {:.0} % of {cores}", measures.qemu_cpu_share * 100.0));
        }
        html.leaf("p", &[("class", "facts")], &facts.join(" · "));
    }
    table(html, "times-totals", "numbers", "Phases by architecture: the sum over all, and the median, in s", |html| {
        let names = PHASES.map(|name| name.replace('_', " "));
        parts::heads(html, ["Architecture"].into_iter().chain(names.iter().map(String::as_str)));
        html.element("tbody", &[], |html| {
            for (arch, medians) in &measures.phases {
                html.element("tr", &[], |html| {
                    html.leaf("th", &[("scope", "row")], arch.name());
                    for name in PHASES {
                        let sum = sum(run, *arch, name);
                        match medians.get(name) {
                            Some(median) => {
                                html.element("td", &[], |html| {
                                    html.text(&bare_seconds(sum)).text(" ").leaf("small", &[], &bare_seconds(*median));
                                });
                            }
                            None => drop(html.leaf("td", &[], "–")),
                        }
                    }
                });
            }
        });
    });
}

/// What all jobs, or all cells, of the architecture spent in a phase; the boot of a VM counts in each of its cells.
fn sum(run: &RunOutcome, arch: Arch, name: &str) -> f64 {
    let prefix = format!("{arch}/");
    let jobs = run.jobs.iter().filter(|job| job.id.starts_with(&prefix));
    match name {
        "provision" => jobs.map(|job| job.provision_seconds).sum(),
        "build" => jobs.map(|job| job.build_seconds).sum(),
        name => {
            let cells = run.cells.iter().filter(|cell| cell.arch == arch);
            let phases = cells.flat_map(|cell| &cell.attempts).flat_map(|attempt| &attempt.phases);
            phases.filter(|phase| phase.name.to_string() == name).map(|phase| phase.seconds).sum()
        }
    }
}

/// What the cell spent in the phase, over all of its attempts; `None` where it never came to that.
fn spent(cell: &CellOutcome, name: PhaseName) -> Option<f64> {
    let phases = cell.attempts.iter().flat_map(|attempt| &attempt.phases).filter(|phase| phase.name == name);
    phases.map(|phase| phase.seconds).reduce(|sum, seconds| sum + seconds)
}

fn cells(run: &RunOutcome, html: &mut Html) {
    let mut attempted: Vec<_> = run.cells.iter().enumerate().filter(|(_, cell)| !cell.attempts.is_empty()).collect();
    let longest = attempted.iter().map(|(_, cell)| cell.seconds()).fold(f64::MIN_POSITIVE, f64::max);
    let usual = median(attempted.iter().map(|(_, cell)| cell.seconds())).unwrap_or_default();
    let of = if attempted.len() > MOST_ROWS {
        let of = format!("the {MOST_ROWS} slowest of {} cells", attempted.len());
        attempted.sort_by(|(_, one), (_, other)| other.seconds().total_cmp(&one.seconds()));
        attempted.truncate(MOST_ROWS);
        of
    } else {
        "each cell".into()
    };
    let caption = format!(
        "Phases of {of} in s, all attempts together; a VM's boot counts in each of its cells. Median {}, longest {}",
        text::seconds(usual),
        text::seconds(longest)
    );
    table(html, "times-cells", "numbers sortable", &caption, |html| {
        let phases = OF_CELL.map(|(name, _)| name.to_string().replace('_', " "));
        let heads = ["Cell", "Attempts", "Total"].into_iter().chain(phases.iter().map(String::as_str)).chain(["Bar"]);
        parts::heads(html, heads);
        html.element("tbody", &[], |html| {
            for (number, cell) in attempted {
                html.element("tr", &[], |html| cell_row(number, cell, longest, html));
                html.line();
            }
        });
    });
}

fn cell_row(number: usize, cell: &CellOutcome, longest: f64, html: &mut Html) {
    html.element("th", &[("scope", "row")], |html| {
        html.link(&Link::place("cell", number), &cell.id);
    });
    html.leaf("td", &[], &cell.attempts.len().to_string());
    html.leaf("td", &[], &bare_seconds(cell.seconds()));
    let mut from = 0.0;
    let mut segments = Vec::new();
    for (name, class) in OF_CELL {
        let spent = spent(cell, name);
        html.leaf("td", &[], &spent.map_or_else(|| "–".to_owned(), bare_seconds));
        let width = spent.unwrap_or_default() / longest * BAR;
        segments.push((class, from, width));
        from += width;
    }
    html.element("td", &[("class", "wide")], |html| bar(html, segments));
}

/// The lives of the VMs, side by side.
fn jobs(run: &RunOutcome, html: &mut Html) {
    let ends = run.jobs.iter().flat_map(|job| job.vms.iter().map(|vm| vm.ended).chain([job.ready]));
    let last = ends.fold(f64::MIN_POSITIVE, f64::max);
    let several = if run.hosts.is_empty() && run.resumed.is_empty() {
        ""
    } else {
        " Each machine, and each time that the run was taken up again, begins anew at 0."
    };
    let caption = format!(
        "Life of each VM, in s since the jobs began; grey is waiting, the bars end at {}.{several}",
        text::seconds(last)
    );
    table(html, "times-jobs", "numbers sortable", &caption, |html| {
        parts::heads(html, ["VM", "Provision", "Build", "Ready", "Started", "Ended", "CPU", "Bar"]);
        html.element("tbody", &[], |html| {
            for job in &run.jobs {
                if job.vms.is_empty() {
                    html.element("tr", &[], |html| job_row(job, None, last, html));
                }
                for vm in &job.vms {
                    html.element("tr", &[], |html| job_row(job, Some(vm), last, html));
                }
            }
        });
    });
}

fn job_row(job: &JobUse, vm: Option<&VmUse>, last: f64, html: &mut Html) {
    html.leaf("th", &[("scope", "row")], &job.id);
    let moments = [Some(job.provision_seconds), Some(job.build_seconds), Some(job.ready)];
    let life = [vm.map(|vm| vm.started), vm.map(|vm| vm.ended), vm.and_then(|vm| vm.cpu_seconds)];
    for number in moments.into_iter().chain(life) {
        html.leaf("td", &[], &number.map_or_else(|| "–".to_owned(), bare_seconds));
    }
    let place = |moment: f64| moment / last * BAR;
    let life = vm.map(|vm| ("test", place(vm.started), place(vm.ended - vm.started)));
    let waiting = vm.map(|vm| ("wait", place(job.ready), place(vm.started - job.ready)));
    html.element("td", &[("class", "wide")], |html| bar(html, waiting.into_iter().chain(life)));
}

/// A bar of segments: class, beginning, width. Numbers beside it say the same.
fn bar(html: &mut Html, segments: impl IntoIterator<Item = (&'static str, f64, f64)>) {
    let attributes =
        [("class", "bar"), ("viewBox", "0 0 1000 10"), ("preserveAspectRatio", "none"), ("aria-hidden", "true")];
    html.element("svg", &attributes, |html| {
        for (class, from, width) in segments {
            if width >= 0.5 {
                let (from, width) = (format!("{from:.0}"), format!("{:.0}", width.max(1.0)));
                html.void("rect", &[("class", class), ("x", &from), ("width", &width), ("height", "10")]);
            }
        }
    });
}

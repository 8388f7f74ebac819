//! The lines at the bottom of a terminal that change: one per step and per VM, and the total. [`Live`] holds them.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::report::text::{self, Style};
use crate::run::event::Event;
use crate::run::outcome::{CellOutcome, PhaseName, Verdict};

/// How often the times of the lines go on.
const TICK: Duration = Duration::from_millis(500);

/// The bars of a run.
pub(super) struct Live {
    style: Style,
    bars: MultiProgress,
    jobs: HashMap<String, ProgressBar>,
    steps: HashMap<String, ProgressBar>,
    total: ProgressBar,
    counts: Counts,
    /// Jobs that wait and so have no line, with what they wait for.
    waiting: HashMap<String, PhaseName>,
}

#[derive(Default)]
struct Counts {
    pass: usize,
    fail: usize,
    lost: usize,
    cells: usize,
    done: usize,
}

impl Live {
    pub(super) fn new(target: ProgressDrawTarget, style: Style) -> Self {
        let bars = MultiProgress::with_draw_target(target);
        let total = bars.add(ProgressBar::new_spinner().with_style(template("{secs:>8}  {wide_msg}")));
        Self {
            style,
            bars,
            jobs: HashMap::new(),
            steps: HashMap::new(),
            total,
            counts: Counts::default(),
            waiting: HashMap::new(),
        }
    }

    /// Puts a permanent line above the bars.
    pub(super) fn print(&self, line: &str) {
        // A terminal that is gone must not end the run.
        _ = self.bars.println(line);
    }

    pub(super) fn on(&mut self, event: &Event) {
        match event {
            Event::Started { cells, .. } => {
                self.counts.cells = *cells;
                self.total.enable_steady_tick(TICK);
                self.total.reset_elapsed();
                self.show_total();
            }
            Event::StepStarted { name, total_bytes } => self.start_step(name, *total_bytes),
            Event::StepAdvanced { name, bytes } => {
                if let Some(bar) = self.steps.get(name) {
                    bar.set_position(*bytes);
                }
            }
            Event::StepFinished { name } => self.remove(|live| live.steps.remove(name)),
            Event::Phase { job, phase: phase @ (PhaseName::Build | PhaseName::Queue) } => {
                self.remove(|live| live.jobs.remove(job));
                self.waiting.insert(job.clone(), *phase);
                self.show_total();
            }
            Event::Phase { job, phase } => match phase {
                PhaseName::Test => self.job(job).set_message("test"),
                phase => self.job(job).set_message(phase.to_string().replace('_', " ")),
            },
            Event::TestStarted { job, test, done, total } => {
                self.job(job).set_message(format!("test {}/{total}  {}", done + 1, text::one_line(test)));
            }
            Event::CellFinished(cell) => {
                self.counts.add(cell);
                self.show_total();
            }
            Event::JobFinished { job } => {
                self.waiting.remove(job);
                self.remove(|live| live.jobs.remove(job));
                self.show_total();
            }
            Event::Finished(_) => {
                self.jobs.drain().chain(self.steps.drain()).for_each(|(_, bar)| bar.finish_and_clear());
                self.total.finish_and_clear();
            }
            Event::TestFinished { .. } | Event::Retry { .. } | Event::Warning(_) => {}
        }
    }

    /// The line of a VM; its time is that of the VM, retries included.
    fn job(&mut self, job: &str) -> &ProgressBar {
        if self.waiting.remove(job).is_some() {
            self.show_total();
        }
        let (bars, total) = (&self.bars, &self.total);
        self.jobs.entry(job.to_owned()).or_insert_with(|| {
            let bar = ProgressBar::new_spinner().with_style(template("{secs:>8}  {prefix:<24}  {wide_msg}"));
            let bar = bars.insert_before(total, bar.with_prefix(text::fit_middle(&text::one_line(job), 24)));
            bar.enable_steady_tick(TICK);
            bar
        })
    }

    fn start_step(&mut self, name: &str, total_bytes: Option<u64>) {
        let name_line = text::one_line(name);
        let bar = match total_bytes {
            Some(total) => ProgressBar::new(total)
                .with_style(template(
                    "{secs:>8}  {prefix:<36}  {binary_bytes:>11} of {binary_total_bytes:11} {wide_bar}",
                ))
                .with_prefix(text::fit_middle(&name_line, 36)),
            None => ProgressBar::new_spinner().with_style(template("{secs:>8}  {wide_msg}")).with_message(name_line),
        };
        let bar = self.bars.insert_before(&self.total, bar);
        bar.enable_steady_tick(TICK);
        self.steps.insert(name.to_owned(), bar);
    }

    fn remove(&mut self, take: impl FnOnce(&mut Self) -> Option<ProgressBar>) {
        if let Some(bar) = take(self) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }

    /// How many lines jobs have, and what the last line says.
    #[cfg(test)]
    pub(super) fn lines(&self) -> (usize, String) {
        (self.jobs.len(), self.total.message())
    }

    fn show_total(&self) {
        let waiting = |wanted| self.waiting.values().filter(|phase| **phase == wanted).count();
        let (build, queue) = (waiting(PhaseName::Build), waiting(PhaseName::Queue));
        self.total.set_message(format!("{}{}", self.counts.show(self.style), wait(build, queue)));
    }
}

impl Counts {
    fn add(&mut self, cell: &CellOutcome) {
        self.done += 1;
        match cell.verdict() {
            Verdict::Pass | Verdict::Flaky | Verdict::Xfail => self.pass += 1,
            Verdict::Fail | Verdict::Xpass => self.fail += 1,
            Verdict::Lost | Verdict::Timeout => self.lost += 1,
            Verdict::NotRun => {}
        }
    }

    fn show(&self, style: Style) -> String {
        let count = |verdict, number, word: &str| {
            let words = format!("{number} {word}");
            if number == 0 { words } else { style.paint(verdict, &words) }
        };
        format!(
            "{}/{} cells: {}, {}, {}",
            self.done,
            self.cells,
            count(Verdict::Pass, self.pass, "as expected"),
            count(Verdict::Fail, self.fail, "fail"),
            count(Verdict::Lost, self.lost, "lost")
        )
    }
}

/// How many jobs wait, and for what.
fn wait(build: usize, queue: usize) -> String {
    let parts = [(build, "bundles"), (queue, "a processor")].into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, what)| format!("{count} for {what}")).collect();
    if parts.is_empty() { String::new() } else { format!(" · VMs that wait: {}", parts.join(", ")) }
}

/// The template with `{secs}`: the time that the bar has been there, as the reports show times.
fn template(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("OK because the templates are literals that the tests make")
        .progress_chars("━╸─")
        .with_key("secs", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let whole = state.elapsed().as_secs();
            _ = if whole < 600 { write!(out, "{whole} s") } else { write!(out, "{} min", whole / 60) };
        })
}

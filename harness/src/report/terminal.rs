//! What a run shows while it goes on: [`Terminal`] turns events into lines, and into bars where someone watches.

use std::fmt;
use std::io::{self, Write};

use crate::report::grid;
use indicatif::ProgressDrawTarget;

use crate::report::text::{self, Style, WIDTH};
use crate::run::event::Event;
use crate::run::outcome::{CellOutcome, TestRecord, Verdict};

mod live;

use live::Live;

/// How the progress of a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Bars at the bottom of a terminal, and a permanent line for each thing that ended.
    Live,
    /// Lines only: for logs and pipes.
    Plain,
    /// Warnings only.
    Quiet,
}

/// Columns of the first word of a line.
const WORD: usize = 9;

/// Shows the events of one run. It owns the terminal's last lines: write elsewhere only after [`Event::Finished`].
pub struct Terminal {
    style: Style,
    lines: Lines,
    cells: usize,
    done: usize,
    quiet: bool,
}

/// Where permanent lines go.
enum Lines {
    Live(Box<Live>),
    Plain(Box<dyn Write + Send>),
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { style, lines: _, cells, done, quiet } = self;
        let mut debug = f.debug_struct("Terminal");
        debug.field("style", style).field("cells", cells).field("done", done).field("quiet", quiet);
        debug.finish_non_exhaustive()
    }
}

impl Terminal {
    /// Shows progress on standard error, so that standard output is the result's alone.
    #[must_use]
    pub fn new(draw: Draw, style: Style) -> Self {
        let lines = match draw {
            Draw::Live => Lines::Live(Box::new(Live::new(ProgressDrawTarget::stderr(), style))),
            Draw::Plain | Draw::Quiet => Lines::Plain(Box::new(io::stderr())),
        };
        Self { style, lines, cells: 0, done: 0, quiet: draw == Draw::Quiet }
    }

    /// Shows progress as lines on the writer.
    #[must_use]
    pub fn plain(writer: Box<dyn Write + Send>, style: Style) -> Self {
        Self { style, lines: Lines::Plain(writer), cells: 0, done: 0, quiet: false }
    }

    /// Shows the event. A writer that fails is ignored: a closed terminal must not end a run.
    pub fn on(&mut self, event: &Event) {
        match event {
            Event::Started { cells, .. } => self.cells = *cells,
            Event::CellFinished(_) => self.done += 1,
            _ => {}
        }
        if let Some(line) = self.line(event)
            && (!self.quiet || matches!(event, Event::Warning(_)))
        {
            match &mut self.lines {
                Lines::Live(live) => live.print(&line),
                Lines::Plain(writer) => _ = writeln!(writer, "{line}").and_then(|()| writer.flush()),
            }
        }
        if let Lines::Live(live) = &mut self.lines {
            live.on(event);
        }
    }

    /// The permanent line for the event, if it deserves one.
    fn line(&self, event: &Event) -> Option<String> {
        match event {
            Event::Started { id, directory, jobs, cells } => {
                let (cells, vms) = (text::count(*cells, "cell"), text::count(*jobs, "VM"));
                let directory = text::one_line(&directory.to_string_lossy());
                Some(self.say(None, "run", &format!("{}: {cells} in {vms}, {directory}/", text::one_line(id))))
            }
            // A bar shows the step; a log shows that it began, so that a hang has a name.
            Event::StepStarted { name, total_bytes } if matches!(self.lines, Lines::Plain(_)) => {
                let size = total_bytes.map(|total| format!(" ({})", text::bytes(total))).unwrap_or_default();
                Some(self.say(None, "step", &format!("{}{size}", text::one_line(name))))
            }
            Event::TestFinished { cell, record, .. } if !record.verdict().is_expected() => {
                Some(self.test_line(cell, record))
            }
            Event::Retry { job, reason } => {
                let text = format!("{}: {}", text::one_line(job), first_line(reason));
                Some(self.say(Some(Verdict::Flaky), "retry", &text))
            }
            Event::CellFinished(cell) => Some(self.cell_line(cell)),
            Event::Warning(warning) => Some(format!(
                "{}{}",
                self.style.paint(Verdict::Flaky, &text::pad("warning", WORD)),
                text::one_line(warning)
            )),
            _ => None,
        }
    }

    fn test_line(&self, cell: &str, test: &TestRecord) -> String {
        let text = format!("{}  {}", text::one_line(cell), text::one_line(&test.explain()));
        self.say(Some(test.verdict()), text::word(test.verdict()), &text)
    }

    /// `pass     x86_64/6.12/llvm22  9/9  4.2 s  [3/9]`, and a reason where the verdict needs one.
    fn cell_line(&self, cell: &CellOutcome) -> String {
        let verdict = cell.verdict();
        let loss = cell.attempts.last().and_then(|attempt| attempt.loss.as_ref());
        let ended_by_loss = loss.is_some_and(|loss| loss.verdict == verdict);
        let count = if ended_by_loss { String::new() } else { grid::cell_text(cell).replace(text::word(verdict), "") };
        let parts = [text::one_line(&cell.id), count.trim().to_owned(), grid::cell_time(cell)];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let mut text = format!("{}  [{}/{}]", parts.join("  "), self.done, self.cells);
        // A failed test has had its own line.
        let surprised = cell.attempts.last().is_some_and(|attempt| attempt.surprises().next().is_some());
        if ended_by_loss || surprised || matches!(verdict, Verdict::Flaky | Verdict::NotRun) {
            text = format!("{text}  {}", text::one_line(&cell.reason().unwrap_or_default()));
        }
        self.say(Some(verdict), text::word(verdict), &text)
    }

    fn say(&self, verdict: Option<Verdict>, word: &str, text: &str) -> String {
        let word = text::pad(word, WORD);
        let word = verdict.map_or_else(|| word.clone(), |verdict| self.style.paint(verdict, &word));
        format!("{word}{}", text::fit(text, WIDTH - WORD))
    }
}

fn first_line(text: &str) -> String {
    text::one_line(text.lines().next().unwrap_or_default())
}

#[cfg(test)]
mod tests;

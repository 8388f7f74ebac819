//! What a person sees while a command works: [`Screen`] draws events, whichever thread they come from.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::archive::Progress;
use crate::report::{self, Draw, Style, Terminal};
use crate::run::Observer;
use crate::run::event::Event;
use crate::run::outcome::RunOutcome;

/// The screen of one command. Clones draw on the same one.
#[derive(Clone, Debug)]
pub(super) struct Screen {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    terminal: Terminal,
    /// Downloads that have begun and not ended.
    downloads: BTreeSet<String>,
}

impl Screen {
    /// Draws live progress where someone watches, unless `plain` lines are asked for.
    pub(super) fn new(plain: bool) -> Self {
        let watched = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let draw = if watched && !plain { Draw::Live } else { Draw::Plain };
        Self::with(draw)
    }

    /// Shows warnings and nothing else.
    pub(super) fn quiet() -> Self {
        Self::with(Draw::Quiet)
    }

    fn with(draw: Draw) -> Self {
        let terminal = Terminal::new(draw, style(&std::io::stderr()));
        Self { shared: Arc::new(Mutex::new(Shared { terminal, downloads: BTreeSet::new() })) }
    }

    /// Draws `event`.
    pub(super) fn event(&self, event: &Event) {
        self.lock().terminal.on(event);
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Drawing leaves nothing half-done that matters.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Smaller downloads are over before a person has read their names.
const WORTH_SHOWING: u64 = 4 << 20;

impl Progress for Screen {
    fn downloaded(&self, name: &str, bytes: u64, total: u64) {
        if total < WORTH_SHOWING {
            return;
        }
        let mut shared = self.lock();
        let name = name.to_owned();
        if bytes < total && shared.downloads.insert(name.clone()) {
            shared.terminal.on(&Event::StepStarted { name: name.clone(), total_bytes: Some(total) });
        }
        if bytes >= total && shared.downloads.remove(&name) {
            shared.terminal.on(&Event::StepFinished { name });
        } else if bytes < total {
            shared.terminal.on(&Event::StepAdvanced { name, bytes });
        }
    }

    fn warn(&self, text: &str) {
        self.event(&Event::Warning(text.to_owned()));
    }
}

/// Draws a run and saves its outcome in `directory` whenever it changes.
pub(super) struct RunObserver {
    pub(super) screen: Screen,
    pub(super) directory: PathBuf,
    /// A full disk is said once, not after every test.
    pub(super) unsaved: bool,
}

impl Observer for RunObserver {
    fn event(&mut self, event: &Event) {
        self.screen.event(event);
    }

    fn changed(&mut self, outcome: &RunOutcome) {
        match report::write_record(&self.directory, outcome) {
            Ok(()) => self.unsaved = false,
            Err(error) if !self.unsaved => {
                self.unsaved = true;
                let path = self.directory.join("run.json");
                self.screen.event(&Event::Warning(format!("cannot write `{}`: {error}", path.display())));
            }
            Err(_said_before) => {}
        }
    }
}

/// Colours for `stream`, when it is a terminal and nobody objects (no-color.org).
pub(super) fn style(stream: &impl IsTerminal) -> Style {
    let objection = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    Style { color: stream.is_terminal() && !objection }
}

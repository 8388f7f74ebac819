//! The text form, one line per event: [`Text`].

use std::fmt::Write as _;
use std::io::{self, Write};

use super::json::hidden;
use super::notes::notes;
use super::words::shell_word;
use super::{About, Format, Palette, Timestamp, command_line, names};
use crate::event::{End, Event, Exec, What};
use crate::show::Item;
use crate::trace::Summary;

/// Writes a line per event: time, process id, name, and a command that a shell would run, with notes as its comment.
#[derive(Debug)]
pub(crate) struct Text {
    /// The time in front, if any.
    pub(crate) timestamp: Option<Timestamp>,
    /// The colours.
    pub(crate) palette: Palette,
}

impl Format for Text {
    fn begin(&mut self, _out: &mut dyn Write, _about: &About) -> io::Result<()> {
        Ok(())
    }

    fn event(&mut self, out: &mut dyn Write, about: &About, event: &Event) -> io::Result<()> {
        if hidden(event, about) {
            return Ok(());
        }
        writeln!(out, "{}", self.line(about, event))
    }

    fn end(&mut self, _out: &mut dyn Write, _about: &About, _summary: Option<&Summary>) -> io::Result<()> {
        Ok(())
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl Text {
    fn line(&self, about: &About, event: &Event) -> String {
        let Palette { dim, bad, end, .. } = self.palette;
        let mut line = String::new();
        if let Some(timestamp) = &self.timestamp {
            let time = timestamp.text(event.time, about.started);
            line.extend([dim, &time, end, " "]);
        }
        let rest = match &event.what {
            What::Exec(exec) => self.exec(exec, about),
            What::Child(child) => format!("{dim}{:>7} + child {}{end}", child.parent_tgid, child.tgid),
            What::Exit(exit) => {
                let how = match exit.end {
                    End::Code(code) => format!("exit {code}"),
                    End::Signal { number, core: false } => format!("killed by {}", names::signal(number)),
                    End::Signal { number, core: true } => {
                        format!("killed by {}, core dumped", names::signal(number))
                    }
                };
                let color = if exit.end == End::Code(0) { dim } else { bad };
                format!("{dim}{:>7}{end}{color} - {how}{end}", exit.tgid)
            }
            What::Lost(lost) => format!(
                "{bad}# lost: {} execs, {} other events, {} processes not followed{end}",
                lost.execs, lost.others, lost.untracked
            ),
            What::Warning(words) => format!("{bad}# warning: {words}{end}"),
        };
        line.push_str(&rest);
        line
    }

    fn exec(&self, exec: &Exec, about: &About) -> String {
        let Palette { dim, name, good, bad, note, end } = self.palette;
        let comm = exec.comm.as_ref().map_or("?".into(), |comm| shell_word(comm));
        let mut line = format!("{dim}{:>7}{end} {name}{comm:<15}{end}", exec.tgid);
        let color = if exec.errno == 0 { good } else { bad };
        let command = if about.show.has(Item::Cmdline) {
            command_line::full(exec, &about.baseline, &about.redact)
        } else if about.show.has(Item::Argv) {
            command_line::short(exec)
        } else {
            exec.filename.as_ref().map_or("?".into(), |filename| shell_word(&filename.bytes))
        };
        // OK because writing to a string cannot fail.
        let _ = write!(line, " {color}{command}{end}");
        let notes = notes(exec, about);
        if !notes.is_empty() {
            let color = if exec.errno == 0 { note } else { bad };
            let _ = write!(line, " {color}# {}{end}", notes.join("; "));
        }
        line
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;

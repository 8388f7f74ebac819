//! Traces as text and as files: [`Format`], of which there is one per form, and what all of them are told, [`About`].

use std::ffi::OsString;
use std::io::{self, Write};

use crate::baseline::Baseline;
use crate::event::{Event, Time};
use crate::redact::Redact;
use crate::show::Show;
use crate::trace::{Backend, Summary};

mod color;
mod command_line;
mod json;
mod names;
mod notes;
mod perfetto;
mod record;
mod text;
mod timestamp;
mod words;

pub(crate) use self::color::Palette;
pub(crate) use self::json::{Json, Layout};
pub(crate) use self::perfetto::Perfetto;
pub(crate) use self::text::Text;
pub(crate) use self::timestamp::Timestamp;

/// What a trace is of, known when it begins.
#[derive(Debug)]
pub(crate) struct About {
    /// When it began.
    pub(crate) started: Time,
    /// What sees the execs.
    pub(crate) backend: Backend,
    /// Why that is not eBPF, if the choice was left to us.
    pub(crate) fallback: Option<String>,
    /// The command, if there is one.
    pub(crate) command: Vec<OsString>,
    /// The processes that it was attached to.
    pub(crate) attached: Vec<u32>,
    /// What execs are compared with.
    pub(crate) baseline: Baseline,
    /// What is kept out.
    pub(crate) redact: Redact,
    /// What is shown.
    pub(crate) show: Show,
}

/// A form of output: what is written at the start, for each event, and at the end.
pub(crate) trait Format {
    /// Before the first event.
    fn begin(&mut self, out: &mut dyn Write, about: &About) -> io::Result<()>;
    /// An event.
    fn event(&mut self, out: &mut dyn Write, about: &About, event: &Event) -> io::Result<()>;
    /// After the last event; `None` if the trace broke off with an error. The file is valid then too.
    fn end(&mut self, out: &mut dyn Write, about: &About, summary: Option<&Summary>) -> io::Result<()>;
    /// What is written must be readable at once.
    fn is_live(&self) -> bool;
}

//! The colours of text output: [`Palette`].

/// The ANSI sequences before each part, and after all of them; empty without colours.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Palette {
    /// Times and ids.
    pub(super) dim: &'static str,
    /// Names of processes.
    pub(super) name: &'static str,
    /// Programs that were executed.
    pub(super) good: &'static str,
    /// Execs that failed, and losses.
    pub(super) bad: &'static str,
    /// Notes.
    pub(super) note: &'static str,
    /// Back to normal.
    pub(super) end: &'static str,
}

impl Palette {
    /// The eight colours that every terminal has.
    pub(crate) const ANSI: Self =
        Self { dim: "\x1b[2m", name: "\x1b[36m", good: "\x1b[1m", bad: "\x1b[31m", note: "\x1b[33m", end: "\x1b[0m" };
}

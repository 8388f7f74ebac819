//! What a kernel turned out to be capable of: [`Capability`].

use serde::{Deserialize, Serialize};

/// A capability that a test of a cell reported, or that was expected of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// Its name.
    pub name: String,
    /// What was found; `None` when no test reported it.
    pub found: Option<String>,
    /// What was expected; `None` when it was not to be reported, or nothing is expected of any kernel.
    pub expected: Option<String>,
    /// The reason of the row of `capabilities.yaml` that expects it so; `None` when no row names it.
    pub reason: Option<String>,
    /// Whether it counts: there is a `capabilities.yaml`.
    pub judged: bool,
}

impl Capability {
    /// What differs from what was expected, in one line; `None` when nothing does.
    #[must_use]
    pub fn surprise(&self) -> Option<String> {
        let Self { name, found, expected, reason, judged } = self;
        if !judged || (found == expected && reason.is_some()) {
            return None;
        }
        let quoted = |value: &Option<String>| value.as_ref().map_or("none".into(), |value| format!("`{value}`"));
        let why = reason.as_deref().unwrap_or("no row of capabilities.yaml names it");
        Some(format!("capability `{name}`: expected {} ({why}), found {}", quoted(expected), quoted(found)))
    }
}

//! The JSON forms: [`Json`], an array of records, or one record per line.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::record::{SCHEMA, all, bytes, record, unix_ns};
use super::{About, Format};
use crate::event::{Event, What};
use crate::show::Item;
use crate::trace::{Backend, Summary};

/// How records follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `[`, the records separated by commas, `]`.
    Array,
    /// One per line, each readable as soon as it is written.
    Lines,
}

/// Writes records, the first of which is the metadata, and the last the summary.
#[derive(Debug)]
pub(crate) struct Json(pub(crate) Layout);

impl Json {
    fn record(&self, out: &mut dyn Write, before: &str, record: &Value) -> io::Result<()> {
        if self.0 == Layout::Array {
            out.write_all(before.as_bytes())?;
        }
        serde_json::to_writer(&mut *out, record)?;
        if self.0 == Layout::Lines { out.write_all(b"\n") } else { Ok(()) }
    }
}

impl Format for Json {
    fn begin(&mut self, out: &mut dyn Write, about: &About) -> io::Result<()> {
        self.record(out, "[\n", &metadata(about))
    }

    fn event(&mut self, out: &mut dyn Write, about: &About, event: &Event) -> io::Result<()> {
        if hidden(event, about) {
            return Ok(());
        }
        self.record(out, ",\n", &record(event, about))
    }

    fn end(&mut self, out: &mut dyn Write, _about: &About, summary: Option<&Summary>) -> io::Result<()> {
        if let Some(summary) = summary {
            self.record(out, ",\n", &summary_record(summary))?;
        }
        if self.0 == Layout::Array { out.write_all(b"\n]\n") } else { Ok(()) }
    }

    fn is_live(&self) -> bool {
        self.0 == Layout::Lines
    }
}

/// Events of this kind are hidden.
pub(super) fn hidden(event: &Event, about: &About) -> bool {
    match event.what {
        What::Child(_) => !about.show.has(Item::Children),
        What::Exit(_) => !about.show.has(Item::Exits),
        What::Exec(_) | What::Lost(_) | What::Warning(_) => false,
    }
}

/// What the trace is of.
pub(super) fn metadata(about: &About) -> Value {
    let env = about.show.has(Item::Env) || about.show.has(Item::EnvDiff);
    let stdio = |stdio: &crate::baseline::Stdio| json!({ "number": stdio.number, "path": bytes(&stdio.path), "inode": stdio.inode });
    json!({
        "event": "metadata",
        "schema": SCHEMA,
        "tracer": env!("CARGO_PKG_VERSION"),
        "kernel": kernel(),
        "arch": std::env::consts::ARCH,
        "backend": backend(&about.backend),
        "fallback": about.fallback,
        "command": all(about.command.iter().map(|word| word.as_encoded_bytes())),
        "attached": about.attached,
        "boot_ns": about.started.boot.as_nanos() as u64,
        "wall_ns": unix_ns(about.started.wall) as i64,
        "baseline": {
            "env": env.then(|| all(about.baseline.env.iter().map(|entry| about.redact.entry(entry)))),
            "cwd": about.baseline.cwd.as_ref().map(bytes),
            "stdio": about.baseline.stdio.iter().map(stdio).collect::<Value>(),
        },
    })
}

/// As `uname -r` has it.
fn kernel() -> Option<String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    Some(release.trim_end().to_owned())
}

fn backend(backend: &Backend) -> Value {
    json!({ "name": backend.name, "tier": backend.tier, "degraded": backend.degraded })
}

fn summary_record(summary: &Summary) -> Value {
    use std::os::unix::process::ExitStatusExt;
    let status = summary.status;
    json!({
        "event": "summary",
        "execs": summary.execs,
        "lost": { "execs": summary.lost.execs, "others": summary.lost.others, "untracked": summary.lost.untracked },
        "code": status.and_then(|status| status.code()),
        "signal": status.and_then(|status| status.signal()),
    })
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;

//! The form for the Perfetto UI and chrome://tracing: [`Perfetto`].
//!
//! It is the JSON array format of the Trace Event Format, which both read, and in which a file that breaks off is still
//! readable. Each process is a track. A program is a slice on it, from its exec to the next exec or to the end of the
//! process; a fork that has not executed anything yet is one too. The record of the exec (schema 1) is the slice's
//! arguments. Failed execs are instants on the track; losses and warnings are instants of the whole trace.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::json::metadata;
use super::record::record;
use super::{About, Format, names};
use crate::event::{Event, Exec, What};
use crate::trace::Summary;

/// Writes trace events. It keeps the name of one open slice per living process.
#[derive(Debug, Default)]
pub(crate) struct Perfetto {
    open: BTreeMap<u32, String>,
    last: Duration,
}

/// What all trace events have.
fn entry(phase: &str, name: &str, boot: Duration, tgid: u32) -> Value {
    let ts_us = boot.as_nanos() as f64 / 1000.0;
    json!({ "ph": phase, "name": name, "cat": "exec", "ts": ts_us, "pid": tgid, "tid": tgid })
}

/// An instant on a track (`t`), or of the whole trace (`g`).
fn instant(scope: &str, name: &str, boot: Duration, tgid: u32, args: Value) -> Value {
    let mut entry = entry("i", name, boot, tgid);
    entry["s"] = scope.into();
    entry["args"] = args;
    entry
}

fn put(out: &mut dyn Write, before: &str, entry: &Value) -> io::Result<()> {
    out.write_all(before.as_bytes())?;
    Ok(serde_json::to_writer(out, entry)?)
}

impl Perfetto {
    /// Ends what runs on the track, and begins another slice there.
    fn begin_slice(
        &mut self,
        out: &mut dyn Write,
        name: String,
        boot: Duration,
        tgid: u32,
        args: Value,
    ) -> io::Result<()> {
        self.end_slice(out, boot, tgid, json!({}))?;
        let process = json!({ "ph": "M", "name": "process_name", "pid": tgid, "tid": tgid, "args": { "name": name } });
        put(out, ",\n", &process)?;
        let mut slice = entry("B", &name, boot, tgid);
        slice["args"] = args;
        put(out, ",\n", &slice)?;
        self.open.insert(tgid, name);
        Ok(())
    }

    fn end_slice(&mut self, out: &mut dyn Write, boot: Duration, tgid: u32, args: Value) -> io::Result<()> {
        let Some(name) = self.open.remove(&tgid) else { return Ok(()) };
        let mut slice = entry("E", &name, boot, tgid);
        slice["args"] = args;
        put(out, ",\n", &slice)
    }
}

impl Format for Perfetto {
    fn begin(&mut self, out: &mut dyn Write, about: &About) -> io::Result<()> {
        self.last = about.started.boot;
        put(out, "[\n", &instant("g", "trace", about.started.boot, 0, metadata(about)))
    }

    fn event(&mut self, out: &mut dyn Write, about: &About, event: &Event) -> io::Result<()> {
        let boot = event.time.boot;
        self.last = self.last.max(boot);
        match &event.what {
            What::Exec(exec) if exec.errno == 0 => {
                self.begin_slice(out, name(exec), boot, exec.tgid, record(event, about))
            }
            What::Exec(exec) => {
                let name = format!("{}: {}", names::errno(exec.errno), name(exec));
                put(out, ",\n", &instant("t", &name, boot, exec.tgid, record(event, about)))
            }
            What::Child(child) => {
                let name = match self.open.get(&child.parent_tgid) {
                    Some(parent) if parent.starts_with("fork of ") => parent.clone(),
                    Some(parent) => format!("fork of {parent}"),
                    None => String::from("fork"),
                };
                self.begin_slice(out, name, boot, child.tgid, record(event, about))
            }
            What::Exit(exit) => self.end_slice(out, boot, exit.tgid, record(event, about)),
            What::Lost(_) => put(out, ",\n", &instant("g", "lost events", boot, 0, record(event, about))),
            What::Warning(_) => put(out, ",\n", &instant("g", "warning", boot, 0, record(event, about))),
        }
    }

    fn end(&mut self, out: &mut dyn Write, _about: &About, _summary: Option<&Summary>) -> io::Result<()> {
        while let Some(tgid) = self.open.keys().next().copied() {
            self.end_slice(out, self.last, tgid, json!({ "still_running": true }))?;
        }
        out.write_all(b"\n]\n")
    }

    fn is_live(&self) -> bool {
        false
    }
}

/// The last part of the program's path.
fn name(exec: &Exec) -> String {
    let path = exec.filename.as_ref().map_or(&b"?"[..], |path| &path.bytes);
    String::from_utf8_lossy(path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()).into_owned()
}

#[cfg(test)]
#[path = "perfetto_tests.rs"]
mod tests;

//! `ukci cache`: looks after the store.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::args::CacheCommand;
use super::failure::Failure;
use crate::archive::{Entry, EntryKind, PruneRule, Store};
use crate::provision::in_background;

pub(super) async fn cache(command: CacheCommand) -> Result<u8, Failure> {
    let store = Store::from_env()?;
    in_background(move || match command {
        CacheCommand::List { json } => list(&store, json),
        CacheCommand::Prune { older_than } => prune(&store, older_than),
        CacheCommand::Verify => verify(&store),
    })
    .await
}

/// An entry, for scripts.
#[derive(Serialize)]
struct Row<'a> {
    kind: &'static str,
    id: &'a str,
    name: &'a str,
    bytes: u64,
    idle_seconds: u64,
}

impl<'a> Row<'a> {
    fn new(entry: &'a Entry) -> Self {
        let kind = match entry.kind {
            EntryKind::Blob => "download",
            EntryKind::Tree => "tree",
        };
        let idle = SystemTime::now().duration_since(entry.last_used).unwrap_or_default();
        Self { kind, id: &entry.id, name: &entry.name, bytes: entry.bytes, idle_seconds: idle.as_secs() }
    }
}

fn list(store: &Store, json: bool) -> Result<u8, Failure> {
    let mut entries = store.list()?;
    entries.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    let rows: Vec<Row<'_>> = entries.iter().map(Row::new).collect();
    if json {
        let json = serde_json::to_string_pretty(&rows).map_err(|error| Failure::Broken(error.to_string()))?;
        super::print(&format!("{json}\n"))?;
        return Ok(0);
    }
    let mut text = String::new();
    for row in &rows {
        let idle = idle(Duration::from_secs(row.idle_seconds));
        text += &format!("{:>9}  {:8}  {idle:>9}  {}\n", size(row.bytes), row.kind, row.name);
    }
    text += &format!("{:>9}  in {} entries at {}\n", size(total(&entries)), rows.len(), store.root().display());
    super::print(&text)?;
    Ok(0)
}

fn prune(store: &Store, older_than: Duration) -> Result<u8, Failure> {
    let pruned = store.prune(PruneRule { older_than: Some(older_than), ..PruneRule::default() })?;
    let mut text: String = pruned.removed.iter().map(|entry| format!("removed {}\n", entry.name)).collect();
    text += &format!("{} freed\n", size(total(&pruned.removed)));
    super::print(&text)?;
    Ok(0)
}

fn verify(store: &Store) -> Result<u8, Failure> {
    let bad = store.verify()?;
    if bad.is_empty() {
        super::print("every download is what its hash says\n")?;
        return Ok(0);
    }
    let names: Vec<&str> = bad.iter().map(|entry| entry.name.as_str()).collect();
    Err(Failure::Broken(format!(
        "{} damaged and removed: {}\n  hint: the next run fetches what it needs again",
        bad.len(),
        names.join(", ")
    )))
}

fn total(entries: &[Entry]) -> u64 {
    entries.iter().map(|entry| entry.bytes).sum()
}

fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

fn idle(time: Duration) -> String {
    match time.as_secs() {
        0..3600 => format!("{} min", time.as_secs() / 60),
        3600..86400 => format!("{} h", time.as_secs() / 3600),
        seconds => format!("{} days", seconds / 86400),
    }
}

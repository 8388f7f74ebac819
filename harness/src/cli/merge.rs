//! `ukci merge`: one run out of the shards of a plan.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::args::MergeArgs;
use super::complexity::Gate;
use super::failure::Failure;
use super::run::{table, write_reports};
use super::screen::Screen;
use crate::matrix::Shard;
use crate::project::Project;
use crate::report;
use crate::run::directory::RunDirectory;
use crate::run::outcome::RunOutcome;
use crate::run::{self, ShardRecord, adopt_logs};

pub(super) fn merge(args: &MergeArgs) -> Result<u8, Failure> {
    let merger = Merger::read(&args.shards)?;
    let now = Timestamp::now();
    let directory = match &args.out {
        Some(path) => RunDirectory::at(path, now)?,
        None => RunDirectory::create(&Project::load(None)?.runs(), now)?,
    };
    let outcome = merger.assemble(&directory)?;
    let written = write_reports(&outcome, directory.path(), &Screen::quiet());
    super::print(&table(&outcome, directory.path()))?;
    written?;
    // Shards can be merged where there is no project.
    Gate::nearest()?.judge(directory.path(), &outcome, outcome.exit_code())
}

/// Shards that fit together.
pub(super) struct Merger {
    shards: Vec<(PathBuf, Shard)>,
    outcome: RunOutcome,
}

impl Merger {
    /// Reads the records in the directories `shards`, and merges them. Nothing is written yet.
    pub(super) fn read(shards: &[PathBuf]) -> Result<Self, Failure> {
        let records = shards.iter().map(|shard| read(shard)).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<Option<Shard>> = records.iter().map(|record| record.outcome.shard).collect();
        let outcome = run::merge(records)?;
        let shards = shards.iter().cloned().zip(ids).filter_map(|(path, id)| Some((path, id?))).collect();
        Ok(Self { shards, outcome })
    }

    /// Puts the shards' logs into the empty `directory`, and gives the record that is to lie beside them. When that fails,
    /// the directory is gone.
    pub(super) fn assemble(self, directory: &RunDirectory) -> Result<RunOutcome, Failure> {
        for (shard, id) in &self.shards {
            if let Err(error) = self.adopt(shard, *id, directory.path()) {
                // It holds nothing but links and copies; what cannot be removed is harmless.
                drop(std::fs::remove_dir_all(directory.path()));
                return Err(error);
            }
        }
        Ok(RunOutcome { id: directory.id().to_owned(), ..self.outcome })
    }

    fn adopt(&self, shard: &Path, id: Shard, into: &Path) -> Result<(), Failure> {
        if let (Ok(shard), Ok(into)) = (shard.canonicalize(), into.canonicalize())
            && into.starts_with(&shard)
        {
            return Err(Failure::Usage(format!("`{}` is inside of the shard `{}`", into.display(), shard.display())));
        }
        Ok(adopt_logs(shard, id, into)?)
    }
}

fn read(shard: &Path) -> Result<ShardRecord, Failure> {
    let path = shard.join("run.json");
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::Usage(format!(
            "cannot read `{}`: {error}\n  hint: each DIR is the directory of a shard's run, as `ukci run --out DIR` leaves it",
            path.display()
        ))
    })?;
    let outcome = report::read(&text).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    Ok(ShardRecord { name: shard.display().to_string(), outcome })
}

//! Makes one run out of the shards of a plan: [`merge`].

use std::collections::BTreeMap;

use thiserror::Error;

use super::outcome::{CellOutcome, PlanId, RunOutcome};
use super::plan_id;
use crate::matrix::Shard;

mod logs;

pub use self::logs::{AdoptError, adopt_logs};

/// A shard's record, and what a person calls it.
#[derive(Clone, Debug)]
pub struct ShardRecord {
    /// Its directory, as it was given.
    pub name: String,
    /// Its record.
    pub outcome: RunOutcome,
}

/// Why shards make no run.
#[derive(Debug, Error)]
pub enum MergeError {
    /// Nothing was given.
    #[error("there is nothing to merge")]
    Nothing,
    /// A whole run, or one of an ukci that knew no shards.
    #[error("`{name}` is no shard of a run\n  hint: `ukci run --shard i/n` makes one")]
    NoShard {
        /// The directory.
        name: String,
    },
    /// A shard that is going on, was killed, or was interrupted.
    #[error("`{name}`, shard {shard}, did not come to its end\n  hint: `ukci run --resume {name}` carries it on")]
    Unfinished {
        /// The directory.
        name: String,
        /// Which shard.
        shard: Shard,
    },
    /// Two shards of different plans.
    #[error(
        "`{first}` and `{second}` are of different plans: {difference}\n  hint: every shard needs the same matrix, \
        filters and number of shards"
    )]
    DifferentPlans {
        /// A directory.
        first: String,
        /// Another directory.
        second: String,
        /// What differs.
        difference: String,
    },
    /// The same shard twice.
    #[error("`{first}` and `{second}` are both shard {shard}")]
    SameShard {
        /// A directory.
        first: String,
        /// Another directory.
        second: String,
        /// Which shard.
        shard: Shard,
    },
    /// The same cell twice.
    #[error("`{first}` and `{second}` both have the cell `{cell}`\n  hint: {UNEVEN}")]
    SameCell {
        /// A directory.
        first: String,
        /// Another directory.
        second: String,
        /// The cell.
        cell: String,
    },
    /// Shards that were not given.
    #[error(
        "shard {missing} is missing: {found} of the plan's {expected} cells are there\n  hint: name its directory too"
    )]
    MissingShards {
        /// Which, for people.
        missing: String,
        /// Cells that are there.
        found: usize,
        /// Cells of the plan.
        expected: usize,
    },
    /// All shards are there, and yet they are not the plan.
    #[error("all shards are there, but their {found} cells are not the {expected} of the plan\n  hint: {UNEVEN}")]
    OtherCells {
        /// Cells that are there.
        found: usize,
        /// Cells of the plan.
        expected: usize,
    },
}

/// How shards of one plan can come to overlap or to leave holes.
const UNEVEN: &str =
    "shards are cut by the times that are expected of the jobs; these must be the same for all of them";

/// Makes one run out of all shards of a plan, in whatever order they come. It has the name of the first one, and its cells
/// stand in the plan's order.
///
/// # Errors
/// When the shards are not exactly the plan: one is missing, unfinished, there twice, or of another plan.
pub fn merge(mut shards: Vec<ShardRecord>) -> Result<RunOutcome, MergeError> {
    let plan = check(&mut shards)?;
    let mut places: BTreeMap<usize, usize> = BTreeMap::new();
    for (place, shard) in shards.iter().enumerate() {
        for cell in &shard.outcome.cells {
            if let Some(other) = places.insert(cell.position, place) {
                let (first, second) = (shards[other].name.clone(), shard.name.clone());
                return Err(MergeError::SameCell { first, second, cell: cell.id.clone() });
            }
        }
    }
    if places.len() < plan.cells {
        return Err(missing(&shards, places.len(), plan.cells));
    }
    let mut merged = shards.remove(0).outcome;
    for ShardRecord { outcome, .. } in shards {
        merged.started = merged.started.min(outcome.started);
        merged.finished = merged.finished.max(outcome.finished);
        merged.resumed.extend(outcome.resumed);
        merged.cells.extend(outcome.cells);
        merged.jobs.extend(outcome.jobs);
        if merged.hosts.is_empty() && outcome.host != merged.host {
            merged.hosts.push(merged.host.clone());
        }
        if !merged.hosts.is_empty() && !merged.hosts.contains(&outcome.host) {
            merged.hosts.push(outcome.host);
        }
    }
    merged.cells.sort_by_key(|cell| cell.position);
    if plan_id(merged.cells.iter().map(|cell| cell.id.as_str())) != plan {
        return Err(MergeError::OtherCells { found: merged.cells.len(), expected: plan.cells });
    }
    merged.resumed.sort();
    merged.shard = None;
    Ok(merged)
}

/// Sorts the shards, and checks all that can be told without their cells. Gives their plan.
fn check(shards: &mut [ShardRecord]) -> Result<PlanId, MergeError> {
    let identity = |shard: &ShardRecord| match (&shard.outcome.plan, shard.outcome.shard) {
        (Some(plan), Some(of)) => Ok((plan.clone(), of)),
        _ => Err(MergeError::NoShard { name: shard.name.clone() }),
    };
    for record in &*shards {
        let (_, shard) = identity(record)?;
        let unfinished = record.outcome.finished.is_none();
        if unfinished || record.outcome.cells.iter().any(CellOutcome::is_interrupted) {
            return Err(MergeError::Unfinished { name: record.name.clone(), shard });
        }
    }
    shards.sort_by_key(|shard| shard.outcome.shard);
    let Some((first, others)) = shards.split_first() else { return Err(MergeError::Nothing) };
    let (plan, cut) = identity(first)?;
    for other in others {
        let (other_plan, other_cut) = identity(other)?;
        let difference = if other_cut.of != cut.of {
            Some(format!("one is shard {cut}, the other {other_cut}"))
        } else if other_plan != plan {
            Some("they have other cells".into())
        } else if other.outcome.test_globs != first.outcome.test_globs {
            Some("they ran other tests (`--test`)".into())
        } else if other.outcome.coverage != first.outcome.coverage {
            Some("only one ran with coverage (`--coverage`)".into())
        } else {
            None
        };
        if let Some(difference) = difference {
            let (first, second) = (first.name.clone(), other.name.clone());
            return Err(MergeError::DifferentPlans { first, second, difference });
        }
    }
    for pair in shards.windows(2) {
        if let [first, second] = pair
            && let Some(shard) = first.outcome.shard.filter(|_| first.outcome.shard == second.outcome.shard)
        {
            let (first, second) = (first.name.clone(), second.name.clone());
            return Err(MergeError::SameShard { first, second, shard });
        }
    }
    Ok(plan)
}

/// Names the shards that are not there.
fn missing(shards: &[ShardRecord], found: usize, expected: usize) -> MergeError {
    let there: Vec<Shard> = shards.iter().filter_map(|shard| shard.outcome.shard).collect();
    let of = there.first().map_or(0, |shard| shard.of);
    let all = (1..=of).map(|index| Shard { index, of });
    let missing: Vec<String> = all.filter(|shard| !there.contains(shard)).map(|shard| shard.to_string()).collect();
    if missing.is_empty() {
        return MergeError::OtherCells { found, expected };
    }
    MergeError::MissingShards { missing: missing.join(", "), found, expected }
}

#[cfg(test)]
mod tests;

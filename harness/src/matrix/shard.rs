//! A part of a plan for one of many machines: [`Shard`]. A job is never split, and every cell is in exactly one shard.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ExpectedTimes, Plan, PlanError};

/// Which part of a plan is meant, written `index/of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shard {
    /// Its number, from 1.
    pub index: usize,
    /// The number of shards.
    pub of: usize,
}

impl Shard {
    /// As many shards as there can be: GitHub Actions makes no more jobs of one `strategy.matrix`.
    pub const MOST: u16 = 256;
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        let (index, of) = numbers.ok_or("expected `i/n`, like `1/3` for the first of three")?;
        let most = Self::MOST;
        if !(1..=usize::from(most)).contains(&of) {
            return Err(format!("expected 1 to {most} shards, found {of}"));
        }
        if !(1..=of).contains(&index) {
            return Err(format!("expected a shard from 1 to {of}, found {index}"));
        }
        Ok(Self { index, of })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl Plan {
    /// Keeps what `shard` has of the plan; every machine must expect the same `times`, or they run some jobs twice and
    /// some never.
    ///
    /// # Errors
    /// When the plan has too few jobs for so many shards, and this one would be empty.
    pub fn keep(&self, shard: Shard, times: &ExpectedTimes) -> Result<Self, PlanError> {
        let mut shards = self.split(shard.of, times);
        if shard.index > shards.len() {
            return Err(PlanError::EmptyShard { given: shard, jobs: self.jobs().len(), most: shards.len() });
        }
        Ok(shards.swap_remove(shard.index - 1))
    }

    /// The plan in `of` parts that are expected to take the same time: the longest job goes first, to the shard that has
    /// least to do. There are fewer parts when there are fewer jobs, but at least one.
    ///
    /// The cells of a kernel stay together; those of kernels that do not run at all are in the first shard.
    #[must_use]
    pub fn split(&self, of: usize, times: &ExpectedTimes) -> Vec<Self> {
        let count = of.min(self.jobs().len()).max(1);
        let seconds: Vec<f64> = self.jobs().iter().map(|job| times.of_job(job)).collect();
        let places = balance(&seconds, count);
        let mut shards: Vec<Self> = (1..=count).map(|index| self.empty_shard(Shard { index, of })).collect();
        let mut place_of = HashMap::new();
        for (job, &place) in self.jobs().iter().zip(&places) {
            place_of.insert((job.arch, job.kernel.name.as_str()), place);
            shards[place].add_job(job.clone());
        }
        for cell in self.cells() {
            let place = place_of.get(&(cell.arch, cell.kernel.as_str())).copied().unwrap_or_default();
            shards[place].add_cell(cell.clone());
        }
        shards
    }
}

/// For each of the jobs that take `seconds`, the place of its shard among `count`.
fn balance(seconds: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..seconds.len()).collect();
    // Stable: jobs of the same length stay in the plan's order, on every machine.
    order.sort_by(|&a, &b| seconds[b].total_cmp(&seconds[a]));
    let mut places = vec![0; seconds.len()];
    // Seconds to do, and jobs, so that jobs that take no time are spread too.
    let mut loads = vec![(0.0_f64, 0_usize); count];
    for job in order {
        let least = loads.iter().enumerate().min_by(|(_, a), (_, b)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let place = least.map_or(0, |(place, _)| place);
        places[job] = place;
        loads[place].0 += seconds[job];
        loads[place].1 += 1;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_a_number_of_a_number() {
        assert_eq!("2/3".parse(), Ok(Shard { index: 2, of: 3 }));
        assert_eq!(Shard { index: 2, of: 3 }.to_string(), "2/3");
        let error = |text: &str| text.parse::<Shard>().unwrap_err();
        for text in ["x", "", "1", "1/", "/3", "-1/3", "1/3/3", "1.5/3"] {
            assert_eq!(error(text), "expected `i/n`, like `1/3` for the first of three", "{text}");
        }
        assert_eq!(error("0/3"), "expected a shard from 1 to 3, found 0");
        assert_eq!(error("4/3"), "expected a shard from 1 to 3, found 4");
        assert_eq!(error("0/0"), "expected 1 to 256 shards, found 0");
        assert_eq!(error("1/257"), "expected 1 to 256 shards, found 257");
    }

    /// Check that the longest go first, to whoever has least to do, and that ties are broken alike everywhere.
    #[test]
    fn shards_take_the_same_time() {
        assert_eq!(balance(&[3.0, 3.0, 2.0, 2.0, 2.0], 2), [0, 1, 0, 1, 0]);
        assert_eq!(balance(&[1.0, 1.0, 4.0, 2.0], 2), [1, 1, 0, 1]);
        assert_eq!(balance(&[0.0, 0.0, 0.0], 3), [0, 1, 2]);
        assert_eq!(balance(&[], 3), [0; 0]);
    }
}

//! Tests of the parents of events: single cases, and a world of processes at random.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::*;
use crate::event::{Call, Lost};
use crate::sample::{child, exec, exit, what};

const TIME: Time = Time { boot: Duration::ZERO, wall: SystemTime::UNIX_EPOCH };

fn same(id: u64) -> Option<Parent> {
    Some(Parent { id, relation: Relation::Same })
}

fn descendant(id: u64) -> Option<Parent> {
    Some(Parent { id, relation: Relation::Child })
}

/// Places all of them, shown, and returns their parents.
fn parents(events: impl IntoIterator<Item = What>) -> Vec<Option<Parent>> {
    let mut lineage = Lineage::default();
    events.into_iter().map(|what| lineage.place(what, TIME, true).expect("it is shown").parent).collect()
}

fn failed(tgid: u32) -> What {
    let mut exec = exec(tgid);
    exec.errno = 2;
    what(exec)
}

fn ok(tgid: u32) -> What {
    what(exec(tgid))
}

/// Check that numbers ascend from 1, and that what is not shown takes none.
#[test]
fn only_what_is_shown_is_numbered() {
    let mut lineage = Lineage::default();
    let mut place = |shown| lineage.place(ok(7), TIME, shown).map(|event| event.id);
    assert_eq!([place(true), place(false), place(true)], [Some(1), None, Some(2)]);
}

/// Check the chain of a shell: fork, exec in the child, another exec, exit.
#[test]
fn a_childs_first_exec_hangs_on_its_parents_program_and_the_next_on_its_own() {
    let events = [ok(1), child(1, 2), ok(2), ok(2), exit(2, 0), exit(1, 0)];
    assert_eq!(parents(events), [None, same(1), descendant(1), same(3), same(4), same(1)]);
}

/// Check that a grandchild through a fork without exec still has the program that it runs as its parent.
#[test]
fn a_fork_of_a_fork_belongs_to_the_program_that_both_run() {
    let events = [ok(1), child(1, 2), child(2, 3), ok(3), exit(2, 0)];
    assert_eq!(parents(events), [None, same(1), descendant(1), descendant(1), descendant(1)]);
}

/// Check that a failed exec has a parent and is nobody's.
#[test]
fn a_failed_exec_replaces_nothing() {
    assert_eq!(parents([ok(1), failed(1), ok(1)]), [None, same(1), same(1)]);
}

/// Check that a successful question whether an exec would be allowed (AT_EXECVE_CHECK) has a parent and is nobody's.
#[test]
fn a_check_replaces_nothing() {
    let mut check = exec(1);
    check.call = Call::Execveat { dirfd: -100, flags: 0x10000 };
    assert_eq!(parents([ok(1), what(check), ok(1)]), [None, same(1), same(1)]);
}

/// Check that a parent's own exec after the fork does not change what its child came from.
#[test]
fn the_program_at_the_fork_counts() {
    assert_eq!(parents([ok(1), child(1, 2), ok(1), ok(2)]), [None, same(1), same(1), descendant(1)]);
}

/// Check that a process id that comes again has no past, whether or not the end of the first was seen.
#[test]
fn a_reused_id_is_another_process() {
    assert_eq!(parents([ok(5), exit(5, 0), ok(5)]), [None, same(1), None]);
    assert_eq!(parents([ok(5), child(9, 5), ok(5)]), [None, None, None], "the exit was not seen");
    assert_eq!(parents([ok(5), ok(1), child(1, 5), ok(5)]), [None, None, same(2), descendant(2)]);
}

/// Check that an exec which is filtered out is nobody's parent, and hides what it replaced.
#[test]
fn what_is_not_shown_is_nobodys_parent() {
    let mut lineage = Lineage::default();
    lineage.place(ok(1), TIME, true);
    lineage.place(ok(1), TIME, false);
    assert_eq!(lineage.place(ok(1), TIME, true).expect("it is shown").parent, None);
}

/// Check that nothing is claimed across a loss, and that processes which were not followed do not matter.
#[test]
fn after_a_loss_nothing_is_known() {
    let lost = |execs, others, untracked| What::Lost(Lost { execs, others, untracked });
    assert_eq!(parents([ok(1), lost(1, 0, 0), ok(1)]), [None, None, None]);
    assert_eq!(parents([ok(1), lost(0, 1, 0), ok(1)]), [None, None, None]);
    assert_eq!(parents([ok(1), lost(0, 0, 1), ok(1)]), [None, None, same(1)]);
}

/// Numbers at random, the same in every run (an xorshift generator).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// Check a world of processes at random, with few ids that soon come again, against what each of them truly runs; and
/// that no more is kept than processes live.
#[test]
fn every_parent_is_the_true_one_and_the_dead_are_forgotten() {
    for seed in 1..=50 {
        let mut random = Random(seed);
        let mut lineage = Lineage::default();
        // What each living process truly runs: the event of its exec, and whether that was its own.
        let mut world: BTreeMap<u32, Option<Parent>> = BTreeMap::from([(1, None)]);
        for step in 0..2_000 {
            let ids: Vec<u32> = world.keys().copied().collect();
            let tgid = ids[random.below(ids.len())];
            let truth = world[&tgid];
            let shown = random.below(8) > 0;
            let free = (1..=20).find(|id| !world.contains_key(id));
            let (event, shown) = match (random.below(4), free) {
                (0, Some(free)) => {
                    world.insert(free, truth.and_then(|parent| descendant(parent.id)));
                    (child(tgid, free), true)
                }
                (1, _) if world.len() > 1 => {
                    world.remove(&tgid);
                    (exit(tgid, 0), true)
                }
                (2, _) => (failed(tgid), shown),
                _ => (ok(tgid), shown),
            };
            let succeeded = matches!(&event, What::Exec(exec) if exec.errno == 0);
            let placed = lineage.place(event, TIME, shown);
            if succeeded {
                world.insert(tgid, placed.as_ref().and_then(|event| same(event.id)));
            }
            if let Some(placed) = placed {
                assert_eq!(placed.parent, truth, "seed {seed}, step {step}: {:?}", placed.what);
            }
            assert!(lineage.programs.len() <= world.len(), "seed {seed}, step {step}");
        }
    }
}

/// Check that many short-lived processes leave nothing behind.
#[test]
fn memory_does_not_grow_with_the_number_of_processes() {
    let mut lineage = Lineage::default();
    lineage.place(ok(1), TIME, true);
    for tgid in 2..200_000 {
        for event in [child(1, tgid), ok(tgid), exit(tgid, 0)] {
            lineage.place(event, TIME, true);
        }
    }
    assert_eq!(lineage.programs.len(), 1);
}

//! Which exec's program did what: [`Lineage`].

use std::collections::HashMap;

use crate::event::{Event, Parent, Relation, Time, What};

/// Gives events their numbers and parents. It keeps one entry per living process that runs a program of the trace.
///
/// A parent is known or there is none: after a loss, everything known so far is forgotten, since a process id may since
/// have become another process, or the process another program.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    last_id: u64,
    programs: HashMap<u32, Parent>,
}

impl Lineage {
    /// Numbers the event and finds its parent; `None` if it is not `shown`. What is not shown is nobody's parent.
    pub(crate) fn place(&mut self, what: What, time: Time, shown: bool) -> Option<Event> {
        let id = self.last_id + 1;
        let parent = self.follow(&what, shown.then_some(id));
        shown.then(|| {
            self.last_id = id;
            Event { id, parent, time, what }
        })
    }

    /// The parent of what happened, which then changes what the processes run; `id` is that of a shown event.
    fn follow(&mut self, what: &What, id: Option<u64>) -> Option<Parent> {
        match what {
            What::Exec(exec) if exec.errno == 0 && !exec.call.is_check() => {
                let program = id.map(|id| Parent { id, relation: Relation::Same });
                match program {
                    Some(program) => self.programs.insert(exec.tgid, program),
                    None => self.programs.remove(&exec.tgid),
                }
            }
            What::Exec(exec) => self.programs.get(&exec.tgid).copied(),
            What::Child(child) => {
                let parent = self.programs.get(&child.parent_tgid).copied();
                // A process that had this id before has ended, seen or not.
                match parent {
                    Some(Parent { id, .. }) => {
                        self.programs.insert(child.tgid, Parent { id, relation: Relation::Child })
                    }
                    None => self.programs.remove(&child.tgid),
                };
                parent
            }
            What::Exit(exit) => self.programs.remove(&exit.tgid),
            What::Lost(lost) => {
                if lost.execs > 0 || lost.others > 0 {
                    self.programs.clear();
                }
                None
            }
            What::Warning(_) => None,
        }
    }
}

#[cfg(test)]
#[path = "lineage_tests.rs"]
mod tests;

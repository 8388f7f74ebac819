//! What is shown of a trace: [`Show`].

use crate::options::{Collect, Filter};

/// A part of a trace that can be shown or hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Argv,
    Cmdline,
    Env,
    EnvDiff,
    Fds,
    FdDiff,
    Cwd,
    Interpreter,
    Creds,
    Cgroup,
    Children,
    Exits,
}

impl Item {
    /// All of them, in the order of the help: the options that show and hide it, and the help's words.
    pub(crate) const ALL: [(Self, [&'static str; 2], &'static str); 12] = [
        (Self::Argv, ["show-argv", "hide-argv"], "The program and its arguments"),
        (
            Self::Cmdline,
            ["show-cmdline", "hide-cmdline"],
            "A command line with environment and directory, to be pasted into a shell",
        ),
        (Self::Env, ["show-env", "hide-env"], "The whole environment"),
        (Self::EnvDiff, ["show-env-diff", "hide-env-diff"], "What the environment differs in from tracer's own"),
        (Self::Fds, ["show-fds", "hide-fds"], "The open files"),
        (Self::FdDiff, ["show-fd-diff", "hide-fd-diff"], "The standard streams that are not tracer's"),
        (Self::Cwd, ["show-cwd", "hide-cwd"], "The working directory"),
        (Self::Interpreter, ["show-interpreter", "hide-interpreter"], "The interpreter of a script, with its argument"),
        (Self::Creds, ["show-creds", "hide-creds"], "Users and groups: real, effective, saved, fs"),
        (Self::Cgroup, ["show-cgroup", "hide-cgroup"], "The cgroup (version 2)"),
        (Self::Children, ["show-children", "hide-children"], "New processes"),
        (Self::Exits, ["show-exits", "hide-exits"], "Ends of processes"),
    ];
}

/// What is shown of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Show([bool; Item::ALL.len()]);

impl Show {
    /// Only these.
    pub(crate) fn only(items: &[Item]) -> Self {
        Self(Item::ALL.map(|(item, ..)| items.contains(&item)))
    }

    /// Everything, but for the command line, which is a text made of other items.
    pub(crate) fn records() -> Self {
        Self(Item::ALL.map(|(item, ..)| item != Item::Cmdline))
    }

    /// The item is shown.
    pub(crate) fn has(&self, item: Item) -> bool {
        self.0[item as usize]
    }

    /// The same, but for one item.
    pub(crate) fn with(mut self, item: Item, shown: bool) -> Self {
        self.0[item as usize] = shown;
        self
    }

    /// What has to be collected for what is shown, and for the filter.
    pub(crate) fn collect(&self, filter: &Filter) -> Collect {
        let any = |items: &[Item]| items.iter().any(|item| self.has(*item));
        Collect {
            namespace_pids: true,
            argv: any(&[Item::Argv, Item::Cmdline]),
            env: any(&[Item::Env, Item::EnvDiff, Item::Cmdline]),
            interpreter: any(&[Item::Interpreter]),
            cwd: any(&[Item::Cwd, Item::Cmdline]) || filter.paths.is_some(),
            fds: any(&[Item::Fds, Item::FdDiff]),
            credentials: any(&[Item::Creds]) || !filter.uids.is_empty(),
            cgroup: any(&[Item::Cgroup]) || !filter.cgroups.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that each item is at its own place in the table, which is how it is found.
    #[test]
    fn the_table_is_in_the_order_of_the_items() {
        for (index, (item, ..)) in Item::ALL.iter().enumerate() {
            assert_eq!(*item as usize, index);
        }
    }

    /// Check that no more is collected than is shown or filtered by.
    #[test]
    fn only_what_is_needed_is_collected() {
        let collect = Show::only(&[Item::EnvDiff]).collect(&Filter { uids: vec![0], ..Filter::default() });
        assert!(collect.env && collect.credentials);
        assert!(!(collect.argv || collect.interpreter || collect.cwd || collect.fds || collect.cgroup));
        assert_eq!(Show::records().collect(&Filter::default()), Collect::default());
    }
}

//! `--show-ITEM` and `--hide-ITEM`: [`ItemArgs`].

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use crate::show::{Item, Show};

/// What was asked to be shown or hidden; the last one counts.
#[derive(Clone, Debug, Default)]
pub(super) struct ItemArgs(Vec<(Item, bool)>);

impl ItemArgs {
    /// What is shown, if `show` is without any of the arguments.
    pub(super) fn apply(&self, show: Show) -> Show {
        self.0.iter().fold(show, |show, (item, shown)| show.with(*item, *shown))
    }
}

impl Args for ItemArgs {
    fn augment_args(command: Command) -> Command {
        Item::ALL.iter().fold(command, |command, (_, [show, hide], help)| {
            let flag = |name| Arg::new(name).long(name).action(ArgAction::SetTrue);
            let shown = flag(*show).help(*help).help_heading("What is shown of them").overrides_with(*hide);
            command.arg(shown).arg(flag(*hide).hide(true).help(format!("Not: {help}")).overrides_with(*show))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ItemArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let item = |(item, [show, hide], _): &(Item, [&str; 2], &str)| {
            let shown = matches.get_flag(show);
            (shown || matches.get_flag(hide)).then_some((*item, shown))
        };
        Ok(Self(Item::ALL.iter().filter_map(item).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

//! Tests of what can be typed, of the help, and of exit statuses.

use clap::error::ErrorKind as Usage;
use nix::errno::Errno;
use rstest::rstest;

use super::args::Action;
use super::*;
use crate::options::{Outcome, Target, Wait};
use crate::show::Item;

fn job(args: &[&str]) -> run::Job {
    let words = std::iter::once("tracer").chain(args.iter().copied());
    match Cli::try_parse_from(words).expect("valid usage").action {
        Action::Log(log) => log.job(),
        Action::Collect(collect) => collect.job(),
        other => panic!("{other:?} traces nothing"),
    }
    .expect("a job")
}

fn refused(args: &[&str]) -> Usage {
    let words = std::iter::once("tracer").chain(args.iter().copied());
    Cli::try_parse_from(words).expect_err("it is refused").kind()
}

/// Check the definition as clap checks it, which it does only when it is used.
#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

/// Check that all help fits into a terminal of 100 columns, and that none of the lines that we broke is broken again.
#[test]
fn help_fits_into_100_columns() {
    let mut cli = Cli::command();
    cli.build();
    let names: Vec<_> = cli.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        let command = cli.find_subcommand_mut(&name).expect("it was just listed");
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let help = command.clone().term_width(100).render_long_help().to_string();
        assert!(help.contains(&after), "{name}: {after}");
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{name}: {line}");
        }
    }
}

/// Check the defaults of both, and where a text goes.
#[test]
fn a_trace_goes_where_it_disturbs_least() {
    assert_eq!(job(&["log"]).output, out::Destination::Stdout);
    assert_eq!(job(&["log", "--", "make"]).output, out::Destination::Stderr);
    assert_eq!(job(&["log", "-o", "-", "--", "make"]).output, out::Destination::Stdout);
    assert_eq!(job(&["log", "-o", "f", "--", "make"]).output, out::Destination::File("f".into()));
    assert_eq!(refused(&["collect", "--", "make"]), Usage::MissingRequiredArgument);
}

/// Check that what is shown is what is collected, and that the last of two contrary words counts.
#[test]
fn items_are_shown_and_hidden() {
    let log = job(&["log", "--", "true"]);
    assert!(log.show.has(Item::Argv) && !log.show.has(Item::Env) && !log.options.collect.env);
    let log = job(&["log", "--show-env-diff", "--hide-argv", "--hide-cwd", "--show-cwd", "--", "true"]);
    assert!(log.show.has(Item::EnvDiff) && log.show.has(Item::Cwd) && !log.show.has(Item::Argv));
    assert!(log.options.collect.env && log.options.collect.cwd && !log.options.collect.argv);
    let collect = job(&["collect", "-o-", "--show-exits", "--hide-exits", "--hide-fds", "--", "true"]);
    assert!(!collect.show.has(Item::Exits) && collect.show.has(Item::FdDiff) && collect.options.collect.fds);
}

/// Check that each filter arrives.
#[test]
fn filters_arrive() {
    let args = "log --pid 1,2 --uid root,7 --comm sh --cgroup /a --path /bin/* --path *.sh -Z --wait root".split(' ');
    let job = job(&args.collect::<Vec<_>>());
    let filter = job.options.filter;
    assert_eq!((filter.pids, filter.uids), (vec![1, 2], vec![0, 7]));
    assert_eq!((filter.comms, filter.cgroups), (vec![b"sh".to_vec()], vec![b"/a".to_vec()]));
    assert!(filter.paths.is_some_and(|globs| globs.is_match("/bin/x") && globs.is_match("a.sh")));
    assert_eq!((filter.outcome, job.options.wait), (Outcome::Failure, Wait::Root));
}

/// Check the three kinds of target.
#[test]
fn targets_are_told_apart() {
    assert!(matches!(job(&["log"]).target, Target::System));
    assert!(matches!(job(&["log", "-p", "1,2", "-p3"]).target, Target::Processes(pids) if pids == [1, 2, 3]));
    let Target::Command(launch) = job(&["log", "-C", "/", "-u", "me", "--", "ls", "-l"]).target else {
        panic!("not a command");
    };
    assert_eq!((launch.program, launch.args, launch.user), ("ls".into(), vec!["-l".into()], Some("me".into())));
}

/// Check what is refused, before anything is started.
#[rstest]
#[case::attach_and_command(&["log", "-p", "1", "--", "true"], Usage::ArgumentConflict)]
#[case::pid_0(&["log", "-p", "0"], Usage::ValueValidation)]
#[case::user_without_command(&["log", "-u", "root"], Usage::MissingRequiredArgument)]
#[case::both_outcomes(&["log", "-z", "-Z"], Usage::ArgumentConflict)]
#[case::glob(&["log", "--path", "["], Usage::ValueValidation)]
#[case::user(&["log", "--uid", "no such user"], Usage::ValueValidation)]
#[case::time(&["log", "--timestamp=noon"], Usage::ValueValidation)]
#[case::form(&["collect", "-o-", "-f", "xml"], Usage::InvalidValue)]
fn wrong_usage_is_refused(#[case] args: &[&str], #[case] expected: Usage) {
    assert_eq!(refused(args), expected);
}

/// Check that a command that does not exist is told from one that cannot be executed, and from other errors.
#[rstest]
#[case::not_found(ErrorKind::Spawn, Some(Errno::ENOENT), 127)]
#[case::not_executable(ErrorKind::Spawn, Some(Errno::EACCES), 126)]
#[case::not_a_program(ErrorKind::Spawn, Some(Errno::ENOEXEC), 126)]
#[case::unknown(ErrorKind::Spawn, None, 127)]
#[case::privilege(ErrorKind::Privilege, Some(Errno::EPERM), 1)]
fn errors_have_the_status_that_a_shell_gives_them(
    #[case] kind: ErrorKind,
    #[case] errno: Option<Errno>,
    #[case] expected: u8,
) {
    let errors = match errno {
        Some(errno) => vec![
            Error::new(kind, "cannot start").with_source(errno),
            Error::new(kind, "cannot start").with_source(io::Error::from(errno)),
        ],
        None => vec![Error::new(kind, "cannot start")],
    };
    for err in errors {
        assert_eq!(error_status(&err), expected, "{err:?}");
    }
}

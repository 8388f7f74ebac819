//! What the kernel side itself leaves out.

use std::fs;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serial_test::serial;

use super::actor::{Actor, MISSING};
use super::{Tier, all_of, command, execs, start_with};
use crate::event::{End, What};
use crate::options::{Filter, Options, Outcome, Target, Wait};

/// The user who is wanted.
const USER: u32 = 1_001;

/// Check that of processes that differ from what is wanted in one thing each, no exec comes from the kernel, but their
/// ends; that of one that is wanted in all, by its process id or its thread's, the exec that fails is left out too.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn the_kernel_leaves_out_what_is_not_wanted() {
    let part = |name: &str, user: u32| Actor::start(&format!("name {name} user {user} fail 2 become /bin/true"));
    let [wanted, by_thread] = [(); 2].map(|()| part("wanted", USER));
    let [other_name, other_user, other_pid] =
        [("other", USER), ("wanted", USER + 1), ("wanted", USER)].map(|(name, user)| part(name, user));
    let filter = Filter {
        pids: vec![wanted.pid, by_thread.thread, other_name.pid, other_user.pid],
        uids: vec![USER, USER + 2],
        comms: vec![b"unheard of".to_vec(), b"wanted".to_vec()],
        outcome: Outcome::Success,
        ..Filter::default()
    };
    let expected = [wanted.pid, by_thread.pid];
    let cast = [wanted, by_thread, other_name, other_user, other_pid];
    let pids = cast.each_ref().map(|actor| actor.pid);

    let target = Target::Processes(pids.to_vec());
    let running = start_with(&target, &Options { filter, ..Options::default() }, Tier::FentrySleepable);
    let running = running.expect("starts");
    cast.into_iter().for_each(Actor::act);
    let (all, _) = all_of(running);
    let seen: Vec<_> = execs(&all).iter().map(|exec| (exec.tgid, exec.errno)).collect();
    assert_eq!(seen, expected.map(|pid| (pid, 0)));
    let ended: Vec<_> =
        all.iter().filter_map(|what| if let What::Exit(exit) = what { Some(exit.tgid) } else { None }).collect();
    assert_eq!(ended, pids);
}

/// Check that of a command only the execs that fail come from the kernel, where these alone are wanted; and that the trace
/// ends with the command, where nobody else is waited for, and leaves alone what survives it.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn failures_alone_come_of_a_command_that_its_daemon_survives() {
    let dir = tempfile::tempdir().expect("a directory");
    let [go, done] = ["go", "done"].map(|name| dir.path().join(name));
    for fifo in [&go, &done] {
        mkfifo(fifo, Mode::S_IRWXU).expect("made");
    }
    let daemon = format!("{{ read line < {}; {MISSING} late; echo here > {}; }} &", go.display(), done.display());
    let script = format!("/bin/true; {MISSING} early; {daemon} exit 3");
    let options = Options {
        filter: Filter { outcome: Outcome::Failure, ..Filter::default() },
        wait: Wait::Root,
        ..Options::default()
    };
    let target = command(&["/bin/sh", "-c", &script]);
    let (all, ended) = all_of(start_with(&target, &options, Tier::FentrySleepable).expect("starts"));
    // It waits for us, which it could not if it had gone with the trace.
    fs::write(go, "\n").expect("the daemon reads");
    assert_eq!(fs::read_to_string(done).expect("the daemon writes"), "here\n");
    let execs = execs(&all);
    let [failed] = execs[..] else { panic!("{execs:#?}") };
    assert_eq!(super::strings(&failed.argv), [MISSING, "early"]);
    assert_ne!(failed.errno, 0);
    assert_eq!(ended.status.and_then(|status| status.code()), Some(3));
    assert!(all.iter().any(|what| matches!(what, What::Exit(exit) if exit.end == End::Code(3))), "{all:?}");
}

//! Tests of the text form.

use super::*;
use crate::event::{Absent, Call, Cut, Exit, Lost};
use crate::sample::{about, bare_exec, child, event, exec, exit, fd, list, what};
use crate::show::Show;

fn plain(what: What, items: &[Item]) -> String {
    let text = Text { timestamp: None, palette: Palette::default() };
    text.line(&about(Show::only(items)), &event(1, what))
}

/// Check the line of an exec with what is shown by default, and that a failure is told.
#[test]
fn a_line_has_process_name_and_command() {
    let items = [Item::Argv, Item::Interpreter];
    assert_eq!(plain(what(exec(4711)), &items), "   4711 sh              /usr/bin/true 'a b'");
    let mut failed = exec(4711);
    failed.errno = 2;
    failed.interpreter = Err(Absent::NotApplicable);
    assert_eq!(plain(what(failed), &items), "   4711 sh              /usr/bin/true 'a b' # ENOENT");
    let mut script = exec(4711);
    script.interpreter = Ok(vec![b"/bin/sh".to_vec(), b"-e x".to_vec()]);
    assert_eq!(plain(what(script), &items), "   4711 sh              /usr/bin/true 'a b' # by /bin/sh '-e x'");
    assert_eq!(plain(what(exec(4711)), &[]), "   4711 sh              /usr/bin/true");
}

/// Check every note of an exec that differs in everything.
#[test]
fn notes_have_all_that_is_shown() {
    let mut exec = exec(7);
    exec.pid = 9;
    exec.call = Call::Execveat { dirfd: 3, flags: 0x1000 };
    exec.env = Ok(list(&["PATH=/bin", "A=b c", "junk"]));
    let fds = exec.fds.as_mut().expect("the sample has it");
    fds.items[1] = fd(1, "/tmp/l");
    fds.items[1].flags = 1;
    fds.items.remove(0);
    exec.credentials.as_mut().expect("the sample has it").uid.effective = 0;
    let shown = [Item::Cwd, Item::EnvDiff, Item::FdDiff, Item::Creds, Item::Cgroup];
    let line = plain(what(exec.clone()), &shown);
    let notes = "# execveat dirfd 3 flags 0x1000; thread 9; cwd /home/me; env diff +'A=b c' ~PATH=/bin -HOME; \
                 env entries that are no variable: junk; fds 0:closed 1>/tmp/l; \
                 uid 1000/0/1000/1000 gid 1000 groups 27,1000; cgroup /user.slice/a";
    assert_eq!(line.split_once("true ").map(|(_, notes)| notes), Some(notes));
    let line = plain(what(exec), &[Item::Env, Item::Fds]);
    assert!(line.contains("; env PATH=/bin 'A=b c' junk; "), "{line}");
    assert!(line.ends_with("; fds 1>/tmp/l 2<>/dev/pts/1"), "{line}");
}

/// Check that what could not be read, or is not whole, is told with the reason, but only of what is shown.
#[test]
fn what_is_missing_is_told() {
    let line = plain(what(bare_exec(7, Absent::Unreadable(13))), &[Item::Argv, Item::Cwd]);
    let notes = "# no filename: unreadable: EACCES; no argv: unreadable: EACCES; no cwd: unreadable: EACCES";
    assert_eq!(line, format!("      7 ?               '?' {notes}"));
    let mut exec = exec(7);
    exec.argv.as_mut().expect("the sample has it").cut = Some(Cut::TooLong);
    assert!(plain(what(exec), &[Item::Argv]).ends_with(" # argv cut: too_long"));
}

/// Check the lines of other events, which are hidden unless asked for.
#[test]
fn other_events_have_lines() {
    assert_eq!(plain(child(7, 8), &[]), "      7 + child 8");
    assert_eq!(plain(exit(8, 3), &[]), "      8 - exit 3");
    let killed = What::Exit(Exit { tgid: 8, end: End::Signal { number: 11, core: true } });
    assert_eq!(plain(killed, &[]), "      8 - killed by SIGSEGV, core dumped");
    let lost = What::Lost(Lost { execs: 1, others: 2, untracked: 3 });
    assert_eq!(plain(lost, &[]), "# lost: 1 execs, 2 other events, 3 processes not followed");
    assert_eq!(plain(What::Warning("w".into()), &[]), "# warning: w");
    let mut out = Vec::new();
    let mut text = Text { timestamp: None, palette: Palette::default() };
    let about = about(Show::only(&[Item::Exits]));
    for what in [child(7, 8), exit(8, 0)] {
        text.event(&mut out, &about, &event(1, what)).expect("memory takes it");
    }
    assert_eq!(out, b"      8 - exit 0\n");
}

/// Check the time in front, and that what names and arguments hold cannot change the colours.
#[test]
fn colours_come_from_nowhere_else() {
    let mut exec = exec(7);
    exec.comm = Ok(b"\x1b[31m".to_vec());
    exec.argv = Ok(list(&["true", "\x1b[31m\r"]));
    let mut text = Text { timestamp: Some(Timestamp::Relative), palette: Palette::default() };
    let (about, event) = (about(Show::only(&[Item::Argv])), event(1, what(exec)));
    let line = text.line(&about, &event);
    assert!(line.starts_with("+0.500000 ") && !line.contains(char::is_control), "{line}");
    text.palette = Palette::ANSI;
    assert!(text.line(&about, &event).contains(Palette::ANSI.good));
}

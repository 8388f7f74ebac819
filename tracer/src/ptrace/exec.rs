//! An exec under way: [`Entered`] has what was there when the call began, and becomes an [`Exec`] when it ends.
//!
//! Each field is read on its own: what cannot be read says why, and the rest is there.

use nix::errno::Errno;

use super::abi::Called;
use super::memory::{MAX_TOTAL, Memory, absent};
use super::proc::{self, Stat, Status};
use crate::event::{Absent, Cut, Exec, Fd, Field, List, Text};
use crate::options::Collect;

/// `PATH_MAX`, with the NUL.
const MAX_PATH: usize = 4096;

/// A call of execve or execveat that has not ended.
#[derive(Debug)]
pub(super) struct Entered {
    /// The caller, as it is called until the exec succeeds.
    tid: u32,
    called: Called,
    comm: Field<Vec<u8>>,
    filename: Field<Text>,
    /// How many arguments the caller gave, and the first.
    argc: Field<usize>,
    argv0: Field<Option<Vec<u8>>>,
    cwd: Field<Text>,
    fds: Field<List<Fd>>,
}

impl Entered {
    /// Reads what an exec has on entry; the caller is stopped there.
    pub(super) fn read(tid: u32, called: Called, collect: &Collect) -> Self {
        let memory = Memory::of(tid);
        let (mut argc, mut argv0) = (Err(Absent::NotAsked), Err(Absent::NotAsked));
        if collect.argv || collect.interpreter {
            let pointers = memory.pointers(called.argv, called.pointer_bytes());
            argc = pointers.as_ref().map(|list| list.items.len()).map_err(Clone::clone);
            argv0 = pointers.and_then(|mut list| {
                list.items.truncate(1);
                list.cut = None;
                let mut first = memory.strings(list);
                match first.cut {
                    Some(Cut::Unreadable(errno)) => Err(absent(Errno::from_raw(errno))),
                    _ => Ok(first.items.pop()),
                }
            });
        }
        Self {
            tid,
            called,
            comm: proc::comm(tid),
            filename: memory.text(called.filename, MAX_PATH),
            argc,
            argv0,
            cwd: asked(collect.cwd, || proc::cwd(tid)),
            fds: asked(collect.fds, || proc::fds(tid)),
        }
    }

    /// The exec has returned to its caller, which is stopped there.
    pub(super) fn returned(self, tgid: u32, errno: i32, collect: &Collect) -> Exec {
        let memory = Memory::of(self.tid);
        let width = self.called.pointer_bytes();
        let list = |address| memory.pointers(address, width).map(|pointers| memory.strings(pointers));
        let argv = asked(collect.argv, || list(self.called.argv));
        let env = asked(collect.env, || list(self.called.envp));
        let tid = self.tid;
        let words = Words { argv, env, interpreter: Err(Absent::NotApplicable) };
        self.exec(tid, tgid, errno, collect, Stat::of(tid), words)
    }

    /// The exec has succeeded, and the new program, stopped before its first instruction, is called `tgid`.
    pub(super) fn succeeded(self, tgid: u32, collect: &Collect) -> Exec {
        let (mut args, mut env) = (Err(Absent::NotAsked), Err(Absent::NotAsked));
        let stat = Stat::of(tgid);
        if collect.argv || collect.interpreter || collect.env {
            (args, env) = program_words(tgid, &stat, collect.argv || collect.interpreter, collect.env);
        }
        let (argv, interpreter) = split_interpreter(args, self.argc.clone(), self.argv0.clone());
        let argv = asked(collect.argv, || argv);
        let interpreter = asked(collect.interpreter, || interpreter);
        self.exec(tgid, tgid, 0, collect, stat, Words { argv, env, interpreter })
    }

    /// `now` is what the thread is called now.
    fn exec(self, now: u32, tgid: u32, errno: i32, collect: &Collect, stat: Field<Stat>, words: Words) -> Exec {
        let status = asked(collect.namespace_pids || collect.credentials, || Status::of(now));
        Exec {
            pid: self.tid,
            tgid,
            // 0 is what the kernel says of a parent that is not in our namespace either.
            ppid: stat.map_or(0, |stat| stat.ppid),
            namespace_pids: asked(collect.namespace_pids, || {
                status.as_ref().map(|status| status.namespace_pids.clone()).map_err(Clone::clone)
            }),
            call: self.called.call,
            abi: self.called.abi,
            errno,
            comm: self.comm,
            filename: self.filename,
            argv: words.argv,
            env: words.env,
            interpreter: asked(collect.interpreter, || words.interpreter),
            cwd: self.cwd,
            fds: self.fds,
            credentials: asked(collect.credentials, || status.map(|status| status.credentials)),
            cgroup: asked(collect.cgroup, || proc::cgroup(now)),
        }
    }

    /// What is called.
    pub(super) fn called(&self) -> &Called {
        &self.called
    }
}

/// Arguments, or an environment.
type Strings = Field<List<Vec<u8>>>;

struct Words {
    argv: Strings,
    env: Strings,
    interpreter: Field<Vec<Vec<u8>>>,
}

fn asked<T>(asked: bool, read: impl FnOnce() -> Field<T>) -> Field<T> {
    if asked { read() } else { Err(Absent::NotAsked) }
}

/// The arguments and the environment that the kernel has put into a new program's memory, one behind the other.
fn program_words(tgid: u32, stat: &Field<Stat>, args: bool, env: bool) -> (Strings, Strings) {
    let areas = stat.clone().and_then(|stat| stat.areas.ok_or(absent(Errno::EACCES)));
    let areas = match areas {
        Ok(areas) => areas,
        Err(why) => {
            // A program that its user may not read shows its arguments all the same.
            let args = if args { proc::cmdline(tgid).map(|bytes| split(&bytes, None)) } else { Err(Absent::NotAsked) };
            return (args, Err(if env { why } else { Absent::NotAsked }));
        }
    };
    let memory = Memory::of(tgid);
    if args && env && areas.args.1 == areas.env.0 {
        let both = area(&memory, (areas.args.0, areas.env.1));
        return match both {
            Ok((bytes, None)) => {
                // OK because the areas are adjacent, and what was read is as long as both.
                let (args, env) = bytes.split_at((areas.args.1.saturating_sub(areas.args.0) as usize).min(bytes.len()));
                (Ok(split(args, None)), Ok(split(env, None)))
            }
            Ok((_, Some(_))) | Err(_) => (words(&memory, areas.args), words(&memory, areas.env)),
        };
    }
    (asked(args, || words(&memory, areas.args)), asked(env, || words(&memory, areas.env)))
}

fn words(memory: &Memory, range: (u64, u64)) -> Strings {
    area(memory, range).map(|(bytes, cut)| split(&bytes, cut))
}

fn area(memory: &Memory, (start, end): (u64, u64)) -> Field<(Vec<u8>, Option<Cut>)> {
    let len = end.saturating_sub(start);
    let kept = len.min(MAX_TOTAL as u64 + 1);
    let (bytes, short) = memory.read(start, kept as usize);
    match short {
        Some(errno) if bytes.is_empty() => Err(absent(errno)),
        Some(errno) => Ok((bytes, Some(Cut::Unreadable(errno as i32)))),
        None => Ok((bytes, (kept < len).then_some(Cut::TooLong))),
    }
}

/// Strings that end with a NUL each.
fn split(bytes: &[u8], cut: Option<Cut>) -> List<Vec<u8>> {
    let whole = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    let mut items: Vec<Vec<u8>> = Vec::new();
    if !bytes.is_empty() {
        items.extend(whole.split(|byte| *byte == 0).map(Into::into));
    }
    List { items, cut }
}

/// Tells the words that the kernel put in front of a script's path from what the caller gave. The kernel replaces the
/// caller's first argument by the interpreter, its argument if it has one, and the path, for each level of `#!`; it makes
/// one empty argument of none (Linux 5.18).
fn split_interpreter(
    args: Strings,
    argc: Field<usize>,
    argv0: Field<Option<Vec<u8>>>,
) -> (Strings, Field<Vec<Vec<u8>>>) {
    let mut args = match args {
        Ok(args) => args,
        Err(why) => return (Err(why.clone()), Err(why)),
    };
    let argc = match argc {
        Ok(argc) => argc,
        // The kernel has read it, so what we could not read is not known to be a script's or not.
        Err(why) => return (Ok(args), Err(why)),
    };
    if argc == 0 && args.items.len() == 1 {
        // The kernel's own empty argument; a script without any would have its interpreter besides.
        args.items.clear();
    }
    let rest = argc.saturating_sub(1);
    let words = args.items.len().saturating_sub(rest + 1);
    if args.cut.is_some() {
        return (Ok(args), Err(Absent::NotSeen("argv is not whole")));
    }
    if words == 0 {
        return (Ok(args), Ok(Vec::new()));
    }
    let interpreter: Vec<_> = args.items.drain(..words).collect();
    match argv0 {
        Ok(Some(argv0)) => args.items[0] = argv0,
        Ok(None) => drop(args.items.remove(0)),
        Err(_) => {}
    }
    (Ok(args), Ok(interpreter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(words: &[&str]) -> Vec<Vec<u8>> {
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    fn told(args: &[&str], argc: usize, argv0: Option<&str>) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let args = Ok(List { items: items(args), cut: None });
        let argv0 = Ok(argv0.map(|argv0| argv0.as_bytes().to_vec()));
        let (args, interpreter) = split_interpreter(args, Ok(argc), argv0);
        (args.expect("argv").items, interpreter.expect("interpreter"))
    }

    /// Check that a script's interpreter is told from its arguments, on all levels, and `argv[0]` is the caller's.
    #[test]
    fn the_interpreter_is_told_from_the_arguments() {
        assert_eq!(told(&["a", "b"], 2, Some("a")), (items(&["a", "b"]), items(&[])));
        let script = &["/bin/sh", "-e", "/s", "b"];
        assert_eq!(told(script, 2, Some("name")), (items(&["name", "b"]), items(&["/bin/sh", "-e"])));
        let two = &["/bin/sh", "/inner", "-x", "/outer"];
        assert_eq!(told(two, 1, Some("o")), (items(&["o"]), items(&["/bin/sh", "/inner", "-x"])));
    }

    /// Check an argv without arguments: of a program, as old and new kernels have it, and of a script.
    #[test]
    fn an_empty_argv_has_no_interpreter_of_its_own() {
        assert_eq!(told(&[], 0, None), (items(&[]), items(&[])));
        assert_eq!(told(&[""], 0, None), (items(&[]), items(&[])));
        assert_eq!(told(&["/bin/sh", "/s"], 0, None), (items(&[]), items(&["/bin/sh"])));
    }

    /// Check that the kernel's areas are taken apart at each NUL: empty strings count.
    #[test]
    fn areas_are_split_at_each_nul() {
        assert_eq!(split(b"", None).items, items(&[]));
        assert_eq!(split(b"\0", None).items, items(&[""]));
        assert_eq!(split(b"a\0\0b\0", None).items, items(&["a", "", "b"]));
        assert_eq!(split(b"a\0b", None).items, items(&["a", "b"]));
    }
}

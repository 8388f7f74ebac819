//! What the tests share: traces of commands, with either backend.

use std::ffi::OsString;

use tracer::event::{Child, Event, Exec, Exit, List, What};
use tracer::options::{BackendChoice, Launch, Options, SeccompChoice, Target};
use tracer::trace::{Summary, Trace};

use crate::program;

/// A POSIX shell: in a guest it may be an applet.
pub(crate) const SH: &str = "/bin/sh";

/// Which way the execs are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Plain,
    Filter,
}

impl Way {
    pub(crate) fn options(self) -> Options {
        let seccomp = if self == Self::Plain { SeccompChoice::Off } else { SeccompChoice::On };
        Options { backend: BackendChoice::Ptrace, seccomp, ..Options::default() }
    }

    /// Runs a command to the end of all its descendants.
    #[track_caller]
    pub(crate) fn trace(self, words: &[&str]) -> Traced {
        traced(launch(words), self.options())
    }

    /// Runs one of the programs of `program`.
    #[track_caller]
    pub(crate) fn program(self, name: &str) -> Traced {
        self.sh(&program::line(name))
    }

    /// Runs a shell script.
    #[track_caller]
    pub(crate) fn sh(self, script: &str) -> Traced {
        self.trace(&[SH, "-c", script])
    }
}

pub(crate) fn launch(words: &[&str]) -> Launch {
    let words: Vec<OsString> = words.iter().map(Into::into).collect();
    Launch { program: words[0].clone(), args: words[1..].to_vec(), cwd: None, user: None }
}

/// A trace that has ended.
#[derive(Debug)]
pub(crate) struct Traced {
    pub(crate) events: Vec<Event>,
    pub(crate) summary: Summary,
}

#[track_caller]
pub(crate) fn traced(launch: Launch, options: Options) -> Traced {
    let trace = Trace::start(Target::Command(launch), options).expect("the command starts");
    ended(trace)
}

#[track_caller]
pub(crate) fn ended(mut trace: Trace) -> Traced {
    let events = trace.by_ref().collect();
    Traced { events, summary: trace.finish().expect("the trace ends well") }
}

impl Traced {
    pub(crate) fn execs(&self) -> impl Iterator<Item = &Exec> {
        self.events.iter().filter_map(|event| match &event.what {
            What::Exec(exec) => Some(&**exec),
            _ => None,
        })
    }

    pub(crate) fn children(&self) -> impl Iterator<Item = Child> {
        self.events.iter().filter_map(|event| match event.what {
            What::Child(child) => Some(child),
            _ => None,
        })
    }

    pub(crate) fn exits(&self) -> impl Iterator<Item = Exit> {
        self.events.iter().filter_map(|event| match event.what {
            What::Exit(exit) => Some(exit),
            _ => None,
        })
    }

    pub(crate) fn warnings(&self) -> impl Iterator<Item = &str> {
        self.events.iter().filter_map(|event| match &event.what {
            What::Warning(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The exit status of the command.
    pub(crate) fn code(&self) -> Option<i32> {
        self.summary.status.and_then(|status| status.code())
    }

    /// Check that every process that began has ended, once, and that nothing was lost.
    #[track_caller]
    pub(crate) fn is_complete(&self) {
        let mut began: Vec<u32> = self.children().map(|child| child.tgid).collect();
        let mut ended: Vec<u32> = self.exits().map(|exit| exit.tgid).collect();
        let root = self.execs().next().expect("the command's own exec").tgid;
        began.push(root);
        began.sort_unstable();
        ended.sort_unstable();
        assert_eq!(began, ended);
        assert_eq!(self.summary.lost, tracer::event::Lost::default());
    }

    /// The one exec of this path.
    #[track_caller]
    pub(crate) fn only(&self, path: &str) -> &Exec {
        let mut found = self.execs().filter(|exec| filename(exec) == path);
        let first = found.next().unwrap_or_else(|| panic!("no exec of {path} in {:#?}", self.events));
        assert!(found.next().is_none(), "more than one exec of {path}");
        first
    }
}

/// The path, which must be readable.
#[track_caller]
pub(crate) fn filename(exec: &Exec) -> String {
    String::from_utf8_lossy(&exec.filename.as_ref().expect("a filename").bytes).into_owned()
}

/// The arguments, which must be whole.
#[track_caller]
pub(crate) fn argv(exec: &Exec) -> Vec<String> {
    strings(exec.argv.as_ref().expect("an argv"))
}

#[track_caller]
pub(crate) fn strings(list: &List<Vec<u8>>) -> Vec<String> {
    assert_eq!(list.cut, None);
    list.items.iter().map(|item| String::from_utf8_lossy(item).into_owned()).collect()
}

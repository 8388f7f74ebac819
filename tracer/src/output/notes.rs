//! What stands behind a line of text, as a comment: [`notes`].

use super::words::shell_word;
use super::{About, names};
use crate::baseline::{EnvDiff, stdio_changes};
use crate::event::{Abi, Call, Credentials, Cut, Exec, Fd, Field, Ids, List};
use crate::show::Item;

/// The notes of an exec, in the order in which they matter; what could not be read is told by its name and the reason.
pub(super) fn notes(exec: &Exec, about: &About) -> Vec<String> {
    let mut notes = Notes { all: Vec::new(), about };
    if exec.errno != 0 {
        notes.push(names::errno(exec.errno));
    }
    notes.read("filename", &exec.filename, |filename| filename.cut);
    if notes.shows(Item::Argv) || notes.shows(Item::Cmdline) {
        notes.read("argv", &exec.argv, |argv| argv.cut);
    }
    notes.call(exec);
    if notes.shows(Item::Interpreter)
        && let Some(words) = notes.read("interpreter", &exec.interpreter, |_| None)
        && !words.is_empty()
    {
        notes.push(format!("by {}", joined(words)));
    }
    if notes.shows(Item::Cwd)
        && let Some(cwd) = notes.read("cwd", &exec.cwd, |cwd| cwd.cut)
    {
        notes.push(format!("cwd {}", shell_word(&cwd.bytes)));
    }
    if notes.shows(Item::EnvDiff) || notes.shows(Item::Env) || notes.shows(Item::Cmdline) {
        notes.env(exec);
    }
    if notes.shows(Item::FdDiff) || notes.shows(Item::Fds) {
        notes.fds(exec);
    }
    if notes.shows(Item::Creds)
        && let Some(creds) = notes.read("creds", &exec.credentials, |creds| creds.groups.cut)
    {
        notes.push(credentials(creds));
    }
    if notes.shows(Item::Cgroup)
        && let Some(cgroup) = notes.read("cgroup", &exec.cgroup, |cgroup| cgroup.cut)
    {
        notes.push(format!("cgroup {}", shell_word(&cgroup.bytes)));
    }
    notes.all
}

struct Notes<'a> {
    all: Vec<String>,
    about: &'a About,
}

impl Notes<'_> {
    fn push(&mut self, note: impl Into<String>) {
        self.all.push(note.into());
    }

    fn shows(&self, item: Item) -> bool {
        self.about.show.has(item)
    }

    /// The value of a field, with a note if it is not there or not whole.
    fn read<'f, T>(&mut self, name: &str, field: &'f Field<T>, cut: impl Fn(&T) -> Option<Cut>) -> Option<&'f T> {
        match field {
            Ok(value) => {
                if let Some(cut) = cut(value) {
                    self.push(format!("{name} cut: {}", names::cut(cut)));
                }
                Some(value)
            }
            // An interpreter of what is not a script, for instance.
            Err(crate::event::Absent::NotApplicable) => None,
            Err(reason) => {
                self.push(format!("no {name}: {}", names::absent(reason)));
                None
            }
        }
    }

    fn call(&mut self, exec: &Exec) {
        if let Call::Execveat { dirfd, flags } = exec.call {
            self.push(format!("execveat dirfd {dirfd} flags {flags:#x}"));
        }
        if exec.abi != Abi::Native {
            self.push(format!("abi {}", names::abi(exec.abi)));
        }
        if exec.pid != exec.tgid {
            self.push(format!("thread {}", exec.pid));
        }
    }

    fn env(&mut self, exec: &Exec) {
        let Some(env) = self.read("env", &exec.env, |env| env.cut) else { return };
        let redact = &self.about.redact;
        if self.shows(Item::Env) {
            let words: Vec<_> = env.items.iter().map(|entry| shell_word(&redact.entry(entry))).collect();
            self.push(format!("env {}", words.join(" ")));
        }
        let diff = EnvDiff::new(env, &self.about.baseline.env);
        let mut words = Vec::new();
        if self.shows(Item::EnvDiff) {
            for (sign, entries) in [('+', &diff.added), ('~', &diff.changed)] {
                let word = |entry: &crate::baseline::Entry<'_>| {
                    format!("{sign}{}", shell_word(&[entry.name, redact.value(*entry)].join(&b'=')))
                };
                words.extend(entries.iter().map(word));
            }
            words.extend(diff.removed.iter().flatten().map(|name| format!("-{}", shell_word(name))));
        }
        if !words.is_empty() {
            self.push(format!("env diff {}", words.join(" ")));
        }
        if !diff.extra.is_empty() {
            let words: Vec<_> = diff.extra.iter().map(|entry| shell_word(&redact.entry(entry))).collect();
            self.push(format!("env entries that are no variable: {}", words.join(" ")));
        }
    }

    fn fds(&mut self, exec: &Exec) {
        let Some(fds) = self.read("fds", &exec.fds, |fds: &List<Fd>| fds.cut) else { return };
        let words: Vec<_> = if self.shows(Item::Fds) {
            fds.items.iter().map(|fd| format!("{}{}", fd_word(fd), if fd.cloexec { "(cloexec)" } else { "" })).collect()
        } else {
            let changes = stdio_changes(exec, &self.about.baseline.stdio).unwrap_or_default();
            let word = |change: &crate::baseline::StdioChange<'_>| match change.now {
                Some(fd) => fd_word(fd),
                None => format!("{}:closed", change.number),
            };
            changes.iter().map(word).collect()
        };
        if !words.is_empty() {
            self.push(format!("fds {}", words.join(" ")));
        }
    }
}

/// `1>/tmp/log`, with the direction that it is open for.
fn fd_word(fd: &Fd) -> String {
    use nix::libc::{O_ACCMODE, O_RDONLY, O_WRONLY};
    let direction = match fd.flags as i32 & O_ACCMODE {
        O_RDONLY => "<",
        O_WRONLY => ">",
        _ => "<>",
    };
    let path = match &fd.path {
        Ok(path) => shell_word(&path.bytes),
        Err(reason) => format!("({})", names::absent(reason)),
    };
    format!("{}{direction}{path}", fd.number)
}

fn joined(words: &[Vec<u8>]) -> String {
    words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ")
}

fn credentials(creds: &Credentials) -> String {
    let ids = |Ids { real, effective, saved, fs }| match [effective, saved, fs] {
        all if all == [real; 3] => real.to_string(),
        [effective, saved, fs] => format!("{real}/{effective}/{saved}/{fs}"),
    };
    let groups: Vec<_> = creds.groups.items.iter().map(u32::to_string).collect();
    let groups = if groups.is_empty() { String::new() } else { format!(" groups {}", groups.join(",")) };
    format!("uid {} gid {}{groups}", ids(creds.uid), ids(creds.gid))
}

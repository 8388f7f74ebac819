//! An exec as a command that can be pasted into a shell: [`short`] and [`full`].
//!
//! Neither has redirections: pasting them would truncate files.

use super::words::{shell_program, shell_word};
use crate::baseline::{Baseline, Entry, EnvDiff};
use crate::event::{Call, Exec};
use crate::redact::Redact;

/// The program and its arguments. `argv[0]` is shown only if it is neither the path nor its last part, then by `exec -a`.
pub(super) fn short(exec: &Exec) -> String {
    let command = Command::of(exec);
    match &command.argv0 {
        Some(argv0) => format!("(exec -a {} {})", shell_word(argv0), command.words()),
        None => command.words(),
    }
}

/// The same with what its environment and working directory differ in from the tracer's.
pub(super) fn full(exec: &Exec, baseline: &Baseline, redact: &Redact) -> String {
    let line = match env_words(exec, baseline, redact) {
        Some(env) => format!("{env} {}", Command::of(exec).words_after_env()),
        None => short(exec),
    };
    match &exec.cwd {
        Ok(cwd) if Some(&cwd.bytes) != baseline.cwd.as_ref() => {
            format!("(cd -- {} && {line})", shell_word(&cwd.bytes))
        }
        _ => line,
    }
}

struct Command<'a> {
    program: Vec<u8>,
    /// Only if it says something that the program does not.
    argv0: Option<&'a [u8]>,
    args: &'a [Vec<u8>],
}

impl<'a> Command<'a> {
    fn of(exec: &'a Exec) -> Self {
        let program = program(exec);
        let argv = exec.argv.as_ref().map_or(&[][..], |argv| &argv.items);
        let (argv0, args) = argv.split_first().map_or((None, &[][..]), |(argv0, args)| (Some(argv0), args));
        let given = exec.filename.as_ref().map_or(&[][..], |text| &text.bytes);
        let name = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let argv0 = argv0.filter(|argv0| **argv0 != program && **argv0 != given && **argv0 != name);
        Self { argv0: argv0.map(Vec::as_slice), args, program }
    }

    fn words(&self) -> String {
        self.words_from(shell_program(&self.program))
    }

    fn words_from(&self, program: String) -> String {
        let mut line = program;
        for arg in self.args {
            line.push(' ');
            line.push_str(&shell_word(arg));
        }
        line
    }

    /// As arguments of env(1), which takes the first word without `=` for the program.
    fn words_after_env(&self) -> String {
        let program = shell_word(&self.program);
        match self.argv0 {
            Some(argv0) => self.words_from(format!(r#"bash -c 'exec -a "$0" "$@"' {} {program}"#, shell_word(argv0))),
            None if self.program.contains(&b'=') => self.words_from(format!(r#"sh -c 'exec "$@"' sh {program}"#)),
            None => self.words_from(program),
        }
    }
}

/// The path in a form that a shell does not search for in `PATH`, and with execveat's directory if that is known.
fn program(exec: &Exec) -> Vec<u8> {
    let Ok(filename) = &exec.filename else { return b"?".to_vec() };
    let filename = filename.bytes.as_slice();
    if let Call::Execveat { dirfd, .. } = exec.call
        && !filename.starts_with(b"/")
        && let Some(directory) = directory(exec, dirfd)
    {
        return if filename.is_empty() { directory.to_vec() } else { [directory, filename].join(&b'/') };
    }
    if filename.contains(&b'/') || filename.is_empty() { filename.to_vec() } else { [b"./", filename].concat() }
}

fn directory(exec: &Exec, dirfd: i32) -> Option<&[u8]> {
    let number = u32::try_from(dirfd).ok()?;
    let fd = exec.fds.as_ref().ok()?.items.iter().find(|fd| fd.number == number)?;
    Some(&fd.path.as_ref().ok()?.bytes)
}

/// A call of env(1) up to the program, if the environment differs; the shorter of `-u` and `-i`. After `--`, a variable
/// whose name begins with a dash is no option of it.
fn env_words(exec: &Exec, baseline: &Baseline, redact: &Redact) -> Option<String> {
    let env = exec.env.as_ref().ok()?;
    let diff = EnvDiff::new(env, &baseline.env);
    let removed = diff.removed.as_deref().unwrap_or_default();
    let set = diff.added.iter().chain(&diff.changed).copied();
    let set: Vec<_> = set.filter(|entry| !is_set_by_shell(*entry, exec, baseline)).collect();
    if removed.is_empty() && set.is_empty() {
        return None;
    }
    let all: Vec<_> = env.items.iter().filter_map(|entry| Entry::parse(entry)).collect();
    let anew = diff.removed.is_some() && all.len() < 2 * removed.len() + set.len();
    let (mut line, set) = if anew { (String::from("env -i"), all) } else { (String::from("env"), set) };
    if !anew {
        removed.iter().for_each(|name| line.extend([" -u ", &shell_word(name)]));
    }
    if set.iter().any(|entry| entry.name.starts_with(b"-")) {
        line.push_str(" --");
    }
    for entry in set {
        let word = [entry.name, redact.value(entry)].join(&b'=');
        line.extend([" ", &shell_word(&word)]);
    }
    Some(line)
}

/// The shell that the line is pasted into sets it anyway: the program's path in `_`, and where `cd` went and came from.
fn is_set_by_shell(entry: Entry<'_>, exec: &Exec, baseline: &Baseline) -> bool {
    let cwd = exec.cwd.as_ref().map_or(&[][..], |cwd| &cwd.bytes);
    let moved = baseline.cwd.as_deref().filter(|before| *before != cwd);
    match entry.name {
        b"_" => true,
        b"PWD" => moved.is_some() && entry.value == cwd,
        b"OLDPWD" => moved == Some(entry.value),
        _ => false,
    }
}

#[cfg(test)]
#[path = "command_line_tests.rs"]
mod tests;

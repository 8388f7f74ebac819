//! An exec from its parts: [`exec`].

use super::context;
use super::parts::Parts;
use crate::event::{Abi, Absent, Call, Exec, Field, List, Text};
use crate::options::Collect;
use crate::skeleton::types::{limits, rec_begin, rec_end, wire_abi, wire_call, wire_field, wire_script};

/// A list of strings.
type Words = List<Vec<u8>>;

/// Why fields of the entry are missing.
const NO_ENTRY: Absent = Absent::NotSeen("no hook saw the call, only that it succeeded");

/// What is known from the beginning of an exec.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pid: u32,
    tgid: u32,
    ppid: u32,
    call: Option<Call>,
    abi: Abi,
    comm: [u8; limits::COMM_LEN.0 as usize],
}

impl Begun {
    pub(super) fn of(begin: &rec_begin) -> Self {
        let call = match wire_call(begin.call.into()) {
            wire_call::CALL_EXECVE => Some(Call::Execve),
            wire_call::CALL_EXECVEAT => Some(Call::Execveat { dirfd: begin.dirfd, flags: begin.flags }),
            _ => None,
        };
        let abi = match wire_abi(begin.abi.into()) {
            wire_abi::ABI_COMPAT => Abi::Compat,
            wire_abi::ABI_X32 => Abi::X32,
            _ => Abi::Native,
        };
        Self { pid: begin.pid, tgid: begin.tgid, ppid: begin.ppid, call, abi, comm: begin.comm }
    }

    /// If it was seen on entry.
    fn entry<T>(&self, of: Field<T>) -> Field<T> {
        if self.call.is_some() { of } else { Err(NO_ENTRY) }
    }
}

/// The exec as it is handed out. Of one that no hook saw on entry, `call` and `abi` are the usual ones.
pub(super) fn exec(begun: Begun, parts: &Parts, end: &rec_end, collect: &Collect) -> Exec {
    fn asked<T>(yes: bool, field: impl FnOnce() -> Field<T>) -> Field<T> {
        if yes { field() } else { Err(Absent::NotAsked) }
    }
    let errno = i32::try_from(end.error).unwrap_or(i32::MAX);
    let replaced = errno == 0 && !begun.call.is_some_and(Call::is_check);
    let (argv, interpreter) = words(parts, wire_script(end.is_script), replaced);
    Exec {
        pid: begun.pid,
        tgid: begun.tgid,
        ppid: begun.ppid,
        namespace_pids: asked(collect.namespace_pids, || context::namespace_pids(parts)),
        call: begun.call.unwrap_or(Call::Execve),
        abi: begun.abi,
        errno,
        comm: begun.entry(Ok(begun.comm.iter().copied().take_while(|byte| *byte != 0).collect())),
        filename: filename(&begun, parts),
        argv: asked(collect.argv, || argv),
        env: asked(collect.env, || parts.strings(wire_field::FIELD_ENV)),
        interpreter: asked(collect.interpreter, || interpreter),
        cwd: asked(collect.cwd, || begun.entry(context::cwd(parts))),
        fds: asked(collect.fds, || begun.entry(context::fds(parts))),
        credentials: asked(collect.credentials, || context::credentials(parts)),
        cgroup: asked(collect.cgroup, || context::cgroup(parts)),
    }
}

/// As the caller gave it, or else from the kernel's own name for the file, which has `/dev/fd/N/` in front of a path below
/// a descriptor.
fn filename(begun: &Begun, parts: &Parts) -> Field<Text> {
    let given = parts.text(wire_field::FIELD_FILENAME, 0);
    if given.is_ok() {
        return given;
    }
    let Ok(mut name) = parts.text(wire_field::FIELD_KERNEL_FILENAME, 0) else { return given };
    if let Some(Call::Execveat { dirfd, .. }) = begun.call {
        let descriptor = format!("/dev/fd/{dirfd}");
        if name.bytes == descriptor.as_bytes() {
            name.bytes.clear();
        } else if name.bytes.starts_with(format!("{descriptor}/").as_bytes()) {
            name.bytes.drain(..=descriptor.len());
        }
    }
    Ok(name)
}

/// argv as the caller gave it, and the words that the kernel put in front. A caller's `argv[0]` that was not resident is the
/// script's path, as the kernel has it.
fn words(parts: &Parts, script: wire_script, replaced: bool) -> (Field<Words>, Field<Vec<Vec<u8>>>) {
    let argv = parts.strings(wire_field::FIELD_ARGV);
    match (replaced, script) {
        (false, _) => return (argv, Err(Absent::NotApplicable)),
        (true, wire_script::SCRIPT_YES) => {}
        (true, wire_script::SCRIPT_NO) => return (argv.map(|argv| given(argv, parts)), Ok(Vec::new())),
        (true, _) => return (argv, Err(NO_SCRIPT)),
    }
    let Ok(mut argv) = argv else { return (argv, Err(Absent::Lost)) };
    let script = parts.text(wire_field::FIELD_KERNEL_FILENAME, 0);
    let at = script.ok().and_then(|script| argv.items.iter().skip(1).position(|word| *word == script.bytes));
    let Some(at) = at else { return (Ok(argv), Err(Absent::Lost)) };
    let interpreter = argv.items.drain(..=at).collect();
    if has_none(parts) {
        argv.items.remove(0);
    } else if let Some(first) = parts.part(wire_field::FIELD_ARGV0, 0).filter(|part| part.cut().is_none()) {
        argv.items[0].clone_from(&first.bytes);
    }
    (Ok(argv), Ok(interpreter))
}

/// argv of a program: the kernel makes one empty argument of none (Linux 5.18).
fn given(mut argv: List<Vec<u8>>, parts: &Parts) -> List<Vec<u8>> {
    if has_none(parts) {
        argv.items.clear();
    }
    argv
}

/// The caller gave no argument at all.
fn has_none(parts: &Parts) -> bool {
    parts.part(wire_field::FIELD_ARGV0, limits::ARGV0_NONE.0).is_some()
}

/// Why the interpreter is missing, and argv the kernel's.
const NO_SCRIPT: Absent = Absent::NotSeen("the kernel skipped the program that can tell scripts");

#[cfg(test)]
#[path = "exec_tests.rs"]
mod tests;

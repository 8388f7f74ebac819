//! Events as text and as JSON: pure functions to a string.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

use serde_json::{Value, json};

use crate::first_light::{ArgvCut, Event, ExecEvent};

/// The line above the text output.
pub(crate) const TEXT_HEADER: &str = "    PID    PPID    UID COMM             FILENAME ARGV";

/// One line of text: ids, names, and argv as words that a shell would read back.
pub(crate) fn text(event: &Event) -> String {
    match event {
        Event::Exec(exec) => text_exec(exec),
        Event::Lost { count } => format!("# {count} execs lost"),
    }
}

fn text_exec(exec: &ExecEvent) -> String {
    let filename = exec.filename.as_deref().map_or("?".into(), shell_word);
    let comm = shell_word(&exec.comm);
    let mut line = format!("{:>7} {:>7} {:>6} {comm:<16} {filename}", exec.pid, exec.ppid, exec.uid);
    for arg in &exec.argv {
        line.push(' ');
        line.push_str(&shell_word(arg));
    }
    if let Some(cut) = exec.argv_cut {
        // OK because writing to a string cannot fail.
        let _ = write!(line, " # cut ({}): argv has {} bytes", reason(cut), exec.argv_len);
    }
    line
}

/// One line of JSON.
pub(crate) fn json(event: &Event) -> String {
    match event {
        Event::Exec(exec) => json_exec(exec),
        Event::Lost { count } => json!({ "event": "lost", "count": count }),
    }
    .to_string()
}

fn json_exec(exec: &ExecEvent) -> Value {
    json!({
        "event": "exec",
        "time_ns": exec.time.as_nanos() as u64,
        "pid": exec.pid,
        "tgid": exec.tgid,
        "old_pid": exec.old_pid,
        "ppid": exec.ppid,
        "uid": exec.uid,
        "comm": json_bytes(&exec.comm),
        "filename": exec.filename.as_deref().map(json_bytes),
        "argv": exec.argv.iter().map(|arg| json_bytes(arg)).collect::<Vec<_>>(),
        "argc": exec.argc,
        "argv_len": exec.argv_len,
        "argv_cut": exec.argv_cut.map(reason),
    })
}

fn reason(cut: ArgvCut) -> &'static str {
    match cut {
        ArgvCut::TooLong => "too_long",
        ArgvCut::NotResident => "not_resident",
    }
}

/// A string if the bytes are UTF-8, else `{"hex": "…"}`, so that nothing is guessed or lost.
fn json_bytes(bytes: &OsStr) -> Value {
    match bytes.to_str() {
        Some(text) => text.into(),
        None => {
            let hex: String = bytes.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "hex": hex })
        }
    }
}

/// A word that a POSIX shell reads back as `word`, on one line; bytes that do not print come as `$'\377'`.
fn shell_word(word: &OsStr) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./=:,+@%^".contains(byte);
    match word.to_str() {
        Some("") => "''".into(),
        Some(text) if text.bytes().all(|byte| plain(&byte)) => text.into(),
        Some(text) if !text.chars().any(char::is_control) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => dollar_quoted(word.as_bytes()),
    }
}

fn dollar_quoted(bytes: &[u8]) -> String {
    let mut out = String::from("$'");
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\n' => out.push_str(r"\n"),
                '\t' => out.push_str(r"\t"),
                '\'' | '\\' => out.extend(['\\', char]),
                _ if char.is_control() => {
                    let mut utf8 = [0; 4];
                    char.encode_utf8(&mut utf8).bytes().for_each(|byte| push_octal(&mut out, byte));
                }
                _ => out.push(char),
            }
        }
        chunk.invalid().iter().for_each(|byte| push_octal(&mut out, *byte));
    }
    out.push('\'');
    out
}

/// Three octal digits: unlike `\x`, they cannot swallow the character that follows.
fn push_octal(out: &mut String, byte: u8) {
    // OK because writing to a string cannot fail.
    let _ = write!(out, "\\{byte:03o}");
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;

//! Words that a shell reads back as the bytes that they stand for: [`shell_word`].

use std::fmt::Write;
use std::str;

/// A word that a shell reads back as `word`, on one line. POSIX, except that bytes which do not print come as `$'\377'`,
/// which POSIX has since 2024 and bash, zsh, ksh and busybox had before.
pub(super) fn shell_word(word: &[u8]) -> String {
    match str::from_utf8(word) {
        Ok("") => "''".into(),
        Ok(text) if is_plain(text) => text.into(),
        Ok(text) if !text.chars().any(is_hidden) => single_quoted(text),
        _ => dollar_quoted(word),
    }
}

/// The same for the program's place in a command, where a word with `=` in it would set a variable.
pub(super) fn shell_program(path: &[u8]) -> String {
    match str::from_utf8(path) {
        Ok(text) if is_plain(text) && text.contains('=') => single_quoted(text),
        _ => shell_word(path),
    }
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./=:,+@%^".contains(&byte)) && !text.starts_with('=')
}

/// Does not print, or rearranges what does: the marks of the Unicode bidirectional algorithm.
fn is_hidden(char: char) -> bool {
    char.is_control() || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn dollar_quoted(bytes: &[u8]) -> String {
    let mut out = String::from("$'");
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\n' => out.push_str(r"\n"),
                '\t' => out.push_str(r"\t"),
                '\'' | '\\' => out.extend(['\\', char]),
                _ if is_hidden(char) => {
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
mod tests {
    use rstest::rstest;

    use super::*;

    /// Check that a shell would read each word back, and that every word stays on one line.
    #[rstest]
    #[case::plain(b"--out=a/b.c", "--out=a/b.c")]
    #[case::empty(b"", "''")]
    #[case::space(b"a b", "'a b'")]
    #[case::quote(b"it's", r"'it'\''s'")]
    #[case::variable(b"$HOME", "'$HOME'")]
    #[case::tilde(b"~", "'~'")]
    #[case::comment(b"#", "'#'")]
    #[case::newline(b"a\nb", r"$'a\nb'")]
    #[case::quote_and_newline(b"'\\\n", r"$'\'\\\n'")]
    #[case::not_utf8(b"\xff0", r"$'\3770'")]
    #[case::escape(b"\x1b[31m", r"$'\033[31m'")]
    #[case::umlaut("\u{fc}".as_bytes(), "'\u{fc}'")]
    #[case::right_to_left("\u{202e}x".as_bytes(), r"$'\342\200\256x'")]
    #[case::zsh_path_of_a_command(b"=ls", "'=ls'")]
    fn words_are_quoted_for_a_shell(#[case] word: &[u8], #[case] expected: &str) {
        assert_eq!(shell_word(word), expected);
    }

    /// Check that a program whose path looks like an assignment is not one.
    #[test]
    fn a_program_is_not_an_assignment() {
        assert_eq!(shell_program(b"./a=b"), "'./a=b'");
        assert_eq!(shell_program(b"./ab"), "./ab");
    }
}

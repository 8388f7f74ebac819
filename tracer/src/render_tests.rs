//! Tests of the renderers.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use rstest::rstest;

use super::*;

fn exec(argv: &[&[u8]]) -> ExecEvent {
    ExecEvent {
        time: Duration::from_nanos(5),
        pid: 12,
        tgid: 12,
        old_pid: 13,
        ppid: 1,
        uid: 1000,
        comm: "sh".into(),
        filename: Some("/bin/sh".into()),
        argv: argv.iter().map(|arg| OsString::from_vec(arg.to_vec())).collect(),
        argc: argv.len() as u32,
        argv_len: 99,
        argv_cut: None,
    }
}

/// Check that a shell would read each word back, and that every word stays on one line.
#[rstest]
#[case::plain(b"--out=a/b.c", "--out=a/b.c")]
#[case::empty(b"", "''")]
#[case::space(b"a b", "'a b'")]
#[case::quote(b"it's", r"'it'\''s'")]
#[case::variable(b"$HOME", "'$HOME'")]
#[case::tilde(b"~", "'~'")]
#[case::newline(b"a\nb", r"$'a\nb'")]
#[case::quote_and_newline(b"'\\\n", r"$'\'\\\n'")]
#[case::not_utf8(b"\xff0", r"$'\3770'")]
#[case::escape(b"\x1b[31m", r"$'\033[31m'")]
#[case::umlaut("ü".as_bytes(), "'ü'")]
fn words_are_quoted_for_a_shell(#[case] word: &[u8], #[case] expected: &str) {
    assert_eq!(shell_word(OsStr::from_bytes(word)), expected);
}

/// Check the whole text line.
#[test]
fn text_lines_are_aligned_under_their_header() {
    let line = text(&Event::Exec(exec(&[b"sh", b"-c", b"a b"])));
    assert_eq!(line, "     12       1   1000 sh               /bin/sh sh -c 'a b'");
    assert_eq!(TEXT_HEADER.find("FILENAME"), line.find("/bin/sh"));
    assert_eq!(text(&Event::Lost { count: 3 }), "# 3 execs lost");
}

/// Check that a cut argv says so in the text line.
#[test]
fn a_cut_argv_is_marked_in_text_and_json() {
    let mut exec = exec(&[b"sh", b"par"]);
    exec.argv_cut = Some(ArgvCut::TooLong);
    assert!(text(&Event::Exec(exec.clone())).ends_with(" sh par # cut (too_long): argv has 99 bytes"));
    assert!(json(&Event::Exec(exec)).contains(r#""argv_cut":"too_long""#));
}

/// Check that bytes which are not UTF-8 are marked in JSON, and strings are not.
#[test]
fn json_marks_what_is_not_utf8() {
    let line = json(&Event::Exec(exec(&["ü\n".as_bytes(), b"\xff\x00z", b""])));
    let value: Value = serde_json::from_str(&line).expect("a line of JSON");
    assert_eq!(value["argv"], json!(["ü\n", { "hex": "ff007a" }, ""]));
    assert_eq!((value["event"].as_str(), value["filename"].as_str()), (Some("exec"), Some("/bin/sh")));
    assert!(!line.contains('\n'));
}

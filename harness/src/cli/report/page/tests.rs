//! What is read for the page, and what is not.

use std::os::unix::fs::symlink;

use super::*;

/// A run's directory with a secret beside it.
fn directory() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    fs::create_dir_all(run.join("cells/a")).unwrap();
    fs::write(dir.path().join("secret"), "secret").unwrap();
    (dir, run)
}

/// Check that no path of a record, and no link in its directory, leads out of there.
#[test]
fn only_files_below_the_run_are_read() {
    let (dir, run) = directory();
    fs::write(run.join("cells/a/log"), "said").unwrap();
    symlink(dir.path().join("secret"), run.join("cells/link")).unwrap();
    let secret = dir.path().join("secret");
    for path in [secret.to_str().unwrap(), "../secret", "cells/../../secret", "cells/link"] {
        let error = read_end(&run, path, 100).unwrap_err().to_string();
        assert_eq!(error, "it is not below the directory", "{path}");
    }
    assert_eq!(read_end(&run, "cells", 100).unwrap_err().to_string(), "it is no file");
    assert!(read_end(&run, "cells/gone", 100).unwrap_err().to_string().starts_with("No such file"));
    let whole = Excerpt::Tail { total_bytes: 4, shown_bytes: 4, text: "said".into() };
    assert_eq!(read_end(&run, "cells/a/log", 100).unwrap(), whole);
}

/// Check that a long log is cut to whole lines at its end, and that bytes that are no text do no harm.
#[test]
fn a_long_log_keeps_its_last_lines() {
    let (_dir, run) = directory();
    fs::write(run.join("log"), b"first line\nsecond \xff\nthird\n").unwrap();
    let excerpt = read_end(&run, "log", 18).unwrap();
    assert_eq!(excerpt, Excerpt::Tail { total_bytes: 26, shown_bytes: 15, text: "second \u{fffd}\nthird\n".into() });
    fs::write(run.join("log"), "x".repeat(100)).unwrap();
    let excerpt = read_end(&run, "log", 18).unwrap();
    assert_eq!(excerpt, Excerpt::Tail { total_bytes: 100, shown_bytes: 18, text: "x".repeat(18) });
}

/// Check that coverage is absent, readable or a reason.
#[test]
fn coverage_that_is_not_there_is_told_from_what_cannot_be_read() {
    let (_dir, run) = directory();
    assert!(matches!(coverage(&run), Part::Absent));
    fs::create_dir(run.join("coverage")).unwrap();
    fs::write(run.join("coverage/lines.json"), "{\"schema\": 1, \"files\": [").unwrap();
    let Part::Unreadable(why) = coverage(&run) else { panic!("it is broken") };
    assert!(why.contains("lines.json cannot be read: EOF while parsing"), "{why}");
    fs::write(run.join("coverage/lines.json"), r#"{"schema": 1, "files": [{"path": "a.c", "lines": []}]}"#).unwrap();
    let Part::Read(coverage) = coverage(&run) else { panic!("it is whole") };
    assert_eq!(coverage.paths().collect::<Vec<_>>(), ["a.c"]);
}

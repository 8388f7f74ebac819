//! What Rust's test executables print, read back. Pure: text in, values out.

use crate::run::outcome::TestResult;

/// The tests that `--list --format terse` printed: their paths, in its order.
#[must_use]
pub fn listed(stdout: &str) -> Vec<String> {
    stdout.lines().filter_map(|line| line.strip_suffix(": test")).map(ToOwned::to_owned).collect()
}

/// How a process that was asked to run exactly one test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this status.
    Code(i32),
    /// By this signal, for example `SEGV`.
    Signal(String),
}

/// The result of a process that was asked to run exactly one test, and what to tell a person when it did not pass.
///
/// A process that ends with 0 has not passed yet: libtest does so, too, when the name matches no test.
#[must_use]
pub fn judge(ended: &Ended, stdout: &str, stderr: &str) -> (TestResult, Option<String>) {
    let failed = |message: String| (TestResult::Failed, Some(message));
    match (ended, summary(stdout)) {
        (Ended::Signal(name), _) => failed(match panic_message(stderr) {
            Some(panic) => format!("{panic}, then killed by SIG{name}"),
            None => format!("killed by SIG{name}{}", last_words(stderr)),
        }),
        (Ended::Code(0), Some(Summary { passed: 1, failed: 0 })) => (TestResult::Passed, None),
        (Ended::Code(0), Some(Summary { passed, failed: bad })) => {
            failed(format!("expected exactly one test to run, found {passed} passed and {bad} failed"))
        }
        (Ended::Code(code), _) => failed(
            panic_message(stderr)
                .or_else(|| panic_message(stdout))
                .unwrap_or_else(|| format!("the test process ended with status {code}{}", last_words(stderr))),
        ),
    }
}

/// libtest's closing line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Summary {
    passed: usize,
    failed: usize,
}

fn summary(stdout: &str) -> Option<Summary> {
    // A test may print such a line as well; libtest's own is the last.
    let line = stdout.lines().rev().find_map(|line| line.strip_prefix("test result: "))?;
    let number_of = |word: &str| {
        let before = line.split(word).next()?;
        before.trim_end().rsplit(' ').next()?.parse().ok()
    };
    Some(Summary { passed: number_of(" passed;")?, failed: number_of(" failed;")? })
}

/// The first panic: where it was raised and what it said, in one line.
fn panic_message(output: &str) -> Option<String> {
    let mut lines = output.lines().skip_while(|line| !(line.starts_with("thread '") && line.contains(" panicked at ")));
    let place = lines.next()?.split_once(" panicked at ")?.1.trim_end_matches(':');
    let said: Vec<&str> = lines
        .take_while(|line| !line.starts_with("note: run with") && !line.starts_with("stack backtrace:"))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .take(4)
        .collect();
    Some(format!("{} ({place})", said.join("; ")))
}

fn last_words(stderr: &str) -> String {
    let last = stderr.lines().rev().find(|line| !line.trim().is_empty());
    last.map(|line| format!(": {}", line.trim())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSED: &str = "\nrunning 1 test\ntest a::b ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 8 filtered out; finished in 0.31s\n\n";

    #[test]
    fn a_listing_gives_the_tests_and_not_the_benchmarks() {
        assert_eq!(listed("a::b: test\nc::case_1: test\nd: benchmark\n\n"), ["a::b", "c::case_1"]);
    }

    #[test]
    fn exactly_one_passed_test_is_a_pass() {
        assert_eq!(judge(&Ended::Code(0), PASSED, ""), (TestResult::Passed, None));
    }

    #[test]
    fn a_process_that_ran_no_test_or_two_has_not_passed() {
        let none = PASSED.replace("1 passed", "0 passed");
        assert_eq!(
            judge(&Ended::Code(0), &none, "").1.unwrap(),
            "expected exactly one test to run, found 0 passed and 0 failed"
        );
        assert_eq!(judge(&Ended::Code(0), &PASSED.replace("1 passed", "2 passed"), "").0, TestResult::Failed);
        assert_eq!(judge(&Ended::Code(0), "", "").1.unwrap(), "the test process ended with status 0");
    }

    #[test]
    fn what_a_test_prints_does_not_decide() {
        let forged = format!(
            "test result: ok. 1 passed; 0 failed;\n{}",
            PASSED.replace("1 passed; 0 failed", "0 passed; 0 failed")
        );
        assert_eq!(judge(&Ended::Code(0), &forged, "").0, TestResult::Failed);
    }

    #[test]
    fn a_panic_is_told_in_one_line() {
        let stderr = "\nthread 'a::b' (123) panicked at tracer/tests/exec.rs:10:5:\nassertion `left == right` failed\n  left: 1\n right: 2\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        assert_eq!(
            judge(&Ended::Code(101), "", stderr).1.unwrap(),
            "assertion `left == right` failed; left: 1; right: 2 (tracer/tests/exec.rs:10:5)"
        );
    }

    #[test]
    fn a_death_by_signal_is_told_with_its_last_words() {
        assert_eq!(judge(&Ended::Signal("SEGV".into()), PASSED, "").1.unwrap(), "killed by SIGSEGV");
        assert_eq!(
            judge(&Ended::Signal("ABRT".into()), "", "fatal runtime error: stack overflow\n").1.unwrap(),
            "killed by SIGABRT: fatal runtime error: stack overflow"
        );
        assert_eq!(
            judge(&Ended::Code(3), "", "no luck\n\n").1.unwrap(),
            "the test process ended with status 3: no luck"
        );
    }
}

//! What libbpf says while it loads an object that the kernel may refuse: [`captured`] and [`reason`].

use std::cell::RefCell;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

use libbpf_rs::{PrintCallback, PrintLevel};

thread_local! {
    /// What was said on this thread, when that is captured.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Held while [`print`] is libbpf's printer, which is global to the process.
static PRINTER: Mutex<()> = Mutex::new(());
/// The printer that was set before.
static BEFORE: Mutex<Option<(PrintLevel, PrintCallback)>> = Mutex::new(None);

/// Runs `load`, and returns what libbpf said on this thread meanwhile. What it says on others is printed as before.
pub(super) fn captured<T>(load: impl FnOnce() -> T) -> (T, String) {
    if SAID.with_borrow(Option::is_some) {
        // One load within another: the outer one has it.
        return (load(), String::new());
    }
    let _one_at_a_time = PRINTER.lock().unwrap_or_else(PoisonError::into_inner);
    let _restore = Restore::new();
    let result = load();
    let said = SAID.take().unwrap_or_default();
    (result, said)
}

/// Puts the printer back, also when the load panics.
struct Restore;

impl Restore {
    fn new() -> Self {
        SAID.set(Some(String::new()));
        let before = libbpf_rs::set_print(Some((PrintLevel::Warn, print)));
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = before;
        Self
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
        libbpf_rs::set_print(before);
        SAID.set(None);
    }
}

fn print(level: PrintLevel, line: String) {
    let captured = SAID.with_borrow_mut(|said| match said {
        Some(said) => {
            said.push_str(&line);
            true
        }
        None => false,
    });
    if !captured {
        let before = *BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((threshold, print)) = before
            && level <= threshold
        {
            print(level, line);
        }
    }
}

/// Why a load failed, on one line: which program, and the verifier's last words, or else the error.
pub(super) fn reason(error: &impl Display, said: &str) -> String {
    let program = said.lines().find(|line| line.contains("BPF program load failed"));
    let program = program.map(|line| line.trim_start_matches("libbpf: "));
    let log =
        said.split("-- BEGIN PROG LOAD LOG --").nth(1).and_then(|log| log.split("-- END PROG LOAD LOG --").next());
    // The log ends with its statistics, and libbpf's prefix of the line that ends it.
    let words = log.and_then(|log| {
        let mut lines = log.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("libbpf: "));
        lines.rfind(|line| !is_statistics(line))
    });
    match (program, words) {
        (Some(program), Some(words)) => format!("{program}: {words}"),
        (Some(program), None) => program.to_owned(),
        (None, _) => format!("{error:#}"),
    }
}

fn is_statistics(line: &str) -> bool {
    ["processed ", "verification time ", "stack depth ", "insns processed ", "subprog "]
        .iter()
        .any(|prefix| line.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As libbpf 1.7 printed it when 6.1 refused a program; the log is shortened.
    const REFUSED: &str = "libbpf: prog 'tracer_exec': BPF program load failed: -EACCES\n\
        libbpf: prog 'tracer_exec': -- BEGIN PROG LOAD LOG --\n\
        0: R1=ctx(off=0,imm=0) R10=fp0\n\
        combined stack size of 8 calls is 544. Too large\n\
        verification time 1290 usec\n\
        stack depth 24+16\n\
        processed 83 insns (limit 1000000) max_states_per_insn 4 total_states 9 peak_states 9 mark_read 4\n\
        -- END PROG LOAD LOG --\n\
        libbpf: prog 'tracer_exec': failed to load: -EACCES\n";

    /// Check that the reason names the program and what the verifier objects to, not its statistics.
    #[test]
    fn the_verifiers_words() {
        assert_eq!(
            reason(&"Permission denied", REFUSED),
            "prog 'tracer_exec': BPF program load failed: -EACCES: combined stack size of 8 calls is 544. Too large"
        );
    }

    /// Check that the error serves when the verifier was not asked.
    #[test]
    fn no_log() {
        assert_eq!(reason(&"Operation not permitted", "libbpf: something else\n"), "Operation not permitted");
    }

    /// Check that the printer of before is back after a load that panics, and that the lock is free.
    #[test]
    fn a_panic_leaves_the_printer() {
        fn mine(_: PrintLevel, _: String) {}
        let first = libbpf_rs::set_print(Some((PrintLevel::Debug, mine)));
        let panicked = std::panic::catch_unwind(|| captured(|| panic!("as a test may")));
        let after = libbpf_rs::set_print(first);
        assert!(panicked.is_err());
        assert_eq!(after.map(|(level, _)| level), Some(PrintLevel::Debug));
        assert_eq!(captured(|| 1).0, 1);
    }
}

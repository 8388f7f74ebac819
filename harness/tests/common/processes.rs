//! Finds the processes that a test has started, however deep: [`Marked`].

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A variable of the environment that a command hands down to everything that it starts.
pub(crate) struct Marked {
    value: String,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Marked {
    pub(crate) fn new() -> Self {
        Self { value: format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)) }
    }

    pub(crate) fn key(&self) -> &'static str {
        "UKCI_TEST_MARK"
    }

    pub(crate) fn value(&self) -> &str {
        &self.value
    }

    /// The command lines of the processes that are alive.
    pub(crate) fn alive(&self) -> Vec<String> {
        let wanted = format!("{}={}", self.key(), self.value);
        let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        processes
            .filter(|path| {
                let environment = std::fs::read(path.join("environ")).unwrap_or_default();
                environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
            })
            .map(|path| std::fs::read_to_string(path.join("cmdline")).unwrap_or_default().replace('\0', " "))
            .filter(|line| !line.is_empty())
            .collect()
    }
}

/// Waits for a condition; panics when it does not come.
#[track_caller]
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    /// Compiling the project's dependencies may come before.
    const DEADLINE: Duration = Duration::from_secs(15 * 60);
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

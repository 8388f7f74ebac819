//! A `ukci` that runs: [`Running`], and how it [`Ended`].

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A process of the test, which is killed when the test fails.
pub(crate) struct Running {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    lines: Receiver<String>,
    seen: String,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stderr(Stdio::piped());
        let own_output = command.get_program().to_owned();
        command.stdout(Stdio::piped());
        Self::spawn(command, &own_output.to_string_lossy())
    }

    /// Starts it with the standard output that the command already has.
    pub(crate) fn start_with_output(mut command: Command, stdout: impl Into<Stdio>) -> Self {
        command.stderr(Stdio::piped()).stdout(stdout);
        Self::spawn(command, "ukci")
    }

    fn spawn(mut command: Command, name: &str) -> Self {
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            stderr.split(b'\n').flatten().try_for_each(|line| sender.send(String::from_utf8_lossy(&line).into_owned()))
        });
        let stdout = child.stdout.take().map(|mut stdout| {
            thread::spawn(move || {
                let mut text = Vec::new();
                stdout.read_to_end(&mut text).expect("readable");
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        Self { child, stdout, lines, seen: String::new() }
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("it is ours, and was not waited for");
    }

    /// Whether it is still there.
    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Standard error is closed when it, and all that it left behind, ended.
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen += &format!("{line}\n"),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end:\n{}", self.seen),
            }
        }
        let status = self.child.wait().expect("our child");
        let stdout = self.stdout.take().map(|reader| reader.join().expect("readable")).unwrap_or_default();
        Ended { code: status.code(), signal: status.signal(), stdout, stderr: std::mem::take(&mut self.seen) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Ended {
    /// Check its exit code, and that it printed all of `parts`, be it broken into lines.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self}");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (stdout, stderr) = (words(&self.stdout), words(&self.stderr));
        for part in parts {
            assert!(stdout.contains(part) || stderr.contains(part), "no `{part}` in\n{self}");
        }
    }

    /// Check that it said one error, once, and printed no result.
    #[track_caller]
    pub(crate) fn one_error(&self, code: i32, parts: &[&str]) {
        self.failed(code, parts);
        assert_eq!(self.stderr.matches("error: ").count(), 1, "{self}");
        assert_eq!(self.stderr.matches(parts[0]).count(), 1, "{self}");
        assert_eq!(self.stdout, "", "{self}");
    }

    #[track_caller]
    pub(crate) fn succeeded(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self}");
        &self.stdout
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, signal, stdout, stderr } = self;
        write!(f, "code {code:?}, signal {signal:?}\n--- stdout\n{stdout}--- stderr\n{stderr}")
    }
}

//! Reads a guest's serial console: [`Console`] writes the log with the time of each line, watches for the kernel's
//! complaints and lets others wait for what the guest's init says.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::vm::complaint::{Complaint, Detector};

/// A guest that prints without end must not fill the disk.
const LOG_LIMIT: u64 = 64 << 20;
/// A line without end is cut here.
const LINE_LIMIT: usize = 8 << 10;
/// Lines to show with an error.
const TAIL: usize = 20;
/// What is kept of each list; a guest that repeats itself without end needs no more memory than that.
const KEPT: usize = 1000;
/// How lines of `vm-images/init` begin.
const INIT: &str = "ukci: ";

/// A guest's console. Dropping it stops the reading.
#[derive(Debug)]
pub struct Console {
    log: PathBuf,
    state: watch::Receiver<State>,
    reader: JoinHandle<()>,
}

/// A moment on the console, to ask later what the kernel complained about since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

/// What the console has shown.
#[derive(Debug, Default)]
struct State {
    lines: u64,
    tail: VecDeque<String>,
    complaints: Vec<Complaint>,
    said: Vec<String>,
    closed: bool,
}

impl Console {
    /// Reads `output` to its end in the background. `started` is when the machine was started.
    ///
    /// # Errors
    /// When the log cannot be made.
    pub fn start(output: impl AsyncRead + Unpin + Send + 'static, log: &Path, started: Instant) -> io::Result<Self> {
        let (sender, state) = watch::channel(State::default());
        let writer =
            LineWriter { file: File::create(log)?, written: 0, started, sender, detector: Detector::default() };
        Ok(Self { log: log.to_owned(), state, reader: tokio::spawn(read(output, writer)) })
    }

    /// The log's path.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until init has said `what`, or something that begins with `cannot`, and returns what it said; `None` when
    /// the console closed before. The future does not borrow the console.
    pub fn wait_for_init(&self, what: &'static str) -> impl Future<Output = Option<String>> + use<> {
        let said =
            move |state: &State| state.said.iter().find(|said| *said == what || said.starts_with("cannot")).cloned();
        let mut state = self.state.clone();
        async move {
            let state = state.wait_for(|state| state.closed || said(state).is_some()).await.ok()?;
            said(&state)
        }
    }

    /// What init said went wrong.
    #[must_use]
    pub fn init_failure(&self) -> Option<String> {
        self.state.borrow().said.iter().find(|said| said.starts_with("cannot")).cloned()
    }

    /// Waits until the console is closed, which it is when QEMU has ended, and everything on it has been read.
    pub async fn closed(&self) {
        // An error says that the reader is gone, so there is nothing more to wait for either.
        drop(self.state.clone().wait_for(|state| state.closed).await);
    }

    /// The present moment.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(self.state.borrow().lines)
    }

    /// What the kernel complained about since `mark`.
    #[must_use]
    pub fn complaints_since(&self, mark: Mark) -> Vec<Complaint> {
        self.state.borrow().complaints.iter().filter(|complaint| complaint.line > mark.0).cloned().collect()
    }

    /// Everything that the kernel complained about.
    #[must_use]
    pub fn complaints(&self) -> Vec<Complaint> {
        self.complaints_since(Mark(0))
    }

    /// The panic that ended the kernel.
    #[must_use]
    pub fn panic(&self) -> Option<Complaint> {
        self.state.borrow().complaints.iter().find(|complaint| complaint.panic).cloned()
    }

    /// The last lines.
    #[must_use]
    pub fn tail(&self) -> Vec<String> {
        self.state.borrow().tail.iter().cloned().collect()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Cuts the output into lines until its end.
async fn read(mut output: impl AsyncRead + Unpin, mut writer: LineWriter) {
    let mut line = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    // A console that cannot be read is closed; why QEMU's end of it went away, QEMU's exit tells.
    while let Ok(length @ 1..) = output.read(&mut buffer).await {
        for byte in &buffer[..length] {
            if *byte == b'\n' || line.len() >= LINE_LIMIT {
                writer.line(&line);
                line.clear();
            }
            if *byte != b'\n' {
                line.push(*byte);
            }
        }
    }
    // The last words of a machine that died may lack their end.
    if !line.is_empty() {
        writer.line(&line);
    }
    writer.sender.send_modify(|state| state.closed = true);
}

struct LineWriter {
    file: File,
    written: u64,
    started: Instant,
    sender: watch::Sender<State>,
    detector: Detector,
}

impl LineWriter {
    fn line(&mut self, bytes: &[u8]) {
        let text = printable(bytes);
        let seconds = self.started.elapsed().as_secs_f64();
        let stamped = format!("[{seconds:8.3}] {text}\n");
        self.log(&stamped);
        let detector = &mut self.detector;
        self.sender.send_modify(|state| {
            state.lines += 1;
            if let Some(complaint) = detector.line(&text, state.lines, seconds)
                && state.complaints.len() < KEPT
            {
                state.complaints.push(complaint);
            }
            if let Some((_before, said)) = text.split_once(INIT)
                && state.said.len() < KEPT
            {
                state.said.push(said.trim_end().to_owned());
            }
            if state.tail.len() == TAIL {
                state.tail.pop_front();
            }
            state.tail.push_back(text);
        });
    }

    /// A disk that is full must not end the run, so the log ends instead.
    fn log(&mut self, line: &str) {
        if self.written > LOG_LIMIT {
            return;
        }
        self.written += line.len() as u64;
        let written = if self.written > LOG_LIMIT {
            writeln!(self.file, "ukci: the log ends here: it has reached its limit of {} MiB", LOG_LIMIT >> 20)
        } else {
            self.file.write_all(line.as_bytes())
        };
        if written.is_err() {
            // The run's record, which is written to the same disk, says that it is full.
            self.written = u64::MAX - LINE_LIMIT as u64 * 8;
        }
    }
}

/// The text of a line as a person should see it: without escape sequences and other control characters.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\x1b' => {
                // `ESC [ parameters letter`, or `ESC` and one character (ECMA-48, 5.4).
                if characters.next() == Some('[') {
                    characters.by_ref().find(|character| matches!(character, '@'..='~'));
                }
            }
            '\t' => out.push('\t'),
            character if character.is_control() => {}
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    async fn shown(output: &[u8]) -> (Console, String, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("console.log");
        let (mut theirs, ours) = duplex(64);
        let console = Console::start(ours, &log, Instant::now()).unwrap();
        theirs.write_all(output).await.unwrap();
        drop(theirs);
        console.closed().await;
        let text = std::fs::read_to_string(&log).unwrap();
        (console, text, dir)
    }

    #[test]
    fn control_characters_are_not_printed() {
        assert_eq!(printable(b"\x1b[2J\x1b[01;31mred\x1b[0m\tx\r\x07\x1bc"), "red\tx");
        assert_eq!(printable(b"a\xff\xfeb"), "a\u{fffd}\u{fffd}b");
        assert_eq!(printable(b"cut \x1b["), "cut ");
        assert_eq!(printable(b"cut \x1b"), "cut ");
    }

    #[tokio::test]
    async fn each_line_has_its_time_and_the_last_needs_no_end() {
        let (console, log, _dir) = shown(b"one\r\ntwo\nthr\xffee").await;
        let texts: Vec<_> = log.lines().map(|line| line.split_once("] ").unwrap().1).collect();
        assert_eq!(texts, ["one", "two", "thr\u{fffd}ee"]);
        assert!(log.starts_with("[   0."), "{log}");
        assert_eq!(console.tail(), texts);
    }

    #[tokio::test]
    async fn init_is_waited_for_and_its_failure_ends_the_wait() {
        let (console, ..) = shown(b"[ 1.0] ukci: ready\n").await;
        assert_eq!(console.wait_for_init("ready").await.as_deref(), Some("ready"));
        let (console, ..) = shown(b"[ 1.0] ukci: cannot mount proc\n").await;
        assert_eq!(console.wait_for_init("ready").await.as_deref(), Some("cannot mount proc"));
        let (console, ..) = shown(b"[ 1.0] ukci: rea").await;
        assert_eq!(console.wait_for_init("ready").await, None);
    }

    #[tokio::test]
    async fn a_mark_divides_the_complaints() {
        let dir = tempfile::tempdir().unwrap();
        let (mut theirs, ours) = duplex(64);
        let console = Console::start(ours, &dir.path().join("log"), Instant::now()).unwrap();
        theirs.write_all(b"BUG: before\n---[ end trace ]---\nukci: ready\n").await.unwrap();
        console.wait_for_init("ready").await;
        let mark = console.mark();
        theirs.write_all(b"BUG: after\n").await.unwrap();
        drop(theirs);
        console.closed().await;
        let since: Vec<_> = console.complaints_since(mark).into_iter().map(|c| (c.title, c.line)).collect();
        assert_eq!(since, [("BUG: after".to_owned(), 4)]);
        assert_eq!(console.complaints().len(), 2);
    }

    #[tokio::test]
    async fn output_without_end_stops_at_the_limit_of_the_log() {
        let (console, log, _dir) = shown(&vec![b'x'; 70 << 20]).await;
        assert!(log.len() as u64 <= LOG_LIMIT + 200, "{}", log.len());
        assert!(log.ends_with("has reached its limit of 64 MiB\n"));
        assert_eq!(console.tail().len(), TAIL);
    }
}

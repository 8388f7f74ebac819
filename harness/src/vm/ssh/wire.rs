//! One ssh connection as its thread sees it: [`Wire`] drives libssh2 without blocking, so that each step has a deadline.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ssh2::{BlockDirections, Channel, ErrorCode, ExtendedData, MethodType};

use super::{Exit, SshError, quote};
use crate::vm::keys::RunKeys;

/// `LIBSSH2_ERROR_EAGAIN`.
const WOULD_BLOCK: ErrorCode = ErrorCode::Session(-37);
/// Where the guest notes the process group of the command that runs.
const GROUP_FILE: &str = "/run/ukci.group";
/// How long the guest may take to kill a command.
const KILL_DEADLINE: Duration = Duration::from_secs(20);
const CHUNK: usize = 64 << 10;

/// What becomes of an output stream.
pub(super) enum Sink {
    /// The beginning is kept.
    Keep { kept: Vec<u8>, limit: usize, truncated: bool },
    /// The first `left` bytes go to a file.
    File { file: File, left: u64 },
}

impl Sink {
    pub(super) fn keep(limit: usize) -> Self {
        Self::Keep { kept: Vec::new(), limit, truncated: false }
    }

    pub(super) fn truncated(&self) -> bool {
        matches!(self, Self::Keep { truncated: true, .. })
    }

    pub(super) fn into_kept(self) -> Vec<u8> {
        match self {
            Self::Keep { kept, .. } => kept,
            Self::File { .. } => Vec::new(),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Keep { kept, limit, truncated } => {
                let room = bytes.len().min(*limit - kept.len());
                kept.extend_from_slice(&bytes[..room]);
                *truncated |= room < bytes.len();
                Ok(())
            }
            Self::File { file, left } => {
                let room = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= room as u64;
                file.write_all(&bytes[..room])
            }
        }
    }
}

/// The streams of one command.
pub(super) struct Exchange {
    input: Option<File>,
    pub(super) stdout: Sink,
    pub(super) stderr: Sink,
    log: Option<File>,
    /// What was read from `input` and is not yet sent.
    unsent: Vec<u8>,
}

impl Exchange {
    pub(super) fn new(stdout: Sink, stderr: Sink) -> Self {
        Self { input: None, stdout, stderr, log: None, unsent: Vec::new() }
    }

    pub(super) fn with_input(self, input: File) -> Self {
        Self { input: Some(input), ..self }
    }

    pub(super) fn with_log(self, log: Option<File>) -> Self {
        Self { log, ..self }
    }
}

/// A moment by which something must be done, and what.
#[derive(Clone, Copy)]
pub(super) struct Due {
    doing: &'static str,
    at: Instant,
    deadline: Duration,
}

impl Due {
    pub(super) fn new(doing: &'static str, deadline: Duration) -> Self {
        Self { doing, at: Instant::now() + deadline, deadline }
    }

    pub(super) fn doing(self, doing: &'static str) -> Self {
        Self { doing, ..self }
    }

    fn broken(self, reason: impl std::fmt::Display) -> SshError {
        SshError::Broken { doing: self.doing, reason: reason.to_string() }
    }

    fn passed(self) -> SshError {
        SshError::Deadline { doing: self.doing, deadline: self.deadline }
    }
}

/// A connection and the socket under it.
pub(super) struct Wire {
    pub(super) session: ssh2::Session,
    pub(super) socket: UnixStream,
}

impl Wire {
    pub(super) fn connect(stream: UnixStream, keys: &RunKeys, deadline: Duration) -> Result<Self, SshError> {
        let due = Due::new("agree on keys", deadline);
        let broken = |error: ssh2::Error| due.broken(error);
        stream.set_nonblocking(true).map_err(|error| due.broken(error))?;
        let socket = stream.try_clone().map_err(|error| due.broken(error))?;
        let session = ssh2::Session::new().map_err(broken)?;
        session.set_blocking(false);
        session.method_pref(MethodType::HostKey, "ssh-ed25519").map_err(broken)?;
        let mut wire = Self { session, socket };
        wire.session.set_tcp_stream(stream);
        // The line that the guest's relay sends first, and everything before the server's version, libssh2 skips.
        let mut session = wire.session.clone();
        wire.retry(due, || session.handshake())?;
        match wire.session.host_key() {
            Some((key, _kind)) if key == keys.host_blob() => {}
            _ => return Err(SshError::HostKey),
        }
        let due = due.doing("accept our key");
        wire.retry(due, || wire.session.userauth_pubkey_memory("root", None, keys.private(), None))?;
        Ok(wire)
    }

    /// Repeats a call of libssh2 until it no longer says that it would block.
    pub(super) fn retry<T>(&self, due: Due, mut call: impl FnMut() -> Result<T, ssh2::Error>) -> Result<T, SshError> {
        loop {
            match call() {
                Ok(value) => return Ok(value),
                Err(error) if error.code() == WOULD_BLOCK => self.wait(due)?,
                Err(error) => return Err(due.broken(error)),
            }
        }
    }

    /// Waits until the socket can do what libssh2 wants of it.
    fn wait(&self, due: Due) -> Result<(), SshError> {
        let mut sockets = [PollFd::new(self.socket.as_fd(), self.interest())];
        let left = due.at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(due.passed());
        }
        // Rounded up, so that the last millisecond is not spent in a busy loop.
        let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut sockets, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(due.broken(error)),
        }
    }

    pub(super) fn interest(&self) -> PollFlags {
        match self.session.block_directions() {
            BlockDirections::Outbound => PollFlags::POLLOUT,
            BlockDirections::Both => PollFlags::POLLIN | PollFlags::POLLOUT,
            BlockDirections::Inbound | BlockDirections::None => PollFlags::POLLIN,
        }
    }

    /// Runs a shell command in a session and process group of its own, so that it can be killed with its children.
    ///
    /// The outer shell turns every way to die into an exit status: dropbear has no name for some signals, and reports
    /// nothing then, which libssh2 shows as status 0.
    pub(super) fn run(&mut self, command: &str, deadline: Duration, exchange: &mut Exchange) -> Result<Exit, SshError> {
        let inner = format!("echo $$ >{GROUP_FILE}; {command}");
        let wrapped = format!("setsid sh -c {}; exit $?", quote(&inner));
        let due = Due::new("run a command", deadline);
        let mut channel = self.open(due)?;
        self.retry(due, || channel.exec(&wrapped))?;
        match self.exchange(&mut channel, exchange, due) {
            Ok(()) => self.exit(&mut channel, due).or_else(|error| self.kill(error, &mut channel, exchange)),
            Err(error) => self.kill(error, &mut channel, exchange),
        }
    }

    pub(super) fn open(&self, due: Due) -> Result<Channel, SshError> {
        self.retry(due, || self.session.channel_session())
    }

    /// After a deadline: kills the command's process group through a second channel, and reads the rest of the output.
    fn kill(&self, error: SshError, channel: &mut Channel, exchange: &mut Exchange) -> Result<Exit, SshError> {
        if !matches!(error, SshError::Deadline { .. }) {
            return Err(error);
        }
        let due = Due::new("kill a command that was past its deadline", KILL_DEADLINE);
        let mut killer = self.open(due)?;
        self.retry(due, || killer.exec(&format!("kill -9 -$(cat {GROUP_FILE})")))?;
        self.exchange(&mut killer, &mut Exchange::new(Sink::keep(0), Sink::keep(0)), due)?;
        self.exit(&mut killer, due)?;
        // A child that has left the group may hold the output open; then what there is has been read already.
        exchange.input = None;
        match self.exchange(channel, exchange, Due::new("end a killed command", Duration::from_secs(2))) {
            Ok(()) | Err(SshError::Deadline { .. }) => {}
            Err(error) => return Err(error),
        }
        self.retry(due, || channel.close())?;
        Ok(Exit::TimedOut)
    }

    /// Moves bytes both ways until the command has closed its output.
    fn exchange(&self, channel: &mut Channel, exchange: &mut Exchange, due: Due) -> Result<(), SshError> {
        let mut buffer = vec![0; CHUNK];
        let mut input_open = true;
        loop {
            let mut moved = false;
            if input_open {
                let (sent, open) = self.send(channel, exchange, due)?;
                (moved, input_open) = (sent, open);
            }
            for stderr in [false, true] {
                let length = match self.receive(channel, stderr, &mut buffer, due)? {
                    Some(length @ 1..) => length,
                    _ => continue,
                };
                moved = true;
                let sink = if stderr { &mut exchange.stderr } else { &mut exchange.stdout };
                let logged = exchange.log.as_mut().map_or(Ok(()), |log| log.write_all(&buffer[..length]));
                logged.and_then(|()| sink.write(&buffer[..length])).map_err(SshError::Stream)?;
            }
            if channel.eof() {
                return Ok(());
            }
            if Instant::now() >= due.at {
                return Err(due.passed()); // Also a command that prints without end.
            }
            if !moved {
                self.wait(due)?;
            }
        }
    }

    /// `None` when there is nothing now.
    pub(super) fn receive(
        &self,
        channel: &mut Channel,
        stderr: bool,
        buffer: &mut [u8],
        due: Due,
    ) -> Result<Option<usize>, SshError> {
        let read = if stderr { channel.stderr().read(buffer) } else { channel.read(buffer) };
        match read {
            Ok(length) => Ok(Some(length)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(due.broken(error)),
        }
    }

    /// Sends some input. Returns whether anything moved, and whether there is more to send.
    fn send(&self, channel: &mut Channel, exchange: &mut Exchange, due: Due) -> Result<(bool, bool), SshError> {
        if exchange.unsent.is_empty()
            && let Some(input) = &mut exchange.input
        {
            exchange.unsent.resize(CHUNK, 0);
            let length = input.read(&mut exchange.unsent).map_err(SshError::Stream)?;
            exchange.unsent.truncate(length);
        }
        if exchange.unsent.is_empty() {
            return match channel.send_eof() {
                Ok(()) => Ok((true, false)),
                Err(error) if error.code() == WOULD_BLOCK => Ok((false, true)),
                Err(error) => Err(due.broken(error)),
            };
        }
        match channel.write(&exchange.unsent) {
            Ok(length) => {
                exchange.unsent.drain(..length);
                Ok((length > 0, true))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok((false, true)),
            Err(error) => Err(due.broken(error)),
        }
    }

    /// How the command ended, once it has closed its output.
    pub(super) fn exit(&self, channel: &mut Channel, due: Due) -> Result<Exit, SshError> {
        self.retry(due, || channel.close())?;
        self.retry(due, || channel.wait_close())?;
        let signal = channel.exit_signal().map_err(|error| due.broken(error))?.exit_signal;
        match signal {
            Some(name) => Ok(Exit::Signal(name)),
            None => Ok(Exit::from_shell(channel.exit_status().map_err(|error| due.broken(error))?)),
        }
    }

    /// Lets standard error of a shell without a terminal come with its output.
    pub(super) fn merge_stderr(channel: &mut Channel) -> Result<(), ssh2::Error> {
        channel.handle_extended_data(ExtendedData::Merge)
    }
}

//! An interactive shell in a guest: joins our terminal to a pseudo-terminal of the guest.

use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use ssh2::Channel;
use tokio::signal::unix::{SignalKind, signal};

use super::wire::{Due, Wire};
use super::{Exit, Session, SshError};

/// The time for each request of the protocol; the shell itself may take as long as its user likes.
const STEP: Duration = Duration::from_secs(30);

pub(super) async fn run(session: &Session) -> Result<Exit, SshError> {
    let failed = |error: io::Error| SshError::Broken { doing: "open a shell", reason: error.to_string() };
    let mut resized = signal(SignalKind::window_change()).map_err(failed)?;
    // The thread of the session waits in poll(2), so it is told about a new size by a byte in a socket.
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    ours.set_nonblocking(true).map_err(failed)?;
    theirs.set_nonblocking(true).map_err(failed)?;
    let shell = session.with(move |wire| shell(wire, &theirs));
    tokio::pin!(shell);
    loop {
        tokio::select! {
            exit = &mut shell => return exit,
            // A full socket says that the thread has been told and has not looked yet.
            _ = resized.recv() => drop((&ours).write(&[0])),
        }
    }
}

fn shell(wire: &mut Wire, resized: &UnixStream) -> Result<Exit, SshError> {
    let due = Due::new("open a shell", STEP);
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let mut channel = wire.open(due)?;
    if terminal {
        let (columns, rows) = size();
        let kind = std::env::var("TERM").unwrap_or_else(|_unset| "dumb".into());
        wire.retry(due, || channel.request_pty(&kind, None, Some((columns, rows, 0, 0))))?;
    } else {
        wire.retry(due, || Wire::merge_stderr(&mut channel))?;
    }
    wire.retry(due, || channel.shell())?;
    let raw = if terminal { Some(RawMode::enter().map_err(broken)?) } else { None };
    let copied = copy(wire, &mut channel, resized);
    drop(raw);
    copied?;
    wire.exit(&mut channel, Due::new("end a shell", STEP))
}

fn broken(reason: impl std::fmt::Display) -> SshError {
    SshError::Broken { doing: "run a shell", reason: reason.to_string() }
}

/// Moves bytes both ways until the shell ends.
fn copy(wire: &Wire, channel: &mut Channel, resized: &UnixStream) -> Result<(), SshError> {
    let mut buffer = vec![0; 16 << 10];
    let (mut stdin, mut stdout) = (io::stdin(), io::stdout());
    let mut input_open = true;
    loop {
        let due = Due::new("run a shell", STEP);
        while let Some(length @ 1..) = wire.receive(channel, false, &mut buffer, due)? {
            stdout.write_all(&buffer[..length]).and_then(|()| stdout.flush()).map_err(broken)?;
        }
        if channel.eof() {
            return Ok(());
        }
        let mut waited =
            vec![PollFd::new(wire.socket.as_fd(), wire.interest()), PollFd::new(resized.as_fd(), PollFlags::POLLIN)];
        if input_open {
            waited.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut waited, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(broken(error)),
        }
        let ready = |index: usize| waited.get(index).and_then(PollFd::any).unwrap_or_default();
        let (new_size, typed) = (ready(1), ready(2));
        if new_size {
            // What was sent does not matter, and neither does an empty read.
            drop((&*resized).read(&mut buffer));
            let (columns, rows) = size();
            wire.retry(due, || channel.request_pty_size(columns, rows, None, None))?;
        }
        if typed {
            let length = stdin.read(&mut buffer).map_err(broken)?;
            if length == 0 {
                input_open = false;
                wire.retry(due, || channel.send_eof())?;
            }
            let mut rest = &buffer[..length];
            while !rest.is_empty() {
                let sent = wire.retry(due, || channel.write(rest).map_err(ssh2_error))?;
                rest = &rest[sent..];
            }
        }
    }
}

/// The `ssh2` crate wraps libssh2's error into an `io::Error` when it writes; only "would block" matters here.
fn ssh2_error(error: io::Error) -> ssh2::Error {
    let code = if error.kind() == io::ErrorKind::WouldBlock { -37 } else { -43 };
    ssh2::Error::from_errno(ssh2::ErrorCode::Session(code))
}

/// Columns and rows of our terminal; the usual ones when it does not say.
fn size() -> (u32, u32) {
    // SAFETY: `winsize` is plain numbers, for which zero is a value.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: TIOCGWINSZ (ioctl_tty(2)) writes one `winsize` through the pointer, which is valid for that.
    let got = unsafe { libc::ioctl(io::stdout().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    if got == 0 && size.ws_col > 0 { (size.ws_col.into(), size.ws_row.into()) } else { (80, 24) }
}

/// The terminal passes every key on until this is dropped.
struct RawMode {
    before: Termios,
}

impl RawMode {
    fn enter() -> nix::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(io::stdin(), SetArg::TCSADRAIN, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.before);
    }
}

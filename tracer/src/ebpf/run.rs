//! A trace at work, on a thread of its own: [`run`].

use std::io::{self, PipeReader};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libbpf_rs::{RingBuffer, RingBufferBuilder};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::decode::Decoder;
use super::launch;
use super::programs::Programs;
use super::setup::Setup;
use super::tree::with_descendants;
use crate::error::{Error, Result};
use crate::event::{Lost, What};
use crate::options::{Options, Target, Wait};
use crate::queue;
use crate::running::{Backend, Ended, Observed};

/// How long the reader looks away while there is something to read: what has come meanwhile is taken at one go.
const PAUSE_MS: u16 = 5;
/// Looks without anything new before it asks to be woken.
const QUIET_LOOKS: u32 = 20;
/// How long it waits to be woken, lest a wakeup was missed by a hair.
const PATIENCE_MS: u16 = 500;

/// Traces until the end. `started` gets its say once the trace is on.
pub(super) fn run(
    target: &Target,
    options: &Options,
    setup: &Setup,
    out: queue::Sink<Observed>,
    stop: &PipeReader,
    started: &Sender<Result<Backend>>,
) -> Result<Ended> {
    let mut reader = match Reader::start(target, options, setup, out) {
        Ok(reader) => reader,
        Err(err) => {
            // OK because who has gone away does not want to know.
            let _ = started.send(Err(err));
            return Ok(Ended { status: None, lost: Lost::default() });
        }
    };
    // OK as above.
    let _ = started.send(Ok(reader.programs.backend()));
    reader.read(stop)?;
    reader.finish()
}

struct Reader {
    // In the order in which they are dropped.
    ring: RingBuffer<'static>,
    programs: Programs,
    sink: Arc<Sink>,
    wait: Wait,
    scoped: bool,
    root: Root,
    reported: Lost,
}

/// What the command has come to.
enum Root {
    None,
    Running(Child, OwnedFd),
    Ended(ExitStatus),
}

/// Where the records go.
struct Sink {
    decoder: Mutex<Decoder>,
    out: queue::Sink<Observed>,
    /// Nobody takes what happened any more.
    closed: AtomicBool,
}

impl Sink {
    fn send(&self, observed: Observed) {
        if !self.out.send(observed) {
            self.closed.store(true, Ordering::Relaxed);
        }
    }

    /// The decoder is consistent after each call, so a panic elsewhere does not spoil it.
    fn decoder(&self) -> MutexGuard<'_, Decoder> {
        self.decoder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    fn start(target: &Target, options: &Options, setup: &Setup, out: queue::Sink<Observed>) -> Result<Self> {
        let mut programs = Programs::start(setup)?;
        let sink = Sink { decoder: Mutex::new(Decoder::new(options.collect)), out, closed: AtomicBool::new(false) };
        let sink = Arc::new(sink);
        let mut ring = RingBufferBuilder::new();
        let into = Arc::clone(&sink);
        let added = ring.add(&programs.skel.maps.events, move |record| {
            let observed = into.decoder().push(record);
            if let Some(observed) = observed {
                into.send(observed);
            }
            0
        });
        added.map_err(|err| Error::io("cannot use the ring buffer", err))?;
        let ring = ring.build().map_err(|err| Error::io("cannot map the ring buffer", err))?;

        let root = match target {
            Target::System => Root::None,
            Target::Processes(pids) => {
                // What forks while /proc is read is found by reading it again.
                let mut known = Vec::new();
                loop {
                    let found = with_descendants(pids)?;
                    let new: Vec<u32> = found.iter().copied().filter(|pid| !known.contains(pid)).collect();
                    if new.is_empty() {
                        break;
                    }
                    new.iter().try_for_each(|pid| programs.follow(*pid))?;
                    known.extend(new);
                }
                Root::None
            }
            Target::Command(launch) => {
                let mut command = launch::command(launch)?;
                let child = programs.spawning(|| command.spawn())?.map_err(|err| launch::error(launch, err))?;
                let pidfd = pidfd(&child)?;
                Root::Running(child, pidfd)
            }
        };
        let scoped = !setup.system_wide;
        Ok(Self { ring, programs, sink, wait: options.wait, scoped, root, reported: Lost::default() })
    }

    /// Reads until the trace is over.
    fn read(&mut self, stop: &PipeReader) -> Result<()> {
        let mut quiet = 0;
        loop {
            quiet = if self.consume()? { 0 } else { quiet + 1 };
            if self.sink.closed.load(Ordering::Relaxed) || self.is_over() {
                return Ok(());
            }
            let stopped = if quiet < QUIET_LOOKS {
                self.pause(stop, PAUSE_MS)?
            } else {
                self.report_lost();
                self.programs.set_reader_waits(true);
                // What came before the kernel side could know is there without a wakeup.
                let stopped = if self.consume()? { false } else { self.pause(stop, PATIENCE_MS)? };
                self.programs.set_reader_waits(false);
                stopped
            };
            if stopped {
                return Ok(());
            }
        }
    }

    /// Detaches, and reads what is left.
    fn finish(mut self) -> Result<Ended> {
        self.programs.detach();
        self.consume()?;
        self.report_lost();
        let status = match self.root {
            Root::Ended(status) => Some(status),
            Root::None | Root::Running(..) => None,
        };
        Ok(Ended { status, lost: self.reported })
    }

    /// Takes all that is there; says whether there was anything.
    fn consume(&mut self) -> Result<bool> {
        match self.ring.consume_raw() {
            0 => Ok(false),
            records if records > 0 => Ok(true),
            errno => Err(Error::io("cannot read the ring buffer", io::Error::from_raw_os_error(-errno))),
        }
    }

    /// Waits for that long at most, for the ring buffer to be of interest, or for the command or the trace to end; says
    /// whether the trace is to.
    fn pause(&mut self, stop: &PipeReader, timeout_ms: u16) -> Result<bool> {
        // SAFETY: the ring buffer owns the descriptor, and lives as long as the borrow.
        let ring = unsafe { BorrowedFd::borrow_raw(self.ring.epoll_fd()) };
        let mut fds = vec![PollFd::new(stop.as_fd(), PollFlags::POLLIN), PollFd::new(ring, PollFlags::POLLIN)];
        if let Root::Running(_, pidfd) = &self.root {
            fds.push(PollFd::new(pidfd.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut fds, PollTimeout::from(timeout_ms)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(err) => return Err(Error::io("cannot wait for events", err)),
        }
        let stopped = fds[0].any().unwrap_or(true);
        if fds.get(2).is_some_and(|pidfd| pidfd.any().unwrap_or(true))
            && let Root::Running(child, _) = &mut self.root
        {
            let status = child.wait().map_err(|err| Error::io("cannot wait for the command", err))?;
            self.root = Root::Ended(status);
        }
        Ok(stopped)
    }

    /// Whether there is nobody left to wait for.
    fn is_over(&self) -> bool {
        match (&self.root, self.wait) {
            (Root::Running(..), _) => false,
            (Root::Ended(_), Wait::Root) => true,
            (Root::None | Root::Ended(_), _) => self.scoped && self.programs.followed(super::tree::is_gone) == 0,
        }
    }

    fn report_lost(&mut self) {
        let mut lost = self.programs.lost();
        lost.execs += self.sink.decoder().malformed();
        let Lost { execs, others, untracked } = self.reported;
        let new = Lost {
            execs: lost.execs.saturating_sub(execs),
            others: lost.others.saturating_sub(others),
            untracked: lost.untracked.saturating_sub(untracked),
        };
        if new != Lost::default() {
            self.reported =
                Lost { execs: execs + new.execs, others: others + new.others, untracked: untracked + new.untracked };
            self.sink.send(Observed { boot: boot_time(), what: What::Lost(new) });
        }
    }
}

/// A descriptor that is readable when the child has ended. pidfd_open(2) is there since 5.3.
fn pidfd(child: &Child) -> Result<OwnedFd> {
    // SAFETY: no pointers; the result is checked, and nobody else owns it.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    if fd < 0 {
        return Err(Error::io("cannot watch the command", io::Error::last_os_error()));
    }
    // SAFETY: the call succeeded, so this is a new descriptor of ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn boot_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid; the clock is there since 2.6.39.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

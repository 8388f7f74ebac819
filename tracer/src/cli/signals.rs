//! Signals to the tracer: [`Signals`].

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use crate::error::{Error, Result};
use crate::trace::Stopper;

/// The signals that end a trace in order; a second one ends the tracer at once.
///
/// With a command, both are for it, and the trace ends when it does: SIGTERM is passed on, SIGINT comes to both from the
/// terminal.
#[derive(Debug)]
pub(super) struct Signals {
    pipe: UnixStream,
    with_command: bool,
    terminated: Arc<AtomicBool>,
}

impl Signals {
    /// Catches them; what comes before [`Signals::end`] is kept.
    pub(super) fn catch(with_command: bool) -> Result<Self> {
        Self::register(with_command).map_err(|err| Error::io("cannot catch signals", err))
    }

    fn register(with_command: bool) -> io::Result<Self> {
        let (pipe, writer) = UnixStream::pair()?;
        let terminated = Arc::new(AtomicBool::new(false));
        if with_command {
            // A handler, since the command would inherit that the signal is ignored.
            flag::register(SIGINT, Arc::new(AtomicBool::new(false)))?;
        } else {
            ends(SIGINT, &writer, &Arc::new(AtomicBool::new(false)))?;
        }
        ends(SIGTERM, &writer, &terminated)?;
        Ok(Self { pipe, with_command, terminated })
    }

    /// Ends the trace when a signal comes.
    pub(super) fn end(&self, stopper: Stopper) -> Result<()> {
        let mut pipe = self.pipe.try_clone().map_err(|err| Error::io("cannot copy the pipe for signals", err))?;
        let with_command = self.with_command;
        let wait = move || {
            // The writers live as long as the process, so this returns with a signal.
            if pipe.read(&mut [0]).is_ok_and(|bytes| bytes > 0) {
                if with_command && stopper.signal_command(SIGTERM) {
                    return;
                }
                stopper.stop();
            }
        };
        let thread = thread::Builder::new().name("signals".into()).spawn(wait);
        thread.map(drop).map_err(|err| Error::io("cannot start the thread for signals", err))
    }

    /// SIGTERM has come.
    pub(super) fn terminated(&self) -> bool {
        self.terminated.load(Ordering::Relaxed)
    }
}

fn ends(signal: i32, writer: &UnixStream, seen: &Arc<AtomicBool>) -> io::Result<()> {
    flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(seen))?;
    flag::register(signal, Arc::clone(seen))?;
    low_level::pipe::register(signal, writer.try_clone()?)?;
    Ok(())
}

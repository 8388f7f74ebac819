//! Where a trace is written: [`Destination`], and once it is open, [`Out`].

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use crate::error::{Error, Result};

/// Where a trace is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Destination {
    Stdout,
    Stderr,
    File(PathBuf),
}

impl Destination {
    /// `-` is the standard output.
    pub(super) fn of(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Self::Stdout } else { Self::File(path) }
    }

    /// Opens it; a file is emptied.
    pub(super) fn open(&self) -> Result<Out> {
        let writer: Box<dyn Write> = match self {
            Self::Stdout => Box::new(io::stdout()),
            Self::Stderr => Box::new(io::stderr()),
            Self::File(path) => {
                let file = File::create(path);
                Box::new(file.map_err(|err| Error::io(format!("cannot create `{}`", path.display()), err))?)
            }
        };
        Ok(Out { writer: BufWriter::new(writer), closed: false })
    }
}

/// It is a terminal that shows colours, and `NO_COLOR` is not set (or empty).
pub(super) fn wants_color(output: &Destination) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let terminal = match output {
        Destination::Stdout => io::stdout().is_terminal(),
        Destination::Stderr => io::stderr().is_terminal(),
        Destination::File(_) => false,
    };
    terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// What a trace is written to. A reader that has gone is no error: nothing more is written then.
pub(super) struct Out {
    writer: BufWriter<Box<dyn Write>>,
    closed: bool,
}

impl Out {
    /// Writes, and hands it on at once if it must be readable at once.
    pub(super) fn write(&mut self, flush: bool, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        let written = write(&mut self.writer).and_then(|()| if flush { self.writer.flush() } else { Ok(()) });
        match written {
            Err(err) if err.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => other.map_err(|err| Error::io("cannot write the trace", err)),
        }
    }

    /// The reader has gone.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Full(io::ErrorKind);

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn write_to(kind: io::ErrorKind) -> (bool, bool) {
        let mut out = Out { writer: BufWriter::new(Box::new(Full(kind))), closed: false };
        let written = out.write(true, |out| out.write_all(b"x"));
        (written.is_ok(), out.is_closed())
    }

    /// Check that a pager which was left ends the writing without a word, and a full disk with one.
    #[test]
    fn only_a_reader_that_has_gone_is_no_error() {
        assert_eq!(write_to(io::ErrorKind::BrokenPipe), (true, true));
        assert_eq!(write_to(io::ErrorKind::StorageFull), (false, false));
    }
}

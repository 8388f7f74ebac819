//! Downloads: [`Client`] is the only HTTP client of `ukci`.

use std::io::{self, Read, Write};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use thiserror::Error;
use ureq::Agent;

use crate::archive::hash::{HashedFile, Sha256};
use crate::archive::store::StoreError;

/// Downloads that run at once. More would not help: one connection fills most lines, four hide the round trips.
const PARALLEL: usize = 4;

/// How long a download must be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Length {
    /// So many bytes.
    Exactly(u64),
    /// Nobody told us; so many bytes at most.
    AtMost(u64),
}

/// Is told how downloads go. Called from several threads.
pub trait Progress: Send + Sync {
    /// `bytes` of the `total` bytes of `name` have come; the download is over when they are equal.
    fn downloaded(&self, name: &str, bytes: u64, total: u64);
    /// Something that a person should know and that stops nothing.
    fn warn(&self, text: &str);
}

/// Tells nobody.
impl Progress for () {
    fn downloaded(&self, _name: &str, _bytes: u64, _total: u64) {}
    fn warn(&self, _text: &str) {}
}

/// How long to try.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Tries of one request in all, when what goes wrong may go right the next time.
    pub tries: u32,
    /// The wait before the second try; it doubles with each further one.
    pub backoff: Duration,
    /// How long a server may say nothing.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { tries: 4, backoff: Duration::from_millis(500), silence: Duration::from_secs(30) }
    }
}

/// Why a download did not come.
#[derive(Debug, Error)]
pub enum FetchError {
    /// A package is listed in the index, but the mirror does not have it (any more). Refresh the index and look again.
    #[error(
        "the mirror no longer has `{package}` `{version}` of suite `{suite}`: `{url}` answers 404\n  \
         hint: `ukci update` looks for its successor"
    )]
    Gone {
        /// The package's name.
        package: String,
        /// Its version.
        version: String,
        /// The suite whose index lists it.
        suite: String,
        /// Where it should be.
        url: String,
    },
    /// The server does not have it.
    #[error("`{url}` does not exist (404)\n  hint: is `UKCI_MIRROR` the base of a mirror of the Debian archive?")]
    NotFound {
        /// What was asked for.
        url: String,
    },
    /// The server refuses.
    #[error("`{url}` answers with HTTP status {status}, expected 200")]
    Status {
        /// What was asked for.
        url: String,
        /// What it said.
        status: u16,
    },
    /// The server cannot be reached, or the connection breaks.
    #[error(
        "cannot fetch `{url}` (tried {}): {source}\n  \
         hint: check the network, and http_proxy if you need one; UKCI_MIRROR names another mirror",
        if *tries == 1 { "once".to_owned() } else { format!("{tries} times") }
    )]
    Unreachable {
        /// What was asked for.
        url: String,
        /// How often.
        tries: u32,
        /// What went wrong the last time.
        #[source]
        source: Box<ureq::Error>,
    },
    /// What came has the wrong size.
    #[error("`{url}` has the wrong size: expected {expected} bytes, found {found}{}", if *more { " or more" } else { "" })]
    Size {
        /// What was asked for.
        url: String,
        /// The size that the index tells, or the most that we accept.
        expected: u64,
        /// Bytes that came.
        found: u64,
        /// Whether we stopped reading there.
        more: bool,
    },
    /// What came has the wrong content.
    #[error("`{url}` has the wrong content: expected SHA-256 `{expected}`, found `{found}`")]
    Hash {
        /// What was asked for.
        url: String,
        /// The hash that the index tells.
        expected: Sha256,
        /// The hash of what came.
        found: Sha256,
    },
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Something that a download is written to, and that can begin anew when the connection breaks.
pub(super) trait Sink {
    fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError>;
    fn restart(&mut self) -> Result<(), StoreError>;
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn restart(&mut self) -> Result<(), StoreError> {
        self.clear();
        Ok(())
    }
}

impl Sink for HashedFile {
    fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.write_all(bytes).map_err(StoreError::at("write", self.path()))
    }

    fn restart(&mut self) -> Result<(), StoreError> {
        HashedFile::restart(self).map_err(StoreError::at("write", self.path()))
    }
}

/// The HTTP client. It honours `http_proxy`, `https_proxy` and `no_proxy`.
#[derive(Clone, Debug)]
pub(super) struct Client {
    agent: Agent,
    patience: Patience,
}

impl Client {
    pub(super) fn new(patience: Patience) -> Self {
        let config = Agent::config_builder()
            .user_agent(concat!("ukci/", env!("CARGO_PKG_VERSION")))
            // A server that compresses on the way would make sizes meaningless; what we fetch is compressed already.
            .accept_encoding("identity")
            .http_status_as_error(false)
            .max_idle_connections_per_host(PARALLEL)
            .timeout_connect(Some(patience.silence))
            .timeout_recv_response(Some(patience.silence))
            .timeout_per_read(Some(patience.silence))
            .build();
        Self { agent: config.into(), patience }
    }

    pub(super) fn patience(&self) -> Patience {
        self.patience
    }

    /// Fetches `url` into `sink`, which must be empty; after each piece `so_far` is told how many bytes have come.
    pub(super) fn get(
        &self,
        url: &str,
        length: Length,
        sink: &mut dyn Sink,
        so_far: &dyn Fn(u64),
    ) -> Result<(), FetchError> {
        let mut wait = self.patience.backoff;
        let mut tries = 1;
        loop {
            match self.get_once(url, length, sink, so_far) {
                Ok(()) => return Ok(()),
                Err(failure) if tries < self.patience.tries && failure.is_transient() => {
                    thread::sleep(wait);
                    wait *= 2;
                    tries += 1;
                    sink.restart()?;
                }
                Err(Failure::Http(source)) => {
                    return Err(FetchError::Unreachable { url: url.to_owned(), tries, source: Box::new(source) });
                }
                Err(Failure::Final(error)) => return Err(error),
            }
        }
    }

    fn get_once(&self, url: &str, length: Length, sink: &mut dyn Sink, so_far: &dyn Fn(u64)) -> Result<(), Failure> {
        let response = self.agent.get(url).call().map_err(Failure::Http)?;
        let url = url.to_owned();
        match response.status().as_u16() {
            200 => {}
            404 | 410 => return Err(Failure::Final(FetchError::NotFound { url })),
            status => return Err(Failure::Final(FetchError::Status { url, status })),
        }
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 64 << 10];
        let mut found = 0;
        let (Length::Exactly(limit) | Length::AtMost(limit)) = length;
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::Http(error.into())),
            };
            found += count as u64;
            if found > limit {
                return Err(Failure::Final(FetchError::Size { url, expected: limit, found, more: true }));
            }
            sink.put(&buffer[..count]).map_err(|error| Failure::Final(error.into()))?;
            so_far(found);
        }
        match length {
            Length::Exactly(expected) if expected != found => {
                Err(Failure::Final(FetchError::Size { url, expected, found, more: false }))
            }
            _ => Ok(()),
        }
    }
}

/// How one try failed.
enum Failure {
    Http(ureq::Error),
    Final(FetchError),
}

impl Failure {
    /// Whether the next try may go well: the server is busy, or the connection broke. Not when nobody listens.
    fn is_transient(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof, WouldBlock};
        match self {
            Self::Final(FetchError::Status { status, .. }) => *status >= 500 || *status == 429,
            Self::Final(_) => false,
            Self::Http(ureq::Error::Timeout(_)) => true,
            Self::Http(ureq::Error::Io(error)) => {
                let broken = [BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof, WouldBlock];
                broken.contains(&error.kind())
            }
            Self::Http(_) => false,
        }
    }
}

/// Does `work` for each of `items` on a few threads, and gives the results in the items' order, or the first error. After
/// an error no further item is begun.
pub(super) fn in_parallel<T: Sync, R: Send, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let queue = Mutex::new(items.iter().enumerate());
    let failure = Mutex::new(None);
    let results = Mutex::new((0..items.len()).map(|_| None).collect::<Vec<Option<R>>>());
    // A lock is poisoned only when `work` panicked, and then `scope` panics anyway.
    thread::scope(|scope| {
        for _ in 0..PARALLEL.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let next = if lock(&failure).is_some() { None } else { lock(&queue).next() };
                    let Some((index, item)) = next else { break };
                    match work(item) {
                        Ok(result) => lock(&results)[index] = Some(result),
                        Err(error) => {
                            lock(&failure).get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    match lock(&failure).take() {
        Some(error) => Err(error),
        None => Ok(std::mem::take(&mut *lock(&results)).into_iter().flatten().collect()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

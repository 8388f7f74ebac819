//! Files that a test leaves for whoever reads the run: [`Spot`] is where in the guest it may, [`fetch`] brings them here.
//!
//! The directory is named by the environment variable [`VARIABLE`]. A test that leaves nothing costs no exchange with the guest:
//! its own command line says whether there is something. Nothing here changes a verdict; what goes wrong is a warning.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use super::unpack::{self, Limits, Unpacked};
use crate::provision::in_background;
use crate::vm::ssh::{Exit, Output, Session, quote};

/// The environment variable of a test that names its directory.
pub const VARIABLE: &str = "UKCI_ARTIFACTS";

/// What one test may leave. A guest's memory is where it all lies.
const LIMITS: Limits = Limits { bytes: 64 << 20, files: 4096 };

/// The transfer of as much takes about half a minute under emulation.
const DEADLINE: Duration = Duration::from_secs(180);

/// What `tar` adds to the content: a header and padding for each file and each long name, and its end.
const OVERHEAD: u64 = LIMITS.files * 2048 + (1 << 20);

/// The guest's last line when there is something to fetch.
const MARK: &str = "\nukci: artifacts\n";

/// A directory of the guest for the artifacts of one execution of one test.
#[derive(Debug)]
pub(super) struct Spot {
    path: String,
}

impl Spot {
    /// The directory with this name, which nothing else in the guest has.
    pub(super) fn new(name: &str) -> Self {
        // Not below /tmp, which tests may fill or mount over.
        Self { path: format!("/run/ukci.artifacts/{name}") }
    }

    /// Its path in the guest.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The command that makes it. A test may give up its privileges: everybody may write.
    pub(super) fn make(&self) -> String {
        format!("mkdir -p -m 1777 {}", quote(&self.path))
    }

    /// The command that removes it when it is empty, and else says so.
    pub(super) fn look(&self) -> String {
        let path = quote(&self.path);
        format!("rmdir {path} 2>/dev/null || [ ! -d {path} ] || printf {}", quote(&MARK.replace('\n', "\\n")))
    }
}

/// Takes the guest's word on artifacts out of what a test printed. One that printed more than is kept may have left some.
pub(super) fn take_mark(output: &mut Output) -> bool {
    match output.stdout.strip_suffix(MARK.as_bytes()) {
        Some(before) => {
            let length = before.len();
            output.stdout.truncate(length);
            true
        }
        None => output.truncated,
    }
}

/// What came of fetching.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// The files, relative to the directory that they were fetched to, sorted.
    pub(super) files: Vec<String>,
    /// What was left behind, and why.
    pub(super) warning: Option<String>,
}

impl Fetched {
    fn nothing(why: String) -> Self {
        Self { files: Vec::new(), warning: Some(why) }
    }
}

/// Brings the regular files below `spot` to the directory `into`, which is made when there is one, and removes them from
/// the guest. The bytes are the guest's, so nothing of them is trusted.
pub(super) async fn fetch(session: &Session, spot: &Spot, into: &Path) -> Fetched {
    let archive = match tempfile::tempfile().and_then(|file| Ok((file.try_clone()?, file))) {
        Ok(archive) => archive,
        Err(error) => return Fetched::nothing(format!("its artifacts cannot be fetched: {error}")),
    };
    let (theirs, ours) = archive;
    let most = LIMITS.bytes + OVERHEAD;
    // Only files of this file system, by their names: neither a link nor what is mounted here leads elsewhere. More names than a
    // command line holds make more archives, one behind the other.
    let command = format!(
        "cd {} 2>/dev/null || exit 0; find . -xdev -type f -exec tar -c -f - {{}} + | head -c {}; \
         find . -xdev -type f -exec rm -f {{}} +",
        quote(spot.path()),
        most + 1
    );
    let output = match session.run_into(&command, DEADLINE, theirs, most + 1).await {
        Ok(output) => output,
        Err(error) => return Fetched::nothing(format!("its artifacts cannot be fetched: {error}")),
    };
    let into = into.to_owned();
    let unpacked = in_background(move || unpack_from(ours, most, &into)).await;
    report(unpacked, &output)
}

/// Unpacks what has arrived in `archive`.
fn unpack_from(mut archive: File, most: u64, into: &Path) -> Unpacked {
    use std::io::{BufReader, Seek};
    match archive.metadata().and_then(|data| archive.rewind().map(|()| data.len())) {
        Ok(length) if length > most => Unpacked::refused(too_large()),
        Ok(_) => unpack::unpack(BufReader::new(archive), into, LIMITS),
        Err(error) => Unpacked::refused(error.to_string()),
    }
}

fn too_large() -> String {
    format!("together larger than {} MiB, so none is kept", LIMITS.bytes >> 20)
}

fn report(unpacked: Unpacked, output: &Output) -> Fetched {
    let Unpacked { files, trouble } = unpacked;
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().map(str::trim).find(|line| !line.is_empty());
    let why = match (trouble, &output.exit, said) {
        (_, Exit::TimedOut, _) => Some(format!("not all arrived within {} s", DEADLINE.as_secs())),
        (Some(trouble), ..) => Some(trouble),
        (None, _, Some(said)) => Some(format!("the guest says: {said}")),
        (None, ..) => None,
    };
    Fetched { files, warning: why.map(|why| format!("its artifacts are incomplete: {why}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(stdout: &str, truncated: bool) -> Output {
        let (stdout, stderr) = (stdout.as_bytes().to_vec(), Vec::new());
        Output { exit: Exit::Code(0), stdout, stderr, truncated, elapsed: Duration::ZERO }
    }

    /// Check that the guest's word is found at the end alone, and does not stay in what the test printed.
    #[test]
    fn only_the_last_line_says_that_there_are_artifacts() {
        let mut with = output("running 1 test\nok\n\nukci: artifacts\n", false);
        assert!(take_mark(&mut with));
        assert_eq!(with.stdout, b"running 1 test\nok\n");
        let mut without = output("\nukci: artifacts\nok\n", false);
        assert!(!take_mark(&mut without));
        assert_eq!(without.stdout, b"\nukci: artifacts\nok\n");
        assert!(take_mark(&mut output("cut", true)), "its end was not kept");
    }

    /// Check that too much is refused as a whole, with the limit in the message.
    #[test]
    fn an_archive_over_the_limit_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let archive = tempfile::tempfile().unwrap();
        archive.set_len(101).unwrap();
        let fetched = report(unpack_from(archive, 100, directory.path()), &output("", false));
        assert_eq!(
            fetched.warning.as_deref(),
            Some("its artifacts are incomplete: together larger than 64 MiB, so none is kept")
        );
        assert_eq!(fetched.files, [""; 0]);
    }
}

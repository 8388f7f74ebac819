//! The QEMU that is used: [`Qemu`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::process::Command;
use crate::vm::VmError;

/// QEMU prints its version at once; a machine that is busy may take a while to load its libraries.
const ANSWER: Duration = Duration::from_secs(60);

/// How to start QEMU, and what it can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qemu {
    /// The program to run: QEMU, or the loader that runs it.
    pub program: PathBuf,
    /// What stands before QEMU's own arguments: the loader's arguments and QEMU's path.
    pub args: Vec<OsString>,
    /// What is added to the environment, for example where its modules are.
    pub env: Vec<(OsString, OsString)>,
    /// The directories with its firmware, when that is not where it was built to look.
    pub firmware: Vec<PathBuf>,
    /// Its version, for example `10.0.13`.
    pub version: String,
    /// Whether it can restrict its own system calls.
    pub sandbox: bool,
}

impl Qemu {
    /// Asks a QEMU for its version and whether it can sandbox itself.
    ///
    /// # Errors
    /// When it cannot be run, or is no QEMU.
    pub async fn inspect(
        program: PathBuf,
        args: Vec<OsString>,
        env: Vec<(OsString, OsString)>,
        firmware: Vec<PathBuf>,
    ) -> Result<Self, VmError> {
        let mut qemu = Self { program, args, env, firmware, version: String::new(), sandbox: false };
        let first = qemu.ask("--version").await?;
        // `QEMU emulator version 10.0.13 (…)`
        let version = first.split_once(" version ").and_then(|(_, rest)| rest.split_ascii_whitespace().next());
        let Some(version) = version else {
            let found = first.lines().next().unwrap_or_default().to_owned();
            return Err(VmError::NotQemu { program: qemu.program, found });
        };
        qemu.version = version.to_owned();
        qemu.sandbox = qemu.ask("-help").await?.contains("-sandbox on");
        Ok(qemu)
    }

    async fn ask(&self, question: &str) -> Result<String, VmError> {
        let answer = self.command().arg(question).capture().run(ANSWER).await?;
        Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
    }

    pub(super) fn command(&self) -> Command {
        let command = Command::new(&self.program).args(&self.args);
        self.env.iter().fold(command, |command, (key, value)| command.env(key, value))
    }
}

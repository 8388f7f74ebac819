//! Runs a guest: [`Vm`] is a machine from its start to its end. The only module that knows QEMU and ssh.
//!
//! ```text
//! MachineSpec ─command_line─▶ QEMU ─┬─ console ─▶ console.log, complaints, "ready"
//!                                   ├─ QMP ─────▶ events, quit
//!                                   └─ ssh ─────▶ Session
//! ```
//!
//! Every wait is for one of two things: what is expected, or QEMU's end; and it has a deadline.

pub mod complaint;
pub mod console;
mod deadlines;
mod error;
pub mod keys;
pub mod machine;
pub mod probe;
mod qemu;
pub mod qmp;
pub mod ssh;

use std::fs::File;
use std::future::Future;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

pub use self::deadlines::Deadlines;
pub use self::error::{Evidence, Stage, VmError};
pub use self::qemu::Qemu;

use crate::process::Process;
use crate::vm::console::Console;
use crate::vm::keys::RunKeys;
use crate::vm::machine::{MachineSpec, QMP_SOCKET, SSH_SOCKET};
use crate::vm::qmp::{Event, Qmp, QmpError};
use crate::vm::ssh::Session;

/// The time that the console of an ended QEMU gets to be read, and an ended connection to show that QEMU has ended.
const AFTERMATH: Duration = Duration::from_secs(5);

/// A running guest. Dropping it kills QEMU and removes its sockets.
#[derive(Debug)]
pub struct Vm {
    // Killed before its sockets are removed: fields are dropped in this order.
    process: Process,
    qmp: Option<Qmp>,
    events: mpsc::UnboundedReceiver<Event>,
    console: Console,
    qemu_log: PathBuf,
    sockets: SocketDirectory,
    deadlines: Deadlines,
    /// How often we have connected. The guest opens its port anew, and says so, after each of our connections.
    connected: u64,
    shutdown: Option<String>,
}

impl Vm {
    /// Starts a machine and waits until its init is ready. The logs `console.log` and `qemu.log` go to `logs`; its sockets
    /// lie in a directory below `private`, which only we may enter.
    ///
    /// # Errors
    /// When QEMU does not start, or the guest ends or is not ready in time; the error says which, with what was seen.
    pub async fn boot(
        qemu: &Qemu,
        spec: &MachineSpec,
        logs: &Path,
        private: &Path,
        deadlines: Deadlines,
    ) -> Result<Self, VmError> {
        let sockets = SocketDirectory::below(private)?;
        let socket = sockets.path(QMP_SOCKET);
        let doing = "make the socket";
        let listener = UnixListener::bind(&socket).map_err(|source| VmError::Io { doing, path: socket, source })?;

        let qemu_log = logs.join("qemu.log");
        let line = spec.command_line(&qemu.firmware, qemu.sandbox);
        let started = Instant::now();
        let command = qemu.command().args(&line.qemu).current_dir(sockets.directory.path()).log(&qemu_log);
        let mut process = command.capture().spawn()?;
        let console_log = logs.join("console.log");
        // The command captures its output, so it is there.
        let Some(output) = process.take_stdout() else { return Err(VmError::NoConsole) };
        let console = Console::start(output, &console_log, started).map_err(|source| VmError::Io {
            doing: "write the log",
            path: console_log,
            source,
        })?;

        let (sender, events) = mpsc::unbounded_channel();
        let mut vm =
            Self { process, qmp: None, events, console, qemu_log, sockets, deadlines, connected: 0, shutdown: None };
        vm.qmp = Some(vm.start_qmp(listener, sender).await?);
        vm.wait_until_ready().await?;
        Ok(vm)
    }

    async fn start_qmp(
        &mut self,
        listener: UnixListener,
        events: mpsc::UnboundedSender<Event>,
    ) -> Result<Qmp, VmError> {
        let connect = async {
            let (stream, _address) = listener.accept().await?;
            Qmp::connect(stream, events).await
        };
        let deadline = self.deadlines.start;
        match self.unless_ended(Stage::Start, "QEMU to answer", deadline, connect).await? {
            Ok(qmp) => Ok(qmp),
            Err(source @ QmpError::Protocol { .. }) => Err(VmError::Qmp { source, evidence: self.evidence() }),
            Err(source) => Err(self.lost_or(Stage::Start, |evidence| VmError::Qmp { source, evidence }).await),
        }
    }

    async fn wait_until_ready(&mut self) -> Result<(), VmError> {
        let (ready, deadline) = (self.console.wait_for_init("ready", 1), self.deadlines.boot);
        let said = self.unless_ended(Stage::Boot, "the guest's init to be ready", deadline, ready).await?;
        match said.as_deref() {
            Some("ready") => Ok(()),
            Some(said) => Err(self.init_failed(said.to_owned(), Stage::Boot)),
            None => Err(self.ended(Stage::Boot).await),
        }
    }

    /// Waits for `expected` until the deadline, or QEMU's end, which is an error.
    async fn unless_ended<T>(
        &mut self,
        stage: Stage,
        waiting_for: &'static str,
        deadline: Duration,
        expected: impl Future<Output = T>,
    ) -> Result<T, VmError> {
        tokio::select! {
            // What was expected may have come just before the end.
            biased;
            value = expected => Ok(value),
            end = self.process.wait() => Err(self.post_mortem(stage, end?.to_string()).await),
            () = tokio::time::sleep(deadline) =>
                Err(VmError::Deadline { stage, waiting_for, deadline, evidence: self.evidence() }),
        }
    }

    /// Opens an ssh session. After an earlier one is dropped, another can be opened.
    ///
    /// # Errors
    /// When the guest ends, does not open its port in time, or ssh fails.
    pub async fn connect(&mut self, keys: &RunKeys) -> Result<Session, VmError> {
        let deadline = self.deadlines.connect;
        let start = Instant::now();
        let opened = self.console.wait_for_init("listening", self.connected + 1);
        match self.unless_ended(Stage::Connect, "the guest to open its port", deadline, opened).await?.as_deref() {
            Some("listening") => {}
            _failed => return Err(self.ended(Stage::Connect).await),
        }
        self.connected += 1;
        let socket = self.sockets.path(SSH_SOCKET);
        let left = deadline.saturating_sub(start.elapsed());
        match Session::connect(&socket, keys, left).await {
            Ok(session) => Ok(session),
            Err(source) => Err(self.lost_or(Stage::Connect, |evidence| VmError::Connect { source, evidence }).await),
        }
    }

    /// The guest's console.
    #[must_use]
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// QEMU's process number, until its end has been seen.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.id()
    }

    /// The time that this machine's processors spent on QEMU, once its end has been seen.
    #[must_use]
    pub fn cpu_time(&self) -> Option<Duration> {
        self.process.cpu_time()
    }

    /// Waits for the guest's end, which in the stage `stage` is an error, and says why it came. Safe to cancel.
    pub async fn ended(&mut self, stage: Stage) -> VmError {
        match self.process.wait().await {
            Ok(status) => self.post_mortem(stage, status.to_string()).await,
            Err(error) => error.into(),
        }
    }

    /// What became of the guest, when a connection to it broke: its end if it has ended, else what `otherwise` says.
    pub async fn lost_or(&mut self, stage: Stage, otherwise: impl FnOnce(Box<Evidence>) -> VmError) -> VmError {
        match timeout(AFTERMATH, self.ended(stage)).await {
            Ok(error) => error,
            Err(_still_running) => otherwise(self.evidence()),
        }
    }

    /// What init said, and the reason where the kernel knows a better one.
    fn init_failed(&self, said: String, stage: Stage) -> VmError {
        let evidence = self.evidence();
        match self.console.tail().iter().any(|line| line.contains("Initramfs unpacking failed")) {
            true => VmError::Cramped { said, stage, evidence },
            false => VmError::Init { said, stage, evidence },
        }
    }

    async fn post_mortem(&mut self, stage: Stage, status: String) -> VmError {
        // A process that QEMU left behind could hold the console open; what is there has been read then.
        drop(timeout(AFTERMATH, self.console.closed()).await);
        while let Ok(Event::Shutdown { reason }) = self.events.try_recv() {
            self.shutdown = Some(reason);
        }
        let evidence = self.evidence();
        if let Some(panic) = self.console.panic() {
            return VmError::Panicked { title: panic.title, stage, evidence };
        }
        if let Some(said) = self.console.init_failure() {
            return self.init_failed(said, stage);
        }
        let shutdown = self.shutdown.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        VmError::Died { status: status + &shutdown, stage, evidence }
    }

    fn evidence(&self) -> Box<Evidence> {
        Box::new(Evidence::collect(&self.console, &self.qemu_log))
    }

    /// Ends the guest: through `session` if there is one, else or if that does not work through QEMU, else by force.
    /// It has ended when this returns, also with an error.
    ///
    /// # Errors
    /// When the guest panicked on the way down, or did not go down when it was asked to.
    pub async fn power_off(&mut self, session: Option<Session>) -> Result<(), VmError> {
        let deadline = self.deadlines.power_off;
        let mut refused = None;
        if let Some(session) = session {
            // The power goes off before the command can answer, so that the connection breaks is expected.
            let request = session.run("poweroff -f", deadline);
            if self.ends_within(deadline, request).await? {
                return self.went_down();
            }
            let (stage, waiting_for) = (Stage::PowerOff, "the guest to switch itself off");
            refused = Some(VmError::Deadline { stage, waiting_for, deadline, evidence: self.evidence() });
        }
        let qmp = self.qmp.take();
        let quit = async {
            match qmp {
                Some(mut qmp) => qmp.execute("quit", Value::Null).await.map(drop),
                None => Err(QmpError::Closed),
            }
        };
        if !self.ends_within(deadline, quit).await? {
            self.process.kill();
            self.process.wait().await?;
        }
        refused.map_or(Ok(()), Err)
    }

    fn went_down(&self) -> Result<(), VmError> {
        match self.console.panic() {
            Some(panic) => {
                Err(VmError::Panicked { title: panic.title, stage: Stage::PowerOff, evidence: self.evidence() })
            }
            None => Ok(()),
        }
    }

    /// Makes a request that should end QEMU, and waits for that.
    async fn ends_within<T>(&mut self, deadline: Duration, request: impl Future<Output = T>) -> Result<bool, VmError> {
        let both = async {
            let (_answer, status) = tokio::join!(request, self.process.wait());
            status
        };
        match timeout(deadline, both).await {
            Ok(status) => {
                status?;
                drop(timeout(AFTERMATH, self.console.closed()).await);
                Ok(true)
            }
            Err(_elapsed) => Ok(false),
        }
    }
}

/// The directory of one VM's sockets, which only we may enter.
///
/// The path of a unix socket is limited to 107 bytes (unix(7)). QEMU runs in the directory and names its sockets without
/// a path; we reach them through the directory's descriptor.
#[derive(Debug)]
struct SocketDirectory {
    directory: TempDir,
    descriptor: File,
}

impl SocketDirectory {
    fn below(private: &Path) -> Result<Self, VmError> {
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| VmError::Io { doing, path, source }
        };
        let directory = TempDir::new_in(private).map_err(failed("make a directory in", private))?;
        let descriptor = File::open(directory.path()).map_err(failed("open", directory.path()))?;
        Ok(Self { directory, descriptor })
    }

    fn path(&self, socket: &str) -> PathBuf {
        format!("/proc/self/fd/{}/{socket}", self.descriptor.as_raw_fd()).into()
    }
}

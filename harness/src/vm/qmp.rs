//! Talks to QEMU itself: [`Qmp`] is a client of its machine protocol.
//!
//! The protocol is JSON, one object per line: QEMU greets, both agree on capabilities, then every command is answered by a
//! `return` or an `error` with the command's id, and events come in between.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Why QEMU could not be talked to.
#[derive(Debug, Error)]
pub enum QmpError {
    /// The connection ended, which it does when QEMU ends.
    #[error("QEMU closed its control connection")]
    Closed,
    /// Reading or writing failed.
    #[error("the control connection to QEMU failed: {0}")]
    Io(#[from] io::Error),
    /// Not what the protocol allows.
    #[error("expected a message of QEMU's machine protocol, found `{found}`")]
    Protocol {
        /// The beginning of what came.
        found: String,
    },
    /// QEMU refused a command.
    #[error("QEMU refused `{command}`: {reason}")]
    Refused {
        /// The command.
        command: String,
        /// QEMU's reason.
        reason: String,
    },
}

/// Something that happened to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The guest opened or closed its end of a virtio port.
    ///
    /// QEMU sends at most one per second and port, and then the last: a close may go missing, an open not.
    Port {
        /// Whether it is open now.
        open: bool,
    },
    /// The machine is going down, for example because of `guest-shutdown`, `guest-reset` (a panic with
    /// `-no-reboot`) or `host-qmp-quit`.
    Shutdown {
        /// QEMU's word for why.
        reason: String,
    },
}

/// A connection to QEMU. Dropping it closes the connection.
#[derive(Debug)]
pub struct Qmp {
    write: OwnedWriteHalf,
    pending: Arc<Pending>,
    next_id: u64,
    reader: JoinHandle<()>,
}

type Answer = Result<Value, String>;

/// The commands that wait for their answer; `None` once the connection has ended.
#[derive(Debug)]
struct Pending(Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>);

impl Pending {
    fn with<T>(&self, change: impl FnOnce(&mut Option<HashMap<u64, oneshot::Sender<Answer>>>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Return { id: u64, r#return: Value },
    Error { id: u64, error: Refusal },
    Event { event: String, data: Option<Value> },
}

#[derive(Deserialize)]
struct Refusal {
    desc: String,
}

/// The longest message that we accept; QEMU's are a few hundred bytes.
const MAX_MESSAGE: u64 = 1 << 20;

impl Qmp {
    /// Reads the greeting and agrees on no extra capability. Events go to `events`.
    ///
    /// # Errors
    /// When the other end does not speak the protocol, or closes.
    pub async fn connect(stream: UnixStream, events: mpsc::UnboundedSender<Event>) -> Result<Self, QmpError> {
        let (read, write) = stream.into_split();
        let mut read = BufReader::new(read);
        let greeting = read_message(&mut read).await?;
        if greeting.get("QMP").is_none() {
            return Err(unexpected(&greeting.to_string()));
        }
        let pending = Arc::new(Pending(Mutex::new(Some(HashMap::new()))));
        let reader = tokio::spawn(dispatch(read, Arc::clone(&pending), events));
        let mut qmp = Self { write, pending, next_id: 0, reader };
        qmp.execute("qmp_capabilities", Value::Null).await?;
        Ok(qmp)
    }

    /// Executes a command and waits for its answer.
    ///
    /// # Errors
    /// When QEMU refuses it or the connection ends.
    pub async fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        self.next_id += 1;
        let id = self.next_id;
        let (answer, answered) = oneshot::channel();
        let registered = self.pending.with(|pending| pending.as_mut().map(|map| map.insert(id, answer)).is_some());
        if !registered {
            return Err(QmpError::Closed);
        }
        let mut message = json!({"execute": command, "id": id});
        if !arguments.is_null() {
            message["arguments"] = arguments;
        }
        if let Err(error) = self.write.write_all(format!("{message}\n").as_bytes()).await {
            let closed = error.kind() == io::ErrorKind::BrokenPipe;
            return Err(if closed { QmpError::Closed } else { error.into() });
        }
        match answered.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(reason)) => Err(QmpError::Refused { command: command.to_owned(), reason }),
            // The reader has dropped the sender: the connection is gone.
            Err(_closed) => Err(QmpError::Closed),
        }
    }
}

impl Drop for Qmp {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn unexpected(found: &str) -> QmpError {
    QmpError::Protocol { found: found.chars().take(200).collect() }
}

async fn read_message(read: &mut BufReader<OwnedReadHalf>) -> Result<Value, QmpError> {
    let mut line = Vec::new();
    tokio::io::AsyncReadExt::take(&mut *read, MAX_MESSAGE).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Err(QmpError::Closed);
    }
    serde_json::from_slice(&line).map_err(|_not_json| unexpected(String::from_utf8_lossy(&line).trim_end()))
}

/// Hands each message to whom it concerns until the connection ends; then whoever still waits is told.
async fn dispatch(mut read: BufReader<OwnedReadHalf>, pending: Arc<Pending>, events: mpsc::UnboundedSender<Event>) {
    // What is not valid here is as good as a closed connection: QEMU's end, which the VM watches, tells more.
    while let Ok(message) = read_message(&mut read).await {
        let answer = match serde_json::from_value(message) {
            Ok(Message::Return { id, r#return }) => Some((id, Ok(r#return))),
            Ok(Message::Error { id, error }) => Some((id, Err(error.desc))),
            Ok(Message::Event { event, data }) => {
                if let Some(event) = known(&event, &data.unwrap_or_default()) {
                    // Nobody listens any more when the VM is being dropped.
                    drop(events.send(event));
                }
                None
            }
            Err(_unknown) => None,
        };
        if let Some((id, answer)) = answer
            && let Some(waiting) = pending.with(|pending| pending.as_mut().and_then(|map| map.remove(&id)))
        {
            drop(waiting.send(answer));
        }
    }
    pending.with(Option::take);
}

fn known(event: &str, data: &Value) -> Option<Event> {
    match event {
        "VSERPORT_CHANGE" => Some(Event::Port { open: data["open"].as_bool()? }),
        "SHUTDOWN" => Some(Event::Shutdown { reason: data["reason"].as_str().unwrap_or("unknown").to_owned() }),
        "GUEST_PANICKED" => Some(Event::Shutdown { reason: "guest-panic".to_owned() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn client(script: &'static [&'static str]) -> (Result<Qmp, QmpError>, mpsc::UnboundedReceiver<Event>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        tokio::spawn(async move {
            let (read, mut write) = theirs.into_split();
            let mut commands = BufReader::new(read).lines();
            for step in script {
                // A step that begins with `>` waits for a command that contains the rest.
                if let Some(wanted) = step.strip_prefix('>') {
                    let command = commands.next_line().await.unwrap().unwrap();
                    assert!(command.contains(wanted), "{command}");
                } else {
                    write.write_all(format!("{step}\r\n").as_bytes()).await.unwrap();
                }
            }
        });
        let (sender, events) = mpsc::unbounded_channel();
        (Qmp::connect(ours, sender).await, events)
    }

    const GREETING: &str = r#"{"QMP": {"version": {}, "capabilities": []}}"#;

    #[tokio::test]
    async fn answers_find_their_command_and_events_pass_by() {
        let (qmp, mut events) = client(&[
            GREETING,
            ">qmp_capabilities",
            r#"{"return": {}, "id": 1}"#,
            ">query-status",
            r#"{"event": "VSERPORT_CHANGE", "data": {"open": true, "id": "x"}, "timestamp": {}}"#,
            r#"{"event": "NIC_RX_FILTER_CHANGED", "data": {}}"#,
            r#"{"return": {"status": "running"}, "id": 2}"#,
            ">nonsense",
            r#"{"id": 3, "error": {"class": "CommandNotFound", "desc": "no such command"}}"#,
            r#"{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}"#,
        ])
        .await;
        let mut qmp = qmp.unwrap();
        assert_eq!(qmp.execute("query-status", Value::Null).await.unwrap()["status"], "running");
        let error = qmp.execute("nonsense", json!({"a": 1})).await.unwrap_err().to_string();
        assert_eq!(error, "QEMU refused `nonsense`: no such command");
        assert_eq!(events.recv().await, Some(Event::Port { open: true }));
        assert_eq!(events.recv().await, Some(Event::Shutdown { reason: "guest-reset".into() }));
        // The script is over and its end closed.
        assert_eq!(events.recv().await, None);
        assert!(matches!(qmp.execute("quit", Value::Null).await, Err(QmpError::Closed)));
    }

    #[tokio::test]
    async fn a_command_under_way_fails_when_the_connection_ends() {
        let (qmp, _events) = client(&[GREETING, ">qmp_capabilities", r#"{"return": {}, "id": 1}"#, ">stop"]).await;
        assert!(matches!(qmp.unwrap().execute("stop", Value::Null).await, Err(QmpError::Closed)));
    }

    #[tokio::test]
    async fn garbage_is_named() {
        let (qmp, _events) = client(&["HTTP/1.1 200 OK"]).await;
        let error = qmp.unwrap_err().to_string();
        assert_eq!(error, "expected a message of QEMU's machine protocol, found `HTTP/1.1 200 OK`");
    }
}

//! The guest's end of the line: joins the virtio port `ukci.ssh` to the ssh server on 127.0.0.1:22, once, and exits.
//!
//! One process serves one connection of the host; `init` starts the next. That makes the life of a connection visible
//! to the host: the kernel tells QEMU when this process opens the port and when its exit closes it, and throws away
//! what the process left unread, so no byte of one connection reaches the next. The host waits for that close and open
//! before it connects again.
//!
//! A single file with no dependency but std, so that plain `rustc` builds it for every guest.
//! Exit status: 0 when the host has closed the line, 3 when the kernel shows no such port, 1 for anything else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

const PORT: &str = "ukci.ssh";
const SERVER: &str = "127.0.0.1:22";

/// The kernel learns of its ports from QEMU, asynchronously, and a moment may pass after the driver is loaded.
const PORT_DEADLINE: Duration = Duration::from_secs(10);
const PORT_RECHECK: Duration = Duration::from_millis(2);

/// The host may send lines before its version string (RFC 4253, section 4.2), and its client skips them. Writing one
/// is how this process learns that the host is there: the kernel blocks a write until the host's end is open. The ssh
/// server is asked only then, because it gives a client that stays silent a limited time.
const GREETING: &[u8] = b"ukci relay\r\n";

fn main() -> ExitCode {
    let Some(path) = wait_for_port() else {
        eprintln!("ukci relay: no virtio port named {PORT}");
        return ExitCode::from(3);
    };
    match serve(path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ukci relay: {error}");
            ExitCode::FAILURE
        }
    }
}

fn wait_for_port() -> Option<PathBuf> {
    let start = Instant::now();
    loop {
        if let Some(path) = find_port() {
            return Some(path);
        }
        if start.elapsed() > PORT_DEADLINE {
            return None;
        }
        // Neither std nor the shell can wait for a device, so the condition is looked at again and again.
        thread::sleep(PORT_RECHECK);
    }
}

/// There is no udev that would make `/dev/virtio-ports/…`, so the port is found by its name in sysfs.
fn find_port() -> Option<PathBuf> {
    fs::read_dir("/sys/class/virtio-ports").ok()?.flatten().find_map(|port| {
        let name = fs::read_to_string(port.path().join("name")).ok()?;
        (name.trim_end() == PORT).then(|| PathBuf::from("/dev").join(port.file_name()))
    })
}

fn serve(path: PathBuf) -> io::Result<()> {
    let mut port = OpenOptions::new().read(true).write(true).open(path)?;
    port.write_all(GREETING)?;
    let server = TcpStream::connect(SERVER)?;
    server.set_nodelay(true)?; // Packets are complete when they arrive here; waiting for more only adds delay.

    let (mut to_host, mut from_server) = (port.try_clone()?, server.try_clone()?);
    // When the server ends the connection first, the host sees that in the ssh protocol and closes its end; until then
    // the port stays open, so that each connection of the host causes exactly one close and one open of the port.
    thread::spawn(move || copy(&mut from_server, &mut to_host));
    from_host(&mut port, &server)
}

/// Copies until the host closes its end, which is when the port reads 0 bytes. What comes after the server's end is
/// read and dropped.
fn from_host(port: &mut File, server: &TcpStream) -> io::Result<()> {
    let mut to_server = server;
    let mut server_is_there = true;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = port.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        if server_is_there && to_server.write_all(&buffer[..read]).is_err() {
            server_is_there = false;
            // The other direction may still hold the server's last words, so only this one is shut.
            drop(server.shutdown(Shutdown::Write));
        }
    }
}

fn copy(from: &mut TcpStream, to: &mut File) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read])?;
    }
}

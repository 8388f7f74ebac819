//! QEMU, played: this program, started by a script of that name on the PATH. The environment says how it behaves.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use crate::world::FAULT;

/// Not a test of its own: QEMU with the fault that the environment names. It gets QEMU's arguments.
#[test]
#[ignore = "plays QEMU for the other tests"]
fn fake_qemu() {
    let Ok(fault) = std::env::var(FAULT) else { return };
    let arguments: Vec<String> = std::env::args().collect();
    let socket = arguments.iter().find_map(|argument| argument.strip_prefix("socket,id=qmp,path="));
    let mut qmp = UnixStream::connect(socket.expect("a socket for QMP")).expect("connected");
    writeln!(qmp, r#"{{"QMP": {{}}}}"#).expect("written");
    let mut commands = BufReader::new(qmp.try_clone().expect("a socket")).lines();
    if commands.next().is_some() {
        writeln!(qmp, r#"{{"return": {{}}, "id": 1}}"#).expect("written");
    }
    let mut console = std::io::stdout();
    match &*fault {
        "panic" => {
            writeln!(console, "[ 1.0] Kernel panic - not syncing: VFS: no root\n[ 1.0] last words").expect("written");
            return;
        }
        "init" => writeln!(console, "[ 1.0] ukci: cannot find the virtio port").expect("written"),
        "deaf" => {
            writeln!(console, "[ 0.0] the guest is up").and_then(|()| console.flush()).expect("written");
            // Not even the end of ukci ends it.
            loop {
                std::thread::park();
            }
        }
        _ => writeln!(console, "[ 0.0] the guest is up").expect("written"),
    }
    console.flush().expect("written");
    // Until the other end is gone.
    while commands.next().is_some_and(|line| line.is_ok()) {}
}

//! Processes that run already, from /proc: [`with_descendants`].

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::error::{Error, ErrorKind, Result};

/// The processes and all their descendants.
///
/// # Errors
/// If one of them is not there.
pub(super) fn with_descendants(pids: &[u32]) -> Result<BTreeSet<u32>> {
    let processes = fs::read_dir("/proc").map_err(|err| Error::io("cannot read /proc", err))?;
    let processes = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: HashMap<u32, u32> = processes.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    if let Some(missing) = pids.iter().find(|pid| !parents.contains_key(pid)) {
        return Err(Error::new(ErrorKind::Spawn, format!("there is no process {missing}")));
    }
    Ok(parents.keys().copied().filter(|pid| is_below(*pid, pids, &parents)).collect())
}

fn is_below(mut pid: u32, roots: &[u32], parents: &HashMap<u32, u32>) -> bool {
    // The table is not of one moment, so that it may have a circle.
    for _ in 0..parents.len() {
        if roots.contains(&pid) {
            return true;
        }
        match parents.get(&pid) {
            Some(parent) => pid = *parent,
            None => return false,
        }
    }
    false
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Whether a process is gone for certain. In another pid namespace than the initial one its id means nothing here.
pub(super) fn is_gone(pid: u32) -> bool {
    /// PROC_PID_INIT_INO of the kernel.
    const INITIAL: u64 = 0xefff_fffc;
    fs::metadata("/proc/self/ns/pid").is_ok_and(|namespace| namespace.ino() == INITIAL)
        && fs::metadata(format!("/proc/{pid}")).is_err_and(|err| err.kind() == std::io::ErrorKind::NotFound)
}

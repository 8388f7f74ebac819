//! What the programs are told before they are loaded, and what their filter holds: [`Setup`].

use libbpf_rs::{MapCore, MapFlags};

use super::probe::Kernel;
use super::programs::Failure;
use super::tier::Tier;
use crate::options::{Collect, Filter, Outcome};
use crate::skeleton::types::{limits, wanted_kind, wire_field};
use crate::skeleton::{OpenTracerSkel, TracerSkel};

/// What the programs are to do.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) system_wide: bool,
    pub(super) collect: Collect,
    pub(super) filter: Filter,
    pub(super) ring_bytes: u32,
    pub(super) max_processes: u32,
    /// The best tier that may be used.
    pub(super) best: Tier,
}

impl Setup {
    pub(super) fn configure(&self, open: &mut OpenTracerSkel<'_>, kernel: &Kernel) -> Result<(), Failure> {
        let doing = |what| move |err| (what, err);
        let ring = ring_size(self.ring_bytes);
        if let Some(rodata) = &mut open.maps.rodata_data {
            rodata.system_wide = self.system_wide.into();
            rodata.from_run_queue = kernel.needs_run_queue().into();
            rodata.collect = collect_bits(&self.collect);
            rodata.wake_bytes = ring / 8;
            rodata.filter_pids = (!self.filter.pids.is_empty()).into();
            rodata.filter_uids = (!self.filter.uids.is_empty()).into();
            rodata.filter_comms = (!self.filter.comms.is_empty()).into();
            rodata.skip_successes = (self.filter.outcome == Outcome::Failure).into();
            rodata.skip_failures = (self.filter.outcome == Outcome::Success).into();
        }
        open.maps.events.set_max_entries(ring).map_err(doing("cannot size the ring buffer"))?;
        open.maps.traced.set_max_entries(self.max_processes.max(1)).map_err(doing("cannot size the process table"))?;
        let wanted = self.filter.pids.len() + self.filter.uids.len() + self.filter.comms.len();
        let wanted = u32::try_from(wanted.max(1)).unwrap_or(u32::MAX);
        open.maps.wanted.set_max_entries(wanted).map_err(doing("cannot size the filter"))
    }

    /// Puts the filter's keys into their map.
    pub(super) fn fill(&self, skel: &TracerSkel<'_>) -> Result<(), Failure> {
        let (pid_kind, uid_kind, comm_kind) =
            (wanted_kind::WANTED_PID, wanted_kind::WANTED_UID, wanted_kind::WANTED_COMM);
        let key = |kind: u32, id: u32, comm: &[u8]| {
            let mut key = [0; 8 + limits::COMM_LEN.0 as usize];
            key[..4].copy_from_slice(&kind.to_ne_bytes());
            key[4..8].copy_from_slice(&id.to_ne_bytes());
            let len = comm.len().min(limits::COMM_LEN.0 as usize - 1);
            key[8..8 + len].copy_from_slice(&comm[..len]);
            key
        };
        let pids = self.filter.pids.iter().map(|pid| key(pid_kind.0, *pid, b""));
        let uids = self.filter.uids.iter().map(|uid| key(uid_kind.0, *uid, b""));
        let comms = self.filter.comms.iter().map(|comm| key(comm_kind.0, 0, comm));
        for key in pids.chain(uids).chain(comms) {
            skel.maps.wanted.update(&key, &[1], MapFlags::ANY).map_err(|err| ("cannot fill the filter", err))?;
        }
        Ok(())
    }
}

/// What the kernel takes: a power of two, whole pages. 64 KiB is the largest page of the architectures that we serve.
fn ring_size(bytes: u32) -> u32 {
    bytes.clamp(64 << 10, 1 << 30).next_power_of_two()
}

/// The fields that are collected, as `collect` in send.h has them. The interpreter's words are part of argv.
fn collect_bits(collect: &Collect) -> u32 {
    let bits = [
        (collect.argv || collect.interpreter, wire_field::FIELD_ARGV),
        (collect.env, wire_field::FIELD_ENV),
        (collect.cwd, wire_field::FIELD_CWD),
        (collect.fds, wire_field::FIELD_FDS),
        (collect.credentials, wire_field::FIELD_CREDENTIALS),
        (collect.credentials, wire_field::FIELD_GROUPS),
        (collect.cgroup, wire_field::FIELD_CGROUP),
        (true, wire_field::FIELD_NAMESPACE_PIDS),
    ];
    bits.iter().filter(|(on, _)| *on).fold(0, |bits, (_, field)| bits | 1 << field.0)
}

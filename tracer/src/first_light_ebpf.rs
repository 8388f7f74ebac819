//! The eBPF backend, and the only module that knows libbpf: [`Tracer`] loads, attaches and reads.

use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, OpenObject, ProgramInput, RingBuffer, RingBufferBuilder};

use crate::assemble::Assembler;
use crate::error::{Error, ErrorKind, Result};
use crate::first_light::Event;
use crate::first_light_skeleton::{FirstLightSkel, FirstLightSkelBuilder, types};

use crate::ebpf::load_error::{capture_log, classify};

/// Whose execs are traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// Everybody's.
    System,
    /// Those of commands that [`Tracer::spawn`] starts, and of all their descendants.
    Spawned,
}

/// Options of a [`Tracer`]; from [`Tracer::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    ring_bytes: u32,
    max_processes: u32,
}

impl Default for Builder {
    fn default() -> Self {
        Self { ring_bytes: 8 << 20, max_processes: 32 << 10 }
    }
}

impl Builder {
    /// The size of the ring buffer, rounded up to what the kernel takes (a power of two, whole pages). An exec takes
    /// about 0.7 KiB, and more with a long argv. Default: 8 MiB.
    pub fn ring_bytes(mut self, bytes: u32) -> Self {
        // 64 KiB is the largest page of the architectures that we serve; 1 GiB leaves room for the rounding.
        self.ring_bytes = bytes.clamp(64 << 10, 1 << 30).next_power_of_two();
        self
    }

    /// The number of spawned processes that can be alive at a time; those beyond are counted in
    /// [`Summary::untracked`]. Default: 32,768, the usual `pid_max`.
    pub fn max_processes(mut self, processes: u32) -> Self {
        self.max_processes = processes.max(1);
        self
    }

    /// Loads the BPF programs and attaches them.
    pub fn attach(self, scope: Scope) -> Result<Tracer> {
        let (attached, log) = capture_log(|| self.load(scope));
        attached.map_err(|(doing, err)| classify(doing, err, log))
    }

    fn load(self, scope: Scope) -> Result<Tracer, (&'static str, libbpf_rs::Error)> {
        // The skeleton borrows the place of its object for as long as it lives, and drops the object itself. Leaking
        // that place, one pointer in size, lets `Tracer` own the skeleton without unsafe code.
        let place: &'static mut MaybeUninit<OpenObject> = Box::leak(Box::new(MaybeUninit::uninit()));
        let doing = |what| move |err| (what, err);

        // libbpf raises RLIMIT_MEMLOCK by itself, only where the kernel needs it (before 5.11), and goes on if it may not.
        let mut open = FirstLightSkelBuilder::default().open(place).map_err(doing("cannot open the BPF object"))?;
        let system = scope == Scope::System;
        if let Some(rodata) = &mut open.maps.rodata_data {
            rodata.system_wide = system.into();
        }
        open.progs.tracer_fork.set_autoload(!system);
        open.progs.tracer_exit.set_autoload(!system);
        open.progs.tracer_spawner.set_autoload(!system);
        open.maps.events.set_max_entries(self.ring_bytes).map_err(doing("cannot size the ring buffer"))?;
        open.maps.traced.set_max_entries(self.max_processes).map_err(doing("cannot size the process table"))?;
        let skel = open.load().map_err(doing("cannot load the BPF programs"))?;

        let assembler = Arc::new(Mutex::new(Assembler::default()));
        let sink = Arc::clone(&assembler);
        let mut ring = RingBufferBuilder::new();
        ring.add(&skel.maps.events, move |record| {
            lock(&sink).push(record);
            0
        })
        .map_err(doing("cannot use the ring buffer"))?;
        let ring = ring.build().map_err(doing("cannot map the ring buffer"))?;

        // Exit before fork, so that no process is put into the table and never taken out.
        let mut links = Vec::new();
        if !system {
            links.push(skel.progs.tracer_exit.attach().map_err(doing("cannot attach to sched_process_exit"))?);
            links.push(skel.progs.tracer_fork.attach().map_err(doing("cannot attach to sched_process_fork"))?);
        }
        links.push(skel.progs.tracer_exec.attach().map_err(doing("cannot attach to sched_process_exec"))?);

        Ok(Tracer { links, ring, assembler, skel, scope, execs: 0, skipped: 0, lost_reported: 0 })
    }
}

/// What a trace came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Execs that were handed out.
    pub execs: u64,
    /// Execs that were not recorded in whole: without room (see [`Builder::ring_bytes`]), or because the kernel skipped
    /// the program. It skips it while another task on the same CPU is preempted in it, on kernels that allow that, and
    /// does not say whose exec it was: some of them may have been out of scope.
    pub lost: u64,
    /// Processes that should have been traced and were not, with all their descendants: without room (see
    /// [`Builder::max_processes`]), or because the kernel skipped the program; then some may have been out of scope.
    pub untracked: u64,
}

/// A running trace. Dropping it detaches and unloads everything.
pub struct Tracer {
    // In the order in which they are dropped.
    links: Vec<Link>,
    ring: RingBuffer<'static>,
    assembler: Arc<Mutex<Assembler>>,
    skel: FirstLightSkel<'static>,
    scope: Scope,
    execs: u64,
    skipped: u64,
    lost_reported: u64,
}

impl Tracer {
    /// Options other than the default ones.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Loads the BPF programs and attaches them, with default options.
    pub fn attach(scope: Scope) -> Result<Tracer> {
        Self::builder().attach(scope)
    }

    /// Starts a command whose execs, and those of its descendants, are traced; the first one is its own.
    ///
    /// Other children of this process are not traced, even if other threads start them meanwhile.
    pub fn spawn(&mut self, command: &mut Command) -> Result<Child> {
        if self.scope == Scope::Spawned {
            let marked = self.skel.progs.tracer_spawner.test_run(ProgramInput::default());
            marked.map_err(|err| Error::io("cannot mark this thread as the one that spawns", err))?;
        }
        let child = command.spawn();
        if let Some(bss) = &mut self.skel.maps.bss_data {
            // SAFETY: a reference is a valid pointer; volatile, because the kernel reads the same memory.
            unsafe { (&raw mut bss.spawner).write_volatile(0) };
        }
        child.map_err(|err| {
            Error::new(ErrorKind::Spawn, format!("cannot start `{}`", command.get_program().display())).with_source(err)
        })
    }

    /// The next event, waiting for it until `timeout`; `None` if there was none. An interrupting signal ends the wait.
    pub fn poll(&mut self, timeout: Duration) -> Result<Option<Event>> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            if let Some(event) = self.ready() {
                return Ok(Some(event));
            }
            // Records that were written before this call are there without a wait.
            self.ring.consume().map_err(|err| Error::io("cannot read the ring buffer", err))?;
            // A skipped program sends nothing, so that it must be asked for.
            self.skipped = missed(self.skel.progs.tracer_exec.as_fd());
            if let Some(event) = self.ready() {
                return Ok(Some(event));
            }
            // A record is part of an exec: only the deadline says that there is nothing more.
            let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(None);
            }
            match self.ring.poll(left.min(Duration::from_secs(3600))) {
                Ok(()) => {}
                Err(err) if err.kind() == libbpf_rs::ErrorKind::Interrupted => return Ok(None),
                Err(err) => return Err(Error::io("cannot wait for the ring buffer", err)),
            }
        }
    }

    /// What the trace has come to so far.
    pub fn summary(&self) -> Summary {
        let (_, untracked) = self.counters();
        let fork_missed = match self.scope {
            Scope::Spawned => missed(self.skel.progs.tracer_fork.as_fd()),
            Scope::System => 0,
        };
        let lost = self.lost(missed(self.skel.progs.tracer_exec.as_fd()));
        Summary { execs: self.execs, lost, untracked: untracked + fork_missed }
    }

    fn ready(&mut self) -> Option<Event> {
        let lost = self.lost(self.skipped);
        if lost > self.lost_reported {
            let count = lost - self.lost_reported;
            self.lost_reported = lost;
            return Some(Event::Lost { count });
        }
        let exec = lock(&self.assembler).pop()?;
        self.execs += 1;
        Some(Event::Exec(exec))
    }

    fn lost(&self, skipped: u64) -> u64 {
        self.counters().0 + lock(&self.assembler).malformed() + skipped
    }

    /// Execs without room in the ring buffer, and processes without room in the table.
    fn counters(&self) -> (u64, u64) {
        let Some(bss) = &self.skel.maps.bss_data else { return (0, 0) };
        let bss: *const types::bss = &raw const **bss;
        // SAFETY: the pointer comes from a reference; volatile, because the kernel writes to the same memory.
        unsafe {
            ((&raw const (*bss).lost_execs).read_volatile(), (&raw const (*bss).untracked_processes).read_volatile())
        }
    }
}

impl AsFd for Tracer {
    /// Readable when there may be an event: then call [`Tracer::poll`] without a timeout until it has none.
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring buffer owns the descriptor, and lives as long as the borrow of `self`.
        unsafe { BorrowedFd::borrow_raw(self.ring.epoll_fd()) }
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").field("scope", &self.scope).field("links", &self.links.len()).finish_non_exhaustive()
    }
}

/// Calls that the kernel skipped because the program was already running on that CPU: preempted in it, on kernels whose
/// tracepoints can be (since 6.3 they are skipped, since 5.12 they are counted).
fn missed(program: BorrowedFd<'_>) -> u64 {
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut len = size_of_val(&info) as u32;
    // SAFETY: `info` is writable and `len` is its size; an older kernel fills less and leaves the zeros.
    let err = unsafe { libbpf_sys::bpf_prog_get_info_by_fd(program.as_raw_fd(), &raw mut info, &raw mut len) };
    if err == 0 { info.recursion_misses } else { 0 }
}

/// The assembler is consistent after each call, so a panic elsewhere does not spoil it.
fn lock(assembler: &Mutex<Assembler>) -> MutexGuard<'_, Assembler> {
    assembler.lock().unwrap_or_else(PoisonError::into_inner)
}

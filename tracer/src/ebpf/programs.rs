//! The BPF programs, loaded and attached: [`Programs`].

use std::collections::HashMap;
use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;

use bpf_coverage::collect::Coverage;
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};
use libbpf_rs::{Link, MapCore, MapFlags, OpenObject, ProgramInput};
use nix::libc;

use super::load_error::{capture_log, classify};
use super::probe::{Attempt, Kernel, Probed, Refusal, words_of};
use super::setup::Setup;
use super::tier::Tier;
use crate::error::{Error, Result};
use crate::event::Lost;
use crate::running::Backend;
use crate::skeleton::{COVERAGE, TracerSkel, TracerSkelBuilder, types};

/// What a hook has got.
#[derive(Clone, Debug)]
pub(super) struct Hooked {
    pub(super) name: &'static str,
    pub(super) function: Option<&'static str>,
    pub(super) attempts: Vec<Attempt>,
    /// `None` if the kernel has no such call, or none that can be hooked.
    pub(super) tier: Option<Tier>,
}

/// The programs at work. Dropping it detaches and unloads everything.
pub(super) struct Programs {
    // In the order in which they are dropped.
    links: Vec<Link>,
    pub(super) skel: TracerSkel<'static>,
    pub(super) hooks: Vec<Hooked>,
    system_wide: bool,
    /// Last, so that it is written when nothing runs any more.
    _coverage: Coverage,
}

pub(super) type Failure = (&'static str, libbpf_rs::Error);

/// Why the kernel did not take an object, in words for the records of coverage.
struct Refused(Failure);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self((doing, err)) = self;
        write!(f, "{doing}: {err:#}")
    }
}

/// What every tier takes. The tracepoints have a second program each: see again.h.
pub(super) const COMMON: [&str; 8] = [
    "tracer_exec",
    "tracer_exec_again",
    "tracer_fork",
    FORK_AGAIN,
    "tracer_exit",
    EXIT_AGAIN,
    "tracer_spawner",
    "tracer_selftest",
];
const FORK_AGAIN: &str = "tracer_fork_again";
const EXIT_AGAIN: &str = "tracer_exit_again";
/// Starts of names; the hook's suffix follows.
const ENTER_AGAIN: &str = "tracer_n_again_";
const LEAVE_AGAIN: &str = "tracer_x_again_";

impl Programs {
    /// Loads and attaches what works best.
    pub(super) fn start(setup: &Setup) -> Result<Self> {
        let kernel = Kernel::new();
        kernel.finds_current_task()?;
        let mut probed = kernel.probe(setup.best);
        let mut tier = setup.best;
        loop {
            let lacks = |probed: &&Probed| probed.hook.native && probed.fentry.is_none_or(|found| found < tier);
            if tier <= Tier::Fentry
                && let Some(without) = probed.iter().find(lacks).map(|probed| probed.hook.name)
            {
                for probed in &mut probed {
                    if let Some(found) = probed.fentry {
                        let words = format!("{without} has none, and the two go together");
                        probed.refuse(found, Refusal::new("load", None, words));
                    }
                }
                tier = Tier::Kprobe;
            }
            let plan: Vec<Tier> = probed
                .iter()
                .map(|probed| if tier <= Tier::Fentry { probed.fentry.unwrap_or(Tier::Kprobe) } else { tier })
                .collect();
            let (started, log) = capture_log(|| Self::load(setup, &kernel, &probed, &plan));
            let refusal = match started {
                Ok(Ok(programs)) => return Ok(programs),
                Ok(Err(refusal)) => refusal,
                // Without the programs that every tier needs, there is no trace.
                Err((doing, err)) if tier == Tier::Tracepoint => return Err(classify(doing, err, log)),
                Err((doing, err)) => refusal_of(doing, &err, &log),
            };
            if tier == Tier::Tracepoint {
                let text = format!("no hook of execve works: {}: {}", refusal.doing, refusal.words);
                return Err(Error::new(crate::ErrorKind::Unsupported, text).with_log(log));
            }
            for (probed, planned) in probed.iter_mut().zip(&plan).filter(|(probed, _)| probed.hook.native) {
                probed.refuse(*planned, refusal.clone());
            }
            tier = if tier < Tier::Kprobe { Tier::Kprobe } else { Tier::Tracepoint };
        }
    }

    /// One try: `plan` has a tier for each hook. The inner error is one that a lower tier may not have.
    fn load(
        setup: &Setup,
        kernel: &Kernel,
        probed: &[Probed],
        plan: &[Tier],
    ) -> Result<Result<Self, Refusal>, Failure> {
        let doing = |what| move |err| (what, err);
        let open_and_load = || Self::open_and_load(setup, kernel, probed, plan).map_err(Refused);
        let loaded = bpf_coverage::collect::load(&COVERAGE, open_and_load);
        let (skel, coverage) = loaded.map_err(|Refused(failure)| failure)?;
        setup.fill(&skel)?;

        // Ends before beginnings, so that nothing is put into a table and never taken out. The kernel runs the programs of
        // a tracepoint in the order in which they were attached.
        let mut links = Vec::new();
        let progs = &skel.progs;
        for (first, again, what) in [
            (&progs.tracer_exit, &progs.tracer_exit_again, "cannot attach to sched_process_exit"),
            (&progs.tracer_fork, &progs.tracer_fork_again, "cannot attach to sched_process_fork"),
            (&progs.tracer_exec, &progs.tracer_exec_again, "cannot attach to sched_process_exec"),
        ] {
            links.push(first.attach().map_err(doing(what))?);
            links.push(again.attach().map_err(doing(what))?);
        }
        let hooks = Vec::new();
        let mut programs = Self { links, skel, hooks, system_wide: setup.system_wide, _coverage: coverage };
        if let Err(refusal) = programs.attach_hooks(probed, plan) {
            return Ok(Err(refusal));
        }
        Ok(programs.read_back().map(|()| programs))
    }

    /// The programs of `plan`, which the kernel has verified, not attached.
    fn open_and_load(
        setup: &Setup,
        kernel: &Kernel,
        probed: &[Probed],
        plan: &[Tier],
    ) -> Result<TracerSkel<'static>, Failure> {
        // The skeleton borrows the place of its object for as long as it lives, and drops the object itself. Leaking
        // that place, one pointer in size, lets `Programs` own the skeleton without unsafe code.
        let place: &'static mut MaybeUninit<OpenObject> = Box::leak(Box::new(MaybeUninit::uninit()));
        let doing = |what| move |err| (what, err);

        // libbpf raises RLIMIT_MEMLOCK by itself, only where the kernel needs it (before 5.11), and goes on if it may not.
        let mut open = TracerSkelBuilder::default().open(place).map_err(doing("cannot open the BPF object"))?;
        setup.configure(&mut open, kernel)?;
        select(open.open_object_mut(), &COMMON, probed, plan).map_err(doing("cannot set a program's function"))?;
        open.load().map_err(doing("cannot load the BPF programs"))
    }

    /// Attaches the hooks' programs. A native hook must work; another may be absent.
    fn attach_hooks(&mut self, probed: &[Probed], plan: &[Tier]) -> Result<(), Refusal> {
        let refusal = |err: libbpf_rs::Error| {
            let errno = errno_of(&err);
            Refusal::new("attach", errno, errno.map_or_else(|| format!("{err:#}"), words_of))
        };
        if plan.contains(&Tier::Tracepoint) {
            for program in [&self.skel.progs.tracer_tleave, &self.skel.progs.tracer_tenter] {
                self.links.push(program.attach().map_err(refusal)?);
            }
        }
        for (probed, &tier) in probed.iter().zip(plan) {
            let mut hooked = Hooked {
                name: probed.hook.name,
                function: probed.function,
                attempts: probed.attempts.clone(),
                tier: Some(tier),
            };
            let attached = match tier {
                Tier::FentrySleepable | Tier::Fentry => {
                    self.attach_fentry(tier, probed.hook.suffix).map_err(refusal).map(|()| probed.function)
                }
                Tier::Kprobe => self.attach_kprobe(probed.hook.functions).map_err(refusal).map(Some),
                Tier::Tracepoint => Ok(None),
            };
            match attached {
                Ok(function) => {
                    hooked.function = function;
                    hooked.attempts.retain(|attempt| attempt.tier != tier);
                    hooked.attempts.push(Attempt { tier, refused: None });
                }
                Err(refused) if probed.hook.native => return Err(refused),
                Err(refused) => {
                    hooked.tier = None;
                    hooked.attempts.push(Attempt { tier, refused: Some(refused) });
                }
            }
            self.hooks.push(hooked);
        }
        Ok(())
    }

    fn attach_fentry(&mut self, tier: Tier, suffix: &str) -> Result<(), libbpf_rs::Error> {
        for name in names(tier, suffix) {
            let program = self.skel.object().progs_mut().find(|program| *program.name() == *name);
            let program = program.ok_or_else(|| libbpf_rs::Error::from_raw_os_error(libc::ENOENT))?;
            self.links.push(program.attach()?);
        }
        Ok(())
    }

    fn attach_kprobe(&mut self, functions: &[&'static str]) -> Result<&'static str, libbpf_rs::Error> {
        let mut failed = libbpf_rs::Error::from_raw_os_error(libc::ENOENT);
        for function in functions {
            match self.skel.progs.tracer_kleave.attach_kprobe(true, function) {
                Ok(leave) => {
                    self.links.push(leave);
                    self.links.push(self.skel.progs.tracer_kenter.attach_kprobe(false, function)?);
                    return Ok(function);
                }
                Err(err) => failed = err,
            }
        }
        Err(failed)
    }

    /// Whether the native hooks see two calls of this thread that fail.
    fn read_back(&mut self) -> Result<(), Refusal> {
        let marked = self.skel.progs.tracer_selftest.test_run(ProgramInput::default());
        marked.map_err(|err| Refusal::new("read back", errno_of(&err), err.to_string()))?;
        // SAFETY: an empty path fails with ENOENT before anything else is looked at.
        unsafe {
            libc::execve(c"".as_ptr(), ptr::null(), ptr::null());
            libc::syscall(libc::SYS_execveat, -1, c"".as_ptr(), ptr::null::<u8>(), ptr::null::<u8>(), 0);
        }
        let seen = self.with_bss(0, |bss| {
            // SAFETY: the pointer is valid; volatile, because the kernel uses the same memory.
            unsafe {
                (&raw mut (*bss).self_test).write_volatile(0);
                (&raw mut (*bss).self_test_seen).read_volatile()
            }
        });
        match seen {
            0b1111 => Ok(()),
            seen => Err(Refusal::new("read back", None, format!("the hooks saw {seen:#06b} of two calls, not 0b1111"))),
        }
    }

    /// Runs `spawn` with this thread as the one whose children are traced.
    pub(super) fn spawning<T>(&mut self, spawn: impl FnOnce() -> T) -> Result<T> {
        let marked = self.skel.progs.tracer_spawner.test_run(ProgramInput::default());
        marked.map_err(|err| Error::io("cannot mark this thread as the one that spawns", err))?;
        let spawned = spawn();
        self.with_bss((), |bss| {
            // SAFETY: the pointer is valid; volatile, because the kernel uses the same memory.
            unsafe { (&raw mut (*bss).spawner).write_volatile(0) }
        });
        Ok(spawned)
    }

    /// What sees the execs, by the tier of execve.
    pub(super) fn backend(&self) -> Backend {
        let tier = self.hooks.first().and_then(|hook| hook.tier);
        let degraded = match tier {
            Some(Tier::Tracepoint) => Some(
                "every system call of every process passes two programs, and a page that is not resident is not read",
            ),
            _ => None,
        };
        Backend { name: "ebpf", tier: tier.map(|tier| tier.name().to_owned()), degraded: degraded.map(str::to_owned) }
    }

    /// Takes the programs off their hooks; their maps stay.
    pub(super) fn detach(&mut self) {
        self.links.clear();
    }

    /// Says whether the reader waits to be woken.
    pub(super) fn set_reader_waits(&mut self, waits: bool) {
        self.with_bss((), |bss| {
            // SAFETY: the pointer is valid; volatile, because the kernel uses the same memory.
            unsafe { (&raw mut (*bss).reader_waits).write_volatile(waits.into()) }
        });
    }

    /// Adds processes to those that are traced.
    pub(super) fn follow(&self, tgid: u32) -> Result<()> {
        let added = self.skel.maps.traced.update(&tgid.to_ne_bytes(), &[1], MapFlags::ANY);
        added.map_err(|err| Error::io(format!("cannot follow process {tgid}"), err))
    }

    /// The processes that are traced. Those that are there no more, if the kernel skipped their end, are dropped by `gone`.
    pub(super) fn followed(&self, gone: impl Fn(u32) -> bool) -> usize {
        let tgids = self.skel.maps.traced.keys().filter_map(|key| Some(u32::from_ne_bytes(key.try_into().ok()?)));
        let (gone, alive): (Vec<u32>, Vec<u32>) = tgids.partition(|tgid| gone(*tgid));
        for tgid in gone {
            // OK because it may have been taken out meanwhile.
            let _ = self.skel.maps.traced.delete(&tgid.to_ne_bytes());
        }
        alive.len()
    }

    /// What was lost so far.
    pub(super) fn lost(&mut self) -> Lost {
        let (execs, others, untracked, unannounced, not_found_done) = self.with_bss((0, 0, 0, 0, [0; 4]), |bss| {
            // SAFETY: the pointer is valid; volatile, because the kernel uses the same memory.
            unsafe {
                (
                    (&raw const (*bss).lost_execs).read_volatile(),
                    (&raw const (*bss).lost_others).read_volatile(),
                    (&raw const (*bss).untracked_processes).read_volatile(),
                    (&raw const (*bss).unannounced).read_volatile(),
                    (&raw const (*bss).not_found_done).read_volatile(),
                )
            }
        });
        // Of an exec that its tracepoint was skipped for, the hook on return takes care. One whose return was skipped is
        // counted on the thread's next call; one whose entry was skipped is there nevertheless if it succeeded.
        let [_, forks_done, exits_done, entries_done] = not_found_done;
        let skipped = |again: &str, done: u64| self.missed(|name| name.starts_with(again)).saturating_sub(done);
        let (forks, exits) = (skipped(FORK_AGAIN, forks_done), skipped(EXIT_AGAIN, exits_done));
        let entries = skipped(ENTER_AGAIN, entries_done) + self.missed(|name| name.ends_with("enter"));
        Lost {
            execs: execs + entries.saturating_sub(unannounced),
            others: others + exits + if self.system_wide { forks } else { 0 },
            untracked: untracked + if self.system_wide { 0 } else { forks },
        }
    }

    /// Calls that the kernel skipped because the program was already running on that CPU: preempted in it, where it can
    /// be. Counted since 5.12.
    fn missed(&self, which: impl Fn(&str) -> bool) -> u64 {
        let programs = self.skel.object().progs_mut().filter(|program| which(&program.name().to_string_lossy()));
        programs
            .filter(|program| program.as_fd().as_raw_fd() > 0)
            .map(|program| info(program.as_fd()).recursion_misses)
            .sum()
    }

    /// The instructions that the verifier went through for each program, where the kernel says (since 5.16).
    pub(super) fn verified(&self) -> Vec<(String, u32)> {
        let programs = self.skel.object().progs_mut().filter(|program| program.as_fd().as_raw_fd() > 0);
        let verified = |program: libbpf_rs::ProgramMut<'_>| {
            (program.name().to_string_lossy().into_owned(), info(program.as_fd()).verified_insns)
        };
        programs.map(verified).collect()
    }

    fn with_bss<T>(&mut self, none: T, with: impl FnOnce(*mut types::bss) -> T) -> T {
        self.skel.maps.bss_data.as_deref_mut().map_or(none, |bss| with(&raw mut *bss))
    }
}

/// Has the programs loaded that are common to all tiers, or that the plan takes, and no others.
pub(super) fn select(
    object: &mut OpenObject,
    common: &[&str],
    probed: &[Probed],
    plan: &[Tier],
) -> libbpf_rs::Result<()> {
    let mut wanted: HashMap<String, Option<&str>> = common.iter().map(|name| ((*name).to_owned(), None)).collect();
    for (probed, tier) in probed.iter().zip(plan) {
        let function = probed.function.filter(|_| *tier <= Tier::Fentry);
        wanted.extend(names(*tier, probed.hook.suffix).into_iter().map(|name| (name, function)));
    }
    for mut program in object.progs_mut() {
        let function = wanted.get(&*program.name().to_string_lossy());
        program.set_autoload(function.is_some());
        if let Some(Some(function)) = function {
            program.set_attach_target(0, Some((*function).to_owned()))?;
        }
    }
    Ok(())
}

/// A hook's programs in a tier, in the order to attach them: at its return, then at its entry. Of those of fentry the kernel
/// runs the one that was attached last first.
pub(super) fn names(tier: Tier, suffix: &str) -> Vec<String> {
    let of_hook = |starts: &[&str]| starts.iter().map(|start| format!("{start}{suffix}")).collect();
    let of_all = |names: [&str; 2]| names.map(str::to_owned).into();
    match tier {
        Tier::FentrySleepable => of_hook(&[LEAVE_AGAIN, "tracer_x_s", ENTER_AGAIN, "tracer_n_s"]),
        Tier::Fentry => of_hook(&[LEAVE_AGAIN, "tracer_x_", ENTER_AGAIN, "tracer_n_"]),
        Tier::Kprobe => of_all(["tracer_kleave", "tracer_kenter"]),
        Tier::Tracepoint => of_all(["tracer_tleave", "tracer_tenter"]),
    }
}

fn errno_of(err: &libbpf_rs::Error) -> Option<i32> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(err);
    while let Some(err) = source {
        if let Some(errno) = err.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error) {
            return Some(errno);
        }
        source = err.source();
    }
    None
}

fn refusal_of(doing: &str, err: &libbpf_rs::Error, log: &str) -> Refusal {
    let errno = errno_of(err);
    let verifier = log.lines().rev().find(|line| {
        !line.is_empty() && !line.starts_with("libbpf:") && !line.starts_with("processed ") && !line.starts_with("--")
    });
    let words = verifier.map(str::to_owned).or(errno.map(words_of)).unwrap_or_else(|| err.to_string());
    Refusal::new(if doing.contains("attach") { "attach" } else { "load" }, errno, words)
}

/// What the kernel says of a program; zeros where it does not.
fn info(program: BorrowedFd<'_>) -> libbpf_sys::bpf_prog_info {
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut len = size_of_val(&info) as u32;
    // SAFETY: `info` is writable and `len` is its size; an older kernel fills less and leaves the zeros.
    let err = unsafe { libbpf_sys::bpf_prog_get_info_by_fd(program.as_raw_fd(), &raw mut info, &raw mut len) };
    if err == 0 { info } else { libbpf_sys::bpf_prog_info::default() }
}

//! What the kernel takes for each hook, found by trying with programs of two or three instructions: [`Kernel`].

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::{io, ptr};

use libbpf_sys::{
    BPF_ALU64, BPF_CALL, BPF_EXIT, BPF_F_SLEEPABLE, BPF_FUNC_get_current_task, BPF_JMP, BPF_K, BPF_MOV,
    BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, BTF_KIND_FUNC, BTF_KIND_VAR, bpf_insn,
    bpf_prog_load_opts, bpf_prog_type, btf,
};
use nix::libc;

use super::tier::{HOOKS, Hook, Tier};
use crate::error::{Error, ErrorKind};

/// One thing that was tried for a hook.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Attempt {
    /// The tier that was tried.
    pub tier: Tier,
    /// `None` if it works, else what the kernel answered.
    pub refused: Option<Refusal>,
}

/// The kernel's no.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Refusal {
    /// What was being done: `load`, `attach`, `read back`.
    pub doing: &'static str,
    /// The errno, if there was one.
    pub errno: Option<i32>,
    /// In words; of the verifier its last line.
    pub words: String,
}

impl Refusal {
    pub(super) fn new(doing: &'static str, errno: Option<i32>, words: impl Into<String>) -> Self {
        Self { doing, errno, words: words.into() }
    }
}

/// What is known of a hook before the programs are loaded.
#[derive(Clone, Debug)]
pub(super) struct Probed {
    pub(super) hook: Hook,
    /// The kernel's function, if its BTF has one.
    pub(super) function: Option<&'static str>,
    pub(super) attempts: Vec<Attempt>,
    /// fentry, if that works.
    pub(super) fentry: Option<Tier>,
}

impl Probed {
    /// `tier` does not work after all, and fentry not at all.
    pub(super) fn refuse(&mut self, tier: Tier, refusal: Refusal) {
        self.attempts.retain(|attempt| attempt.tier != tier);
        self.attempts.push(Attempt { tier, refused: Some(refusal) });
        self.fentry = None;
    }
}

/// This kernel, as far as it matters to the programs. Reading its types takes most of the time.
#[derive(Debug)]
pub(super) struct Kernel {
    btf: Option<Btf>,
    /// It interprets programs, and the helper for the current task cannot be called there: see current.h.
    lacks_helper: bool,
}

impl Kernel {
    pub(super) fn new() -> Self {
        let jit = std::fs::read_to_string("/proc/sys/net/core/bpf_jit_enable");
        let interprets = jit.is_ok_and(|mode| mode.trim() == "0");
        Self { btf: Btf::of_the_kernel(), lacks_helper: interprets && !has_current_task() }
    }

    fn has(&self, name: &str, kind: u32) -> bool {
        self.btf.as_ref().is_some_and(|btf| btf.id(name, kind).is_some())
    }

    /// Whether programs have to find the current task without the helper for it, and can: see current.h.
    pub(super) fn needs_run_queue(&self) -> bool {
        cfg!(target_arch = "riscv64") && self.lacks_helper && self.has("runqueues", BTF_KIND_VAR)
    }

    /// That programs can find the current task.
    ///
    /// # Errors
    /// `Unsupported`, where the kernel would take the programs, and then call an address that is none, in whoever executes.
    pub(super) fn finds_current_task(&self) -> Result<(), Error> {
        if !self.lacks_helper || self.needs_run_queue() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, "this kernel cannot interpret the BPF programs")
            .with_hint("let it compile them: sysctl net.core.bpf_jit_enable=1"))
    }

    /// Tries fentry for the native hooks, sleepable first, beginning with `best`. Calls of other ABIs have kprobes beside it.
    pub(super) fn probe(&self, best: Tier) -> Vec<Probed> {
        // Whether the kernel has what attaching takes is the same for all functions, and asking takes long.
        let mut attaches = None;
        let mut probe = |hook: &Hook| {
            let id = |name: &&'static str| Some((*name, self.btf.as_ref()?.id(name, BTF_KIND_FUNC)?));
            let found = Some(hook)
                .filter(|hook| hook.native && best <= Tier::Fentry)
                .and_then(|hook| hook.functions.iter().find_map(id));
            let mut attempts = Vec::new();
            let mut fentry = None;
            if let Some((_, id)) = found {
                for tier in [Tier::FentrySleepable, Tier::Fentry].into_iter().filter(|tier| *tier >= best) {
                    let loaded = load_fentry(id, tier == Tier::FentrySleepable);
                    let tried = loaded.and_then(|program| attaches.get_or_insert_with(|| attach(&program)).clone());
                    attempts.push(Attempt { tier, refused: tried.err() });
                    if attempts.last().is_some_and(|attempt| attempt.refused.is_none()) {
                        fentry = Some(tier);
                        break;
                    }
                }
            }
            Probed { hook: *hook, function: found.map(|(name, _)| name), attempts, fentry }
        };
        HOOKS.iter().filter(|hook| !hook.functions.is_empty()).map(&mut probe).collect()
    }
}

/// The kernel's types.
#[derive(Debug)]
struct Btf(ptr::NonNull<btf>);

impl Btf {
    fn of_the_kernel() -> Option<Self> {
        // SAFETY: takes nothing; the result is ours, and NULL on error.
        ptr::NonNull::new(unsafe { libbpf_sys::btf__load_vmlinux_btf() }).map(Self)
    }

    fn id(&self, name: &str, kind: u32) -> Option<u32> {
        let name = CString::new(name).ok()?;
        // SAFETY: both pointers are valid during the call.
        let id = unsafe { libbpf_sys::btf__find_by_name_kind(self.0.as_ptr(), name.as_ptr(), kind) };
        u32::try_from(id).ok()
    }
}

impl Drop for Btf {
    fn drop(&mut self) {
        // SAFETY: it is ours, and this is its last use.
        unsafe { libbpf_sys::btf__free(self.0.as_ptr()) };
    }
}

fn insn(code: u32) -> bpf_insn {
    bpf_insn { code: code as u8, ..Default::default() }
}

/// Whether an interpreted program's call of bpf_get_current_task comes to the helper. The verifier replaces the helper's number by
/// its distance from a symbol, unless it leaves that to the JIT (arm64 from 6.10 on).
fn has_current_task() -> bool {
    let mut call = insn(BPF_JMP | BPF_CALL);
    call.imm = BPF_FUNC_get_current_task.cast_signed();
    let program = [call, insn(BPF_ALU64 | BPF_MOV | BPF_K), insn(BPF_JMP | BPF_EXIT)];
    let opts = bpf_prog_load_opts { sz: size_of::<bpf_prog_load_opts>() as libbpf_sys::size_t, ..Default::default() };
    let Ok(loaded) = load(BPF_PROG_TYPE_RAW_TRACEPOINT, &program, opts) else { return false };
    let mut verified = [bpf_insn::default(); 3];
    let mut info = libbpf_sys::bpf_prog_info {
        xlated_prog_len: size_of_val(&verified) as u32,
        xlated_prog_insns: verified.as_mut_ptr() as u64,
        ..Default::default()
    };
    let mut len = size_of_val(&info) as u32;
    // SAFETY: `info` is writable and `len` is its size; it has the address and the size of `verified`, which is writable.
    let err = unsafe { libbpf_sys::bpf_prog_get_info_by_fd(loaded.as_raw_fd(), &raw mut info, &raw mut len) };
    // 0 where the distance is kept from us.
    err == 0 && verified[0].imm != call.imm && verified[0].imm != 0
}

/// Loads a program that does nothing.
fn load_fentry(id: u32, sleepable: bool) -> Result<OwnedFd, Refusal> {
    let mut log = [0_u8; 512];
    let opts = bpf_prog_load_opts {
        sz: size_of::<bpf_prog_load_opts>() as libbpf_sys::size_t,
        expected_attach_type: BPF_TRACE_FENTRY,
        attach_btf_id: id,
        prog_flags: if sleepable { BPF_F_SLEEPABLE } else { 0 },
        log_level: 1,
        log_size: log.len() as u32,
        log_buf: log.as_mut_ptr().cast(),
        ..Default::default()
    };
    let program = [insn(BPF_ALU64 | BPF_MOV | BPF_K), insn(BPF_JMP | BPF_EXIT)];
    load(BPF_PROG_TYPE_TRACING, &program, opts).map_err(|errno| {
        let text = String::from_utf8_lossy(&log);
        let words = first_word(text.trim_end_matches('\0')).unwrap_or_else(|| words_of(errno));
        Refusal::new("load", Some(errno), words)
    })
}

/// Loads a program; the error is an errno.
fn load(kind: bpf_prog_type, program: &[bpf_insn], mut opts: bpf_prog_load_opts) -> Result<OwnedFd, i32> {
    let (name, licence) = (c"tracer_probe", c"GPL");
    let (insns, len) = (program.as_ptr(), program.len() as libbpf_sys::size_t);
    // SAFETY: all pointers are valid during the call, with the sizes that go with them; those in `opts` are the caller's.
    let fd = unsafe { libbpf_sys::bpf_prog_load(kind, name.as_ptr(), licence.as_ptr(), insns, len, &raw mut opts) };
    if fd < 0 {
        return Err(-fd);
    }
    // SAFETY: a new descriptor of ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What the verifier says first: not an instruction, and not its statistics.
fn first_word(log: &str) -> Option<String> {
    let is_word = |line: &&str| {
        !line.is_empty()
            && !line.starts_with("processed ")
            && !line.starts_with(|c: char| c.is_ascii_digit() || c == ';')
    };
    log.lines().find(is_word).map(str::to_owned)
}

/// Attaches the program, and detaches it again.
fn attach(program: &OwnedFd) -> Result<(), Refusal> {
    // SAFETY: no name, which is right for this program type.
    let fd = unsafe { libbpf_sys::bpf_raw_tracepoint_open(ptr::null(), program.as_raw_fd()) };
    if fd < 0 {
        return Err(Refusal::new("attach", Some(-fd), words_of(-fd)));
    }
    // SAFETY: a new descriptor of ours; closing it detaches the program.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    Ok(())
}

/// The errno in words. ENOTSUPP is the kernel's own, and libc has no words for it.
pub(super) fn words_of(errno: i32) -> String {
    const ENOTSUPP: i32 = 524;
    match errno {
        ENOTSUPP => "not supported (ENOTSUPP)".to_owned(),
        errno => {
            let words = io::Error::from_raw_os_error(errno).to_string();
            let words = words.split(" (os error").next().unwrap_or(&words).to_lowercase();
            if errno == libc::EPERM { format!("{words}: privileges or lockdown") } else { words }
        }
    }
}

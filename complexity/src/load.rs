//! The only code that calls libbpf below libbpf-rs: [`together`] loads programs of an open object, and asks the kernel about them.

use std::cell::RefCell;
use std::ffi::{CStr, OsStr, c_char};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use libbpf_rs::{AsRawLibbpf, OpenObject, PrintLevel};

use crate::stack::Insn;

/// `BPF_LOG_LEVEL1`: each instruction, and why the program is refused.
pub(crate) const LOG_INSTRUCTIONS: u32 = 1;
/// `BPF_LOG_STATS`: numbers only, since 5.2.
pub(crate) const LOG_STATISTICS: u32 = 4;

/// What came of loading one program, perhaps with others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loaded {
    /// The number of the error, when the object was not loaded.
    pub(crate) errno: Option<i32>,
    /// What the verifier wrote.
    pub(crate) log: String,
    /// What libbpf wrote: warnings only.
    pub(crate) said: String,
    /// The program's type and what it attaches to, as libbpf calls them.
    pub(crate) kind: Option<String>,
    pub(crate) attach: Option<String>,
    /// The program's instructions, with those of the subprograms that it calls.
    pub(crate) insns: Vec<Insn>,
    /// What the kernel knows of it, once it is loaded.
    pub(crate) info: Option<Info>,
}

/// What the kernel knows of a loaded program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Info {
    pub(crate) xlated_bytes: u32,
    pub(crate) jited_bytes: u32,
    pub(crate) maps: u32,
    /// `None` before 5.16.
    pub(crate) verified_insns: Option<u32>,
}

/// Loads `object` with no other programs than `programs`, each with a log of its own of `log_bytes` at `log_level`. For each of
/// them, `None` when the object does not have it. An object can be loaded once.
pub(crate) fn together(
    object: &mut OpenObject,
    programs: &[&str],
    log_level: u32,
    log_bytes: usize,
) -> Vec<Option<Loaded>> {
    let mut found = vec![None; programs.len()];
    for mut candidate in object.progs_mut() {
        let place = programs.iter().position(|program| candidate.name() == OsStr::new(program));
        candidate.set_autoload(place.is_some());
        if let Some(place) = place {
            candidate.set_log_level(log_level);
            found[place] = Some((candidate.as_libbpf_object(), vec![0_u8; log_bytes]));
        }
    }
    for (program, log) in found.iter_mut().flatten() {
        // SAFETY: the program belongs to `object`, which is borrowed for the whole of this function. libbpf writes to the
        // buffer while it loads, below, and an object cannot be loaded a second time, so it never does after the buffer's
        // end. What the buffer's vector holds stays where it is until then.
        unsafe {
            libbpf_sys::bpf_program__set_log_buf(program.as_ptr(), log.as_mut_ptr().cast::<c_char>(), log.len() as u64)
        };
    }
    let raw = object.as_libbpf_object();
    // SAFETY: the object is open, and borrowed mutably.
    let (result, said) = listen(|| unsafe { libbpf_sys::bpf_object__load(raw.as_ptr()) });
    let loaded = |(program, log): (NonNull<libbpf_sys::bpf_program>, Vec<u8>)| {
        let log = CStr::from_bytes_until_nul(&log).map_or_else(|_endless| log.as_slice(), CStr::to_bytes);
        Loaded {
            errno: (result < 0).then_some(-result),
            log: String::from_utf8_lossy(log).into_owned(),
            said: said.clone(),
            kind: kind(program),
            attach: attach(program),
            insns: insns(program),
            info: if result < 0 { None } else { info(program) },
        }
    };
    found.into_iter().map(|program| program.map(loaded)).collect()
}

/// What libbpf calls a value of one of its enumerations, which it gives as text or not at all.
fn name(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not null, and then a constant of libbpf's.
    Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

fn kind(program: NonNull<libbpf_sys::bpf_program>) -> Option<String> {
    // SAFETY: the caller's program lives; any number may be asked for.
    name(unsafe { libbpf_sys::libbpf_bpf_prog_type_str(libbpf_sys::bpf_program__type(program.as_ptr())) })
}

fn attach(program: NonNull<libbpf_sys::bpf_program>) -> Option<String> {
    // SAFETY: the caller's program lives.
    let attach = unsafe { libbpf_sys::bpf_program__expected_attach_type(program.as_ptr()) };
    // 0 is what every program has that attaches in no particular way, and also a way of its own, that of cgroup_skb.
    let named = || {
        // SAFETY: any number may be asked for.
        name(unsafe { libbpf_sys::libbpf_bpf_attach_type_str(attach) })
    };
    (attach != 0).then(named).flatten()
}

fn insns(program: NonNull<libbpf_sys::bpf_program>) -> Vec<Insn> {
    // SAFETY: the caller's program lives, and has as many instructions as it says; they change when it is loaded, which
    // has been done.
    let insns = unsafe {
        let count = libbpf_sys::bpf_program__insn_cnt(program.as_ptr());
        let first = libbpf_sys::bpf_program__insns(program.as_ptr());
        if first.is_null() {
            return Vec::new();
        }
        std::slice::from_raw_parts(first, usize::try_from(count).unwrap_or_default())
    };
    insns.iter().map(|insn| Insn { code: insn.code, source: insn.src_reg(), immediate: insn.imm }).collect()
}

fn info(program: NonNull<libbpf_sys::bpf_program>) -> Option<Info> {
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut bytes = size_of_val(&info) as u32;
    // SAFETY: the program is loaded; `info` is writable and `bytes` its size, and an older kernel fills less of it.
    let failed = unsafe {
        let fd = libbpf_sys::bpf_program__fd(program.as_ptr());
        libbpf_sys::bpf_prog_get_info_by_fd(fd, &raw mut info, &raw mut bytes) != 0
    };
    if failed {
        return None;
    }
    let end = std::mem::offset_of!(libbpf_sys::bpf_prog_info, verified_insns) + size_of::<u32>();
    Some(Info {
        xlated_bytes: info.xlated_prog_len,
        jited_bytes: info.jited_prog_len,
        maps: info.nr_map_ids,
        verified_insns: (bytes as usize >= end).then_some(info.verified_insns),
    })
}

thread_local! {
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `work`, and gives what libbpf would have printed meanwhile. Its printer is the process's, hence the lock; the one
/// that was set before comes back.
fn listen<T>(work: impl FnOnce() -> T) -> (T, String) {
    static PRINTER: Mutex<()> = Mutex::new(());
    let _one_at_a_time = PRINTER.lock().unwrap_or_else(PoisonError::into_inner);
    SAID.take();
    let print: fn(PrintLevel, String) = |_level, text| SAID.with_borrow_mut(|said| said.push_str(&text));
    let before = libbpf_rs::set_print(Some((PrintLevel::Warn, print)));
    let result = work();
    libbpf_rs::set_print(before);
    (result, SAID.take())
}

//! Execs as programs of other ABIs make them, from one of 64 bits.

use std::ffi::CString;
use std::ptr;

use nix::libc;

use crate::facts::{self, Facts};
use crate::workload::{END, Teller, WORKLOAD, own, own_path};

const NR_EXECVE: u64 = 11;
const NR_EXECVEAT: u64 = 358;
const NR_GETPID: u64 = 20;
const NR_X32_EXECVE: libc::c_long = 0x4000_0000 | 520;

const ARGV: [&str; 2] = ["of other", "width"];

/// execve(2) of ia32.
pub(crate) fn execve(teller: Teller<'_>, filename: &[u8]) {
    let facts = facts("execve".into(), filename, "Compat");
    let memory = Memory::new(filename);
    exec(teller, facts, || int_0x80(NR_EXECVE, [memory.filename, memory.argv, memory.env, 0, 0]));
}

/// execveat(2) of ia32, of this executable.
pub(crate) fn execveat(teller: Teller<'_>, dirfd: i32, flags: i32) {
    let own = own_path();
    // Only of a relative path the directory counts.
    let filename = if dirfd == libc::AT_FDCWD { &own[..] } else { b"file" };
    let facts = facts(facts::execveat(dirfd, flags), filename, "Compat");
    let memory = Memory::new(filename);
    let args = [dirfd.cast_unsigned(), memory.filename, memory.argv, memory.env, flags.cast_unsigned()];
    exec(teller, facts, || int_0x80(NR_EXECVEAT, args));
}

/// execve(2) of x32, which kernels may know.
pub(crate) fn x32(teller: Teller<'_>) {
    let memory = Memory::new(b"/no/such/file");
    let facts = facts("execve".into(), b"/no/such/file", "X32");
    let [filename, argv, env] = [memory.filename, memory.argv, memory.env].map(u64::from);
    // SAFETY: the kernel checks every pointer itself.
    teller.exec_by(facts, || unsafe {
        libc::syscall(NR_X32_EXECVE, filename, argv, env);
    });
}

fn facts(call: String, filename: &[u8], abi: &str) -> Facts {
    let mut facts = own();
    facts.insert("call".into(), call);
    facts.insert("abi".into(), abi.into());
    facts.insert("filename".into(), facts::bytes(filename));
    facts.insert("argv".into(), facts::strings(&ARGV));
    facts.insert("env".into(), facts::strings(&[format!("{WORKLOAD}={END}")]));
    facts
}

/// Executes, if the kernel has calls of 32 bits.
fn exec(teller: Teller<'_>, facts: Facts, call: impl FnOnce() -> i32) {
    // SAFETY: this process has one thread. The child makes one call, which kills it if the kernel has no such calls.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let pid = int_0x80(NR_GETPID, [0; 5]);
        // SAFETY: takes a number.
        unsafe { libc::_exit(i32::from(pid <= 0)) };
    }
    let mut status = 0;
    // SAFETY: `status` is writable.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    if status != 0 {
        return;
    }
    teller.exec_by(facts, || nix::errno::Errno::from_raw(-call()).set());
}

/// A call of ia32: the result, or the errno with a minus.
fn int_0x80(number: u64, args: [u32; 5]) -> i32 {
    let [first, second, third, fourth, fifth] = args.map(u64::from);
    let mut result = number;
    // SAFETY: the kernel checks every pointer itself. It may change r8 to r11; rbx, which belongs to the compiler, is put
    // back.
    unsafe {
        std::arch::asm!(
            "xchg {first:r}, rbx",
            "int 0x80",
            "xchg {first:r}, rbx",
            first = inout(reg) first => _,
            inout("rax") result,
            in("rcx") second,
            in("rdx") third,
            in("rsi") fourth,
            in("rdi") fifth,
            out("r8") _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
        );
    }
    result as i32
}

/// The strings and the pointers to them, where 32 bits reach.
struct Memory {
    filename: u32,
    argv: u32,
    env: u32,
}

impl Memory {
    fn new(filename: &[u8]) -> Self {
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
        // SAFETY: a new mapping.
        let map = unsafe { libc::mmap(ptr::null_mut(), 8192, rights, flags, -1, 0) };
        assert_ne!(map, libc::MAP_FAILED);
        let mut used = 0_usize;
        let mut put = |bytes: &[u8]| {
            let place = map.wrapping_byte_add(used);
            used = (used + bytes.len()).next_multiple_of(8);
            assert!(used <= 8192, "there is room");
            // SAFETY: it lies in the mapping, which nobody else has.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place.cast(), bytes.len()) };
            u32::try_from(place.addr()).expect("below 2 GiB")
        };
        let mut string = |bytes: &[u8]| put(CString::new(bytes).expect("no NUL").as_bytes_with_nul());
        let filename = string(filename);
        let argv = ARGV.map(|word| string(word.as_bytes()));
        let env = string(format!("{WORKLOAD}={END}").as_bytes());
        let argv = put([argv[0], argv[1], 0].map(u32::to_ne_bytes).as_flattened());
        let env = put([env, 0].map(u32::to_ne_bytes).as_flattened());
        Self { filename, argv, env }
    }
}

//! What tracing costs: `cargo bench --package tracer --bench overhead [-- --execs 5000 --rounds 3]`.
//!
//! A shell runs `/bin/true` again and again: untraced, under each backend of `tracer`, and under strace where it is
//! installed. Each round runs each of them once, in turn, so that a noisy machine is noisy for all. Printed are the medians
//! of the time that passed and of the processors' time (user and system, of the tracer and all that it waited for), each as
//! a ratio to the untraced one, and the largest resident set of all those. What passes on a machine that others use too is
//! also their doing; the processors' time much less so.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::libc;

/// What runs the shell.
struct Way {
    name: &'static str,
    prefix: Vec<String>,
}

/// One run.
struct Cost {
    elapsed: Duration,
    processor: Duration,
    resident_kib: i64,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let (mut execs, mut rounds) = (5_000, 3);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{arg} N"));
        match arg.as_str() {
            "--execs" => execs = number(),
            "--rounds" => rounds = number(),
            // Cargo's own.
            "--bench" => {}
            _ => panic!("usage: overhead [--execs N] [--rounds N]"),
        }
    }
    let script = format!("i=0; while [ $i -lt {execs} ]; do /bin/true; i=$((i+1)); done");
    let ways: Vec<Way> = ways().into_iter().filter(|way| run(&way.prefix, ":").is_some()).collect();
    let mut costs: Vec<Vec<Cost>> = ways.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (way, costs) in ways.iter().zip(&mut costs) {
            costs.push(run(&way.prefix, &script).unwrap_or_else(|| panic!("{} failed", way.name)));
        }
    }
    let medians: Vec<[f64; 2]> = costs
        .iter_mut()
        .map(|costs| [median(costs, |cost| cost.elapsed), median(costs, |cost| cost.processor)])
        .collect();
    println!("{execs} execs of /bin/true from a shell, median of {rounds} rounds");
    println!("{:<42} {:>9} {:>6} {:>9} {:>6} {:>12}", "", "elapsed", "ratio", "processor", "ratio", "resident");
    for ((way, [elapsed, processor]), costs) in ways.iter().zip(&medians).zip(&costs) {
        let resident = costs.iter().map(|cost| cost.resident_kib).max().unwrap_or(0) as f64 / 1024.0;
        let ratios = [elapsed / medians[0][0], processor / medians[0][1]];
        println!(
            "{:<42} {elapsed:>7.2} s {:>6.2} {processor:>7.2} s {:>6.2} {resident:>8.1} MiB",
            way.name, ratios[0], ratios[1]
        );
    }
}

fn ways() -> Vec<Way> {
    let tracer = |options: &[&str]| -> Vec<String> {
        let words = [&[env!("CARGO_BIN_EXE_tracer"), "log", "-o", "/dev/null"], options, &["--"]].concat();
        words.into_iter().map(str::to_owned).collect()
    };
    let strace = |filter: &[&str]| {
        let words = ["strace", "-f", "-o", "/dev/null", "-e", "trace=execve,execveat"];
        words.iter().chain(filter).map(|word| (*word).to_owned()).collect()
    };
    vec![
        Way { name: "untraced", prefix: vec![] },
        Way { name: "tracer log --backend ebpf", prefix: tracer(&["--backend", "ebpf"]) },
        Way { name: "tracer log --backend seccomp", prefix: tracer(&["--backend", "seccomp"]) },
        Way { name: "strace -f --seccomp-bpf -e execve,execveat", prefix: strace(&["--seccomp-bpf"]) },
        Way {
            name: "tracer log --seccomp off --backend ptrace",
            prefix: tracer(&["--backend", "ptrace", "--seccomp", "off"]),
        },
        Way { name: "strace -f -e execve,execveat", prefix: strace(&[]) },
    ]
}

/// Runs the script; `None` if what should trace it cannot be started, or fails.
fn run(prefix: &[String], script: &str) -> Option<Cost> {
    let words: Vec<&str> = prefix.iter().map(String::as_str).chain(["/bin/sh", "-c", script]).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // The session's terminal is none of theirs.
    command.process_group(0);
    let started = Instant::now();
    let child = command.spawn().ok()?;
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are writable; the child is ours and nobody else waits for it.
    let ended = unsafe { libc::wait4(child.id() as i32, &raw mut status, 0, usage.as_mut_ptr()) };
    let elapsed = started.elapsed();
    // SAFETY: all zeros is valid, and the kernel may have filled it since.
    let usage = unsafe { usage.assume_init() };
    let processor = duration(usage.ru_utime) + duration(usage.ru_stime);
    (ended == child.id() as i32 && status == 0).then_some(Cost { elapsed, processor, resident_kib: usage.ru_maxrss })
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
}

fn median(costs: &mut [Cost], of: impl Fn(&Cost) -> Duration) -> f64 {
    costs.sort_by_key(&of);
    of(&costs[costs.len() / 2]).as_secs_f64()
}

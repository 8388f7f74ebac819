//! Recognises the kernel's complaints on its console: [`Detector`] finds panics, oopses, warnings and stalls. Pure.
//!
//! A complaint's first line is its title; the registers, calls and follow-up complaints below it belong to it. A kernel
//! that complained while a test ran has not passed that test, whatever the test says.

/// Something that the kernel complained about.
#[derive(Clone, Debug, PartialEq)]
pub struct Complaint {
    /// The line that names it, without the kernel's time stamp.
    pub title: String,
    /// The line's number in `console.log`, from 1.
    pub line: u64,
    /// Seconds since the start of the VM.
    pub seconds: f64,
    /// Whether the kernel went down with it.
    pub panic: bool,
}

/// Titles that stand at the beginning of a line. Lines such as `RETBleed: WARNING: Spectre v2 mitigation …` are advice to
/// an administrator; there, the word comes later.
const AT_START: &[&str] = &[
    "WARNING: ",
    "BUG: ",
    "Oops",
    "UBSAN: ",
    "general protection fault",
    "double fault",
    "stack segment",
    "Unable to handle kernel ",
    "Internal error: ",
    "Bad mode in ",
    "Kernel stack overflow",
    "INFO: task ",
    "INFO: possible ",
    "INFO: lockdep ",
    "INFO: trying to register non-static key",
    "INFO: suspicious RCU usage",
];

/// Titles that follow the name of the subsystem.
const ANYWHERE: &[&str] = &[
    "BUG: KASAN: ",
    "BUG: KCSAN: ",
    "BUG: KFENCE: ",
    "BUG: soft lockup",
    "kernel BUG at ",
    "detected hard LOCKUP",
    "self-detected stall on CPU",
    "detected stalls on CPUs/tasks",
    "detected expedited stalls on CPUs/tasks",
    "detected stalls on tasks",
    "kthread starved for ",
    "page allocation failure: ",
];

const PANIC: &str = "Kernel panic - not syncing";
/// The end of a splat, when the kernel gets that far.
const END: &str = "---[ end ";
/// After so many lines without an end, a splat counts as over; the longest, of lockdep, have some hundred.
const LONGEST: u64 = 200;
/// Lines that come between the title of a dumped stack and the stack.
const BEFORE_STACK: &[&str] = &["CPU: ", "Hardware name: ", "Tainted: ", "Workqueue: ", "Sched_ext: ", "------------["];

/// Finds the complaints in a console's lines, given one by one.
#[derive(Debug, Default)]
pub struct Detector {
    /// The line at which the splat began that we are in.
    splat: Option<u64>,
    /// The last line that could be the title of a stack.
    candidate: String,
}

impl Detector {
    /// Looks at the next line; `line` is its number. Returns the complaint that begins with it.
    pub fn line(&mut self, text: &str, line: u64, seconds: f64) -> Option<Complaint> {
        let text = without_time(text);
        if self.splat.is_some_and(|start| line > start + LONGEST) {
            self.splat = None;
        }
        if text.starts_with(END) {
            self.splat = None;
            return None;
        }
        let complaint =
            |title: &str, panic| Some(Complaint { title: title.trim_end().to_owned(), line, seconds, panic });
        if text.starts_with(PANIC) {
            self.splat = Some(line);
            return complaint(text, true);
        }
        if self.splat.is_some() {
            return None;
        }
        if is_title(text) {
            self.splat = Some(line);
            return complaint(text, false);
        }
        // A stack that nothing announced is a complaint too; what it is about stands above it.
        if text.eq_ignore_ascii_case("call trace:") {
            self.splat = Some(line);
            let title = if self.candidate.is_empty() { text } else { &self.candidate };
            return complaint(title, false);
        }
        if !BEFORE_STACK.iter().any(|start| text.starts_with(start)) {
            text.clone_into(&mut self.candidate);
        }
        None
    }
}

fn is_title(text: &str) -> bool {
    let task_is_hung = || !text.starts_with("INFO: task ") || text.contains(" blocked ");
    AT_START.iter().any(|start| text.starts_with(start)) && task_is_hung()
        || ANYWHERE.iter().any(|part| text.contains(part))
}

/// `[    3.141592][   T12] text` without the brackets of the time and, in kernels that print it, the caller.
fn without_time(line: &str) -> &str {
    let mut rest = line.trim_start();
    while let Some((inside, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let word = inside.trim().trim_start_matches(['T', 'C']);
        if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            break;
        }
        rest = after.trim_start();
    }
    rest
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn titles(console: &str) -> Vec<String> {
        let mut detector = Detector::default();
        let lines = console.lines().zip(1..);
        lines.filter_map(|(text, line)| detector.line(text, line, 0.0)).map(|complaint| complaint.title).collect()
    }

    #[rstest]
    #[case::panic("[    2.1] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)")]
    #[case::oops("[    9.0] Oops: 0002 [#1] PREEMPT SMP NOPTI")]
    #[case::null("[    9.0] BUG: kernel NULL pointer dereference, address: 0000000000000010")]
    #[case::null_arm("Unable to handle kernel NULL pointer dereference at virtual address 0000000000000010")]
    #[case::fault("[    9.0][  T88] general protection fault, probably for non-canonical address 0xdead: 0000 [#1]")]
    #[case::oops_arm("Internal error: Oops: 0000000096000004 [#1] SMP")]
    #[case::warn("[    9.0] WARNING: CPU: 1 PID: 77 at kernel/bpf/core.c:99 bpf_prog_free+0x1/0x2")]
    #[case::warn_new("[    9.0] WARNING: kernel/bpf/core.c:99 at bpf_prog_free+0x1/0x2, CPU#1: test/77")]
    #[case::lockdep("[    9.0] WARNING: possible circular locking dependency detected")]
    #[case::lockdep_old("[    9.0] INFO: possible recursive locking detected")]
    #[case::rcu_usage("[    9.0] WARNING: suspicious RCU usage")]
    #[case::bug_at("[    9.0] kernel BUG at mm/slub.c:321!")]
    #[case::atomic("[    9.0] BUG: sleeping function called from invalid context at mm/slab.h:1")]
    #[case::kasan("[    9.0] BUG: KASAN: slab-out-of-bounds in copy+0x1/0x2")]
    #[case::kcsan("[    9.0] BUG: KCSAN: data-race in a / b")]
    #[case::ubsan("[    9.0] UBSAN: shift-out-of-bounds in kernel/bpf/verifier.c:1:2")]
    #[case::stall("[   80.0] rcu: INFO: rcu_preempt self-detected stall on CPU")]
    #[case::stall_others("[   80.0] rcu: INFO: rcu_sched detected stalls on CPUs/tasks:")]
    #[case::stall_tasks("[   80.0] INFO: rcu_tasks detected stalls on tasks:")]
    #[case::soft("[   80.0] watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [test:77]")]
    #[case::hard("[   80.0] watchdog: Watchdog detected hard LOCKUP on cpu 1")]
    #[case::hung("[  240.0] INFO: task test:77 blocked for more than 120 seconds.")]
    #[case::memory("[    9.0] test: page allocation failure: order:5, mode:0x40cc0")]
    fn complaints(#[case] line: &str) {
        assert_eq!(titles(line).len(), 1, "{line}");
    }

    #[rstest]
    #[case::advice("[    0.1] RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable to RETBleed attacks")]
    #[case::advice_bpf("[    0.1] Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on")]
    #[case::spectre("[    0.1] Spectre V2 : Vulnerable")]
    #[case::lower_case("[    0.1] Warning: unsafe operation requested by user")]
    #[case::debug("[    0.1] x86/debug: DEBUG: nothing")]
    #[case::taint("[    0.1] module: loading out-of-tree module taints kernel.")]
    #[case::task("[    0.1] INFO: task scheduling statistics enabled")]
    #[case::oop("[    0.1] block: snoops are fine, oops is not said")]
    #[case::command_line("[    0.1] Kernel command line: console=ttyS0 panic=-1 oops=panic")]
    #[case::ready("[    2.1] ukci: ready")]
    #[case::probe("[    0.1] kprobes: kprobe jump-optimization is enabled.")]
    #[case::empty("")]
    fn not_complaints(#[case] line: &str) {
        assert_eq!(titles(line), [""; 0], "{line}");
    }

    #[test]
    fn a_splat_is_one_complaint_and_the_panic_that_follows_another() {
        let console = "\
[    5.1] BUG: unable to handle page fault for address: ffffffffc0000000
[    5.1] #PF: supervisor write access in kernel mode
[    5.1] Oops: 0002 [#1] SMP
[    5.1] CPU: 0 PID: 9 Comm: test Not tainted 6.99.0 #1
[    5.1] WARNING: stack going in the wrong direction?
[    5.1] Call Trace:
[    5.1]  <TASK>
[    5.1] Kernel panic - not syncing: Fatal exception
[    5.1] Call Trace:
[    5.1] ---[ end Kernel panic - not syncing: Fatal exception ]---
";
        assert_eq!(
            titles(console),
            [
                "BUG: unable to handle page fault for address: ffffffffc0000000",
                "Kernel panic - not syncing: Fatal exception"
            ]
        );
    }

    #[test]
    fn two_warnings_are_two_complaints() {
        let one =
            "[ 1.0] WARNING: CPU: 1 PID: 7 at a.c:1 f+0x1/0x2\n[ 1.0] Call Trace:\n[ 1.0] ---[ end trace 0 ]---\n";
        assert_eq!(titles(&one.repeat(2)).len(), 2);
    }

    #[test]
    fn a_splat_without_an_end_does_not_hide_the_next_for_ever() {
        let filler = "[ 1.0] nothing\n".repeat(250);
        let console = format!("[ 1.0] BUG: one\n{filler}[ 9.0] BUG: two\n");
        assert_eq!(titles(&console), ["BUG: one", "BUG: two"]);
    }

    #[test]
    fn a_stack_without_a_title_takes_the_line_above_it() {
        let console = "\
[    7.0] test invoked the out-of-memory killer
[    7.0] CPU: 0 PID: 9 Comm: test Not tainted 6.99.0 #1
[    7.0] Hardware name: virtual
[    7.0] Call Trace:
[    7.0]  dump_stack+0x1/0x2
";
        assert_eq!(titles(console), ["test invoked the out-of-memory killer"]);
    }
}

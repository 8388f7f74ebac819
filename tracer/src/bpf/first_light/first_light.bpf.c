/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reports each successful exec through a ring buffer.
 *
 * tracer_exec runs when an exec has succeeded, in the new program's context: argv is then what the kernel has put on
 * the new stack (mm->arg_start to mm->arg_end), whoever wrote to the caller's memory meanwhile, and after a script's
 * `#!` line has been resolved. It sends a head, the filename, argv in pieces that end at page boundaries (so that a
 * page that is not resident costs no more than itself), and an end; see intf.h.
 *
 * Which execs: all of them if `system_wide`, else those of the processes in `traced`. User space runs tracer_spawner
 * on the thread that is about to fork the command; tracer_fork puts that thread's children and then their
 * descendants into `traced`, before they can run, and tracer_exit takes them out with their last thread.
 *
 * Everything is read in plain tracepoint context, where nothing may fault. There is no per-CPU scratch: tracepoint
 * programs can be preempted on new kernels. Nothing here needs more than 5.10: no bpf_loop, no fetching atomics.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "intf.h"
#include "send.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* For the BTF only. */
const volatile struct wire wire_types SEC(".rodata") = {};

/* Set before loading. */
const volatile __u32 system_wide = 0;

/* Thread id of the thread that is about to fork the command, else 0; in the initial pid namespace. */
volatile __u32 spawner = 0;
/* Execs of which at least one record found no room in the ring buffer. */
volatile __u64 lost_execs = 0;
/* Processes that are not traced because `traced` was full. */
volatile __u64 untracked_processes = 0;

/* The processes in scope: tgid → 1. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, __u8);
} traced SEC(".maps");

static __always_inline int send_exec(struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct rec_key key = { .time_ns = bpf_ktime_get_boot_ns(), .tgid = task->tgid };
	__u64 start = task->mm->arg_start, len = task->mm->arg_end - start;
	__u32 flags = 0;
	int filename, argv;

	if (send_head(&key, task, old_pid, bprm, len))
		return NO_ROOM;
	filename = send_filename(&key, bprm->filename);
	if (filename == NO_ROOM)
		return NO_ROOM;
	if (filename == FILENAME_UNREADABLE) {
		filename = 0;
		flags |= FILENAME_FAULT;
	}
	if (len > ARGV_CAP) {
		len = ARGV_CAP;
		flags |= ARGV_CAPPED;
	}
	argv = send_argv(key.time_ns, key.tgid, start, len);
	if (argv == NO_ROOM)
		return NO_ROOM;
	if (argv & ARGV_NOT_RESIDENT) {
		argv &= ~ARGV_NOT_RESIDENT;
		flags |= ARGV_FAULT;
	}
	return send_end(&key, filename, argv, flags);
}

/*
 * A kernel whose tracepoints can be preempted skips a program that another task on the same CPU is still in, and counts
 * that in recursion_misses: user space adds it to what was lost. Disabling preemption in here does not make it rarer,
 * because the task is then preempted on enabling it again, which is still inside the program.
 */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(tracer_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	__u32 tgid = task->tgid;

	if ((system_wide || bpf_map_lookup_elem(&traced, &tgid)) && send_exec(task, old_pid, bprm))
		__sync_fetch_and_add(&lost_execs, 1);
	return 0;
}

/* Runs in the parent, before the child can run. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(tracer_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 parent_pid = parent->pid, parent_tgid = parent->tgid, child_tgid = child->tgid;
	__u8 one = 1;

	if (child_tgid == parent_tgid)
		return 0; /* a thread */
	if (parent_pid != spawner && !bpf_map_lookup_elem(&traced, &parent_tgid))
		return 0;
	if (bpf_map_update_elem(&traced, &child_tgid, &one, BPF_ANY))
		__sync_fetch_and_add(&untracked_processes, 1);
	return 0;
}

/*
 * The tracepoint comes after `live` was decremented, in 5.10 as now, so the last thread sees 0. Where this is skipped,
 * the process stays in `traced`, and one that gets its id later is taken for it.
 */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(tracer_exit, struct task_struct *task)
{
	__u32 tgid = task->tgid;

	if (task->signal->live.counter == 0)
		bpf_map_delete_elem(&traced, &tgid);
	return 0;
}

/* Never attached: user space runs it by BPF_PROG_TEST_RUN (raw tracepoints since 5.10) on the thread that forks. */
SEC("raw_tp")
int tracer_spawner(void *ctx)
{
	spawner = (__u32)bpf_get_current_pid_tgid();
	return 0;
}

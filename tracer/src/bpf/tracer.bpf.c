/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reports execs through a ring buffer.
 *
 * A hook on entry to execve and execveat sends what the caller has: its name, the path, working directory, open files
 * (exec.h). The hook on return completes what has failed. What has succeeded is completed by tracer_exec, in the new
 * program's context: argv and env are then what the kernel has put on the new stack, whoever wrote to the caller's memory
 * meanwhile. Records: intf.h.
 *
 * The hooks are there in tiers, of which user space loads the best that works: fentry/fexit, sleepable or not,
 * kprobe/kretprobe, and raw tracepoints of all system calls.
 *
 * Whose execs: everybody's if `system_wide`, else those of the processes in `traced`. User space runs tracer_spawner on
 * the thread that is about to fork the command; tracer_fork puts that thread's children and then their descendants into
 * `traced`, before they can run, and tracer_exit takes them out with their last thread.
 *
 * There is no per-CPU scratch: programs can be preempted. Nothing here needs more than 5.10: no bpf_loop, no fetching
 * atomics.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "intf.h"
#include "current.h"
#include "send.h"
#include "call.h"
#include "scope.h"
#include "pending.h"
#include "again.h"
#include "caller.h"
#include "image.h"
#include "path.h"
#include "fds.h"
#include "identity.h"
#include "exec.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* For the BTF only. */
const volatile struct wire wire_types SEC(".rodata") = {};

static __always_inline void on_exec(struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm, bool again)
{
	__u32 tgid = task->tgid, old = old_pid;
	__u64 thread = (__u64)tgid << 32 | old;
	struct pending *it = bpf_map_lookup_elem(&pending, &thread);
	__u32 is_script = bprm->interp != bprm->filename ? SCRIPT_YES : SCRIPT_NO;

	if (!(it || in_scope(tgid)) || !is_mine(TWICE_EXEC, again))
		return;
	if (it) {
		if (is_open(it))
			succeed(it->exec, bprm->filename, is_script);
		bpf_map_delete_elem(&pending, &thread);
	} else if (is_wanted(tgid, old)) {
		struct call call = { .call = CALL_UNKNOWN };
		__u64 exec = next_exec(old);

		count(&unannounced);
		if (send_begin(exec, old, &call))
			count(&lost_execs);
		else
			succeed(exec, bprm->filename, is_script);
	}
}

SEC("?tp_btf/sched_process_exec")
int BPF_PROG(tracer_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	on_exec(task, old_pid, bprm, false);
	return 0;
}

SEC("?tp_btf/sched_process_exec")
int BPF_PROG(tracer_exec_again, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	on_exec(task, old_pid, bprm, true);
	return 0;
}

/* Runs in the parent, before the child can run. */
static __always_inline void on_fork(struct task_struct *parent, struct task_struct *child, bool again)
{
	__u32 parent_pid = parent->pid, parent_tgid = parent->tgid, child_tgid = child->tgid;
	bool is_command = spawner && parent_pid == spawner;
	struct rec_child *rec;
	__u8 one = 1;

	if (child_tgid == parent_tgid)
		return; /* a thread */
	if (!(is_command || in_scope(parent_tgid)) || !is_mine(TWICE_FORK, again))
		return;
	if (!system_wide && bpf_map_update_elem(&traced, &child_tgid, &one, BPF_ANY)) {
		count(&untracked_processes);
		return;
	}
	if (is_command)
		return; /* the trace begins with it */
	rec = bpf_ringbuf_reserve(&events, sizeof(*rec), 0);
	if (!rec) {
		count(&lost_others);
		return;
	}
	set_key(&rec->key, 0, REC_CHILD, FIELD_NONE, 0);
	rec->time_ns = bpf_ktime_get_boot_ns();
	rec->parent_tgid = parent_tgid;
	rec->tgid = child_tgid;
	bpf_ringbuf_submit(rec, wakeup());
}

SEC("?tp_btf/sched_process_fork")
int BPF_PROG(tracer_fork, struct task_struct *parent, struct task_struct *child)
{
	on_fork(parent, child, false);
	return 0;
}

SEC("?tp_btf/sched_process_fork")
int BPF_PROG(tracer_fork_again, struct task_struct *parent, struct task_struct *child)
{
	on_fork(parent, child, true);
	return 0;
}

#define SIGNAL_GROUP_EXIT 4

static __always_inline void send_exit(struct task_struct *task)
{
	struct signal_struct *signal = task->signal;
	struct rec_exit *rec = bpf_ringbuf_reserve(&events, sizeof(*rec), 0);

	if (!rec) {
		count(&lost_others);
		return;
	}
	set_key(&rec->key, 0, REC_EXIT, FIELD_NONE, 0);
	rec->time_ns = bpf_ktime_get_boot_ns();
	rec->tgid = task->tgid;
	rec->code = signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code : task->group_leader->exit_code;
	bpf_ringbuf_submit(rec, wakeup());
}

/*
 * The tracepoint comes after `live` was decremented, in 5.10 as now, so the last thread sees 0. Where both programs are
 * skipped, the process stays in `traced`, and one that gets its id later is taken for it.
 */
static __always_inline void on_exit(struct task_struct *task, bool again)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct pending *it = bpf_map_lookup_elem(&pending, &thread);
	__u32 tgid = task->tgid;

	if (it) {
		/* A thread that is killed in the call returns from it first: this return was missed. */
		count(&lost_execs);
		send_gone(it->exec);
		bpf_map_delete_elem(&pending, &thread);
	}
	if (task->signal->live.counter)
		return;
	/* The second program looks at that first: the first one takes the process out of scope. */
	if (again && !is_mine(TWICE_EXIT, true))
		return;
	if (!in_scope(tgid))
		return;
	if (!again)
		is_mine(TWICE_EXIT, false);
	send_exit(task);
	if (!system_wide)
		bpf_map_delete_elem(&traced, &tgid);
}

SEC("?tp_btf/sched_process_exit")
int BPF_PROG(tracer_exit, struct task_struct *task)
{
	on_exit(task, false);
	return 0;
}

SEC("?tp_btf/sched_process_exit")
int BPF_PROG(tracer_exit_again, struct task_struct *task)
{
	on_exit(task, true);
	return 0;
}

/* Never attached: user space runs it by BPF_PROG_TEST_RUN (raw tracepoints since 5.10) on the thread that forks. */
SEC("?raw_tp")
int tracer_spawner(void *ctx)
{
	spawner = (__u32)bpf_get_current_pid_tgid();
	return 0;
}

/* Likewise, on the thread whose execs are the self-test. */
SEC("?raw_tp")
int tracer_selftest(void *ctx)
{
	self_test = (__u32)bpf_get_current_pid_tgid();
	return 0;
}

static __always_inline int enter_by(struct pt_regs *regs, bool sleeps, bool twice)
{
	struct call call;

	if (read_call(regs, &call))
		enter(&call, sleeps, twice);
	return 0;
}

static __always_inline int leave_by(long ret, bool sleeps)
{
	leave(ret, sleeps);
	return 0;
}

/*
 * The function's first argument. Not as `ctx[0]`: 5.10 of Debian knows no whole type of the registers there, and its verifier
 * refuses that ("arg0 type FWD is not a struct").
 */
static __always_inline struct pt_regs *regs_of(const void *ctx)
{
	struct pt_regs *regs = 0;

	bpf_probe_read_kernel(&regs, sizeof(regs), ctx);
	return regs;
}

/*
 * fentry and fexit: a pair for each function, because a program is loaded for one. User space sets the function. The
 * names say which: execve or execveat. Calls of other ABIs have kprobes, of which one pair serves all functions: the
 * verifier's time is most of what a start takes.
 */
#define FENTRY(name, suffix, sleeps)                                   \
	SEC("?fentry" suffix)                                          \
	int tracer_n##name(void *ctx)                                  \
	{                                                              \
		return enter_by(regs_of(ctx), sleeps, true);           \
	}                                                              \
	SEC("?fexit" suffix)                                           \
	int BPF_PROG(tracer_x##name, void *regs, long ret)             \
	{                                                              \
		return leave_by(ret, sleeps);                          \
	}

FENTRY(_sve, ".s", true)
FENTRY(_sat, ".s", true)
FENTRY(_ve, "", false)
FENTRY(_at, "", false)

/* Their second programs. */
#define FENTRY_AGAIN(name)                                             \
	SEC("?fentry")                                                 \
	int tracer_n_again##name(void *ctx)                            \
	{                                                              \
		struct call call;                                      \
                                                                       \
		if (read_call(regs_of(ctx), &call))                    \
			enter_again(&call);                            \
		return 0;                                              \
	}                                                              \
	SEC("?fexit")                                                  \
	int BPF_PROG(tracer_x_again##name, void *regs, long ret)       \
	{                                                              \
		leave_again(ret);                                      \
		return 0;                                              \
	}

FENTRY_AGAIN(_ve)
FENTRY_AGAIN(_at)

SEC("?kprobe")
int tracer_kenter(struct pt_regs *ctx)
{
	return enter_by((struct pt_regs *)first_argument(ctx), false, false);
}

SEC("?kretprobe")
int tracer_kleave(struct pt_regs *ctx)
{
	return leave_by(returned(ctx), false);
}

SEC("?tp_btf/sys_enter")
int BPF_PROG(tracer_tenter, struct pt_regs *regs, long id)
{
	return is_exec((__u32)id) ? enter_by(regs, false, false) : 0;
}

SEC("?tp_btf/sys_exit")
int BPF_PROG(tracer_tleave, struct pt_regs *regs, long ret)
{
	__u64 nr = call_number(regs);

	/* The ABI too: the number of a compat execve is munmap's. */
	return is_exec(nr) && call_of(nr, call_abi(regs, nr)) != CALL_UNKNOWN ? leave_by(ret, false) : 0;
}

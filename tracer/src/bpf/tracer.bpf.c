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

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 * 1024 * 1024); /* bytes; user space sets its own */
} events SEC(".maps");

/* The processes in scope: tgid → 1. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, __u8);
} traced SEC(".maps");

/* Hides a value from clang, so that it keeps the bounds check that the verifier needs. */
#define opaque(var) asm volatile("" : "+r"(var))

/*
 * A length of 1 to max (a power of two), bounded by a mask: after a comparison that cannot be true, 6.12 and 6.16 hold
 * the length for a contradiction ("REG INVARIANTS VIOLATION") and refuse the program.
 */
static __always_inline __u64 bounded(__u64 n, __u64 max)
{
	__u64 last = n - 1;

	opaque(last);
	return (last & (max - 1)) + 1;
}

static __always_inline void *payload(struct rec_data *rec)
{
	return rec + 1;
}

static __always_inline struct rec_data *reserve_data(const struct rec_key *key, __u32 kind, __u32 offset, bool large)
{
	struct rec_data *rec;

	if (large)
		rec = bpf_ringbuf_reserve(&events, sizeof(*rec) + PAYLOAD_LARGE, 0);
	else
		rec = bpf_ringbuf_reserve(&events, sizeof(*rec) + PAYLOAD_SMALL, 0);
	if (!rec)
		return 0;
	rec->key.time_ns = key->time_ns;
	rec->key.tgid = key->tgid;
	rec->key.kind = kind;
	rec->offset = offset;
	rec->len = 0;
	return rec;
}

/* All senders return false when the ring buffer has no room. */

static __always_inline bool send_head(const struct rec_key *key, struct task_struct *task, pid_t old_pid,
				      struct linux_binprm *bprm, __u64 argv_len)
{
	struct rec_head *rec = bpf_ringbuf_reserve(&events, sizeof(*rec), 0);

	if (!rec)
		return false;
	rec->key.time_ns = key->time_ns;
	rec->key.tgid = key->tgid;
	rec->key.kind = REC_HEAD;
	rec->argv_len = argv_len;
	rec->pid = task->pid;
	rec->old_pid = old_pid;
	rec->ppid = task->real_parent->tgid;
	rec->uid = bpf_get_current_uid_gid();
	rec->argc = bprm->argc;
	rec->reserved = 0;
	bpf_get_current_comm(rec->comm, sizeof(rec->comm));
	bpf_ringbuf_submit(rec, 0);
	return true;
}

static __always_inline bool send_filename(const struct rec_key *key, const char *filename, struct rec_end *end)
{
	struct rec_data *rec;
	long n; /* bytes read, NUL included */

	rec = reserve_data(key, REC_FILENAME, 0, false);
	if (!rec)
		return false;
	n = bpf_probe_read_kernel_str(payload(rec), PAYLOAD_SMALL, filename);
	if (n == PAYLOAD_SMALL) {
		/* Perhaps cut. The kernel's limit, PATH_MAX, is the large payload. */
		bpf_ringbuf_discard(rec, 0);
		rec = reserve_data(key, REC_FILENAME, 0, true);
		if (!rec)
			return false;
		n = bpf_probe_read_kernel_str(payload(rec), PAYLOAD_LARGE, filename);
	}
	if (n > 0)
		rec->len = end->filename_len = n - 1;
	else
		end->flags |= FILENAME_FAULT;
	bpf_ringbuf_submit(rec, 0);
	return true;
}

/*
 * Goes by the pages that argv lies on. Nothing but the page's number lives from one turn to the next: with a running
 * offset, whose range differs on each path through the loop, the verifier finds no two states alike and gives up
 * after a million instructions.
 */
static __always_inline bool send_argv(const struct rec_key *key, __u64 start, __u64 len, struct rec_end *end)
{
	const __u64 first_page = start & ~(__u64)(PAYLOAD_LARGE - 1);
	struct rec_data *rec;
	__u64 stop;
	__u32 i;

	if (len > ARGV_CAP) {
		len = ARGV_CAP;
		end->flags |= ARGV_CAPPED;
	}
	stop = start + len;
	end->argv_sent = len;
	/* One more turn than whole pages: argv need not begin at a page boundary. */
	for (i = 0; i <= ARGV_CAP / PAYLOAD_LARGE; i++) {
		__u64 from = first_page + (__u64)i * PAYLOAD_LARGE;
		__u64 to = from + PAYLOAD_LARGE;
		__u64 n;
		long err;

		if (from < start)
			from = start;
		if (from >= stop)
			break;
		if (to > stop)
			to = stop;
		n = to - from;
		if (n <= PAYLOAD_SMALL) {
			rec = reserve_data(key, REC_ARGV, from - start, false);
			if (!rec)
				return false;
			n = bounded(n, PAYLOAD_SMALL);
			err = bpf_probe_read_user(payload(rec), n, (void *)from);
		} else {
			rec = reserve_data(key, REC_ARGV, from - start, true);
			if (!rec)
				return false;
			n = bounded(n, PAYLOAD_LARGE);
			err = bpf_probe_read_user(payload(rec), n, (void *)from);
		}
		if (err) {
			bpf_ringbuf_discard(rec, 0);
			end->flags |= ARGV_FAULT;
			end->argv_sent = from - start;
			break;
		}
		rec->len = n;
		bpf_ringbuf_submit(rec, 0);
	}
	return true;
}

static __always_inline bool send_end(const struct rec_key *key, const struct rec_end *end)
{
	struct rec_end *rec = bpf_ringbuf_reserve(&events, sizeof(*rec), 0);

	if (!rec)
		return false;
	rec->key.time_ns = key->time_ns;
	rec->key.tgid = key->tgid;
	rec->key.kind = REC_END;
	rec->filename_len = end->filename_len;
	rec->argv_sent = end->argv_sent;
	rec->flags = end->flags;
	rec->reserved = 0;
	bpf_ringbuf_submit(rec, 0);
	return true;
}

/* 6.10; null before. */
extern void bpf_preempt_disable(void) __weak __ksym;
extern void bpf_preempt_enable(void) __weak __ksym;

static __always_inline void report(struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct rec_key key = {};
	struct rec_end end = {};
	__u32 tgid = task->tgid;
	__u64 start, len;

	if (!system_wide && !bpf_map_lookup_elem(&traced, &tgid))
		return;

	key.time_ns = bpf_ktime_get_boot_ns();
	key.tgid = tgid;
	start = task->mm->arg_start;
	len = task->mm->arg_end - start;

	if (!send_head(&key, task, old_pid, bprm, len) || !send_filename(&key, bprm->filename, &end) ||
	    !send_argv(&key, start, len, &end) || !send_end(&key, &end))
		__sync_fetch_and_add(&lost_execs, 1);
}

/*
 * A kernel whose tracepoints can be preempted skips a program that another task on the same CPU is still in, and
 * counts that in recursion_misses. Keeping the task on its CPU makes this rarer; the first instructions stay exposed.
 */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(tracer_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	if (bpf_preempt_disable && bpf_preempt_enable) {
		bpf_preempt_disable();
		report(task, old_pid, bprm);
		bpf_preempt_enable();
	} else {
		report(task, old_pid, bprm);
	}
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

/* The tracepoint comes after `live` was decremented, in 5.10 as now, so the last thread sees 0. */
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

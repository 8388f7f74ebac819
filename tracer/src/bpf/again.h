/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A kernel that can preempt a program, as with CONFIG_PREEMPT_LAZY and from 7.0 on, skips it for another task on the same CPU that comes to it
 * meanwhile. So the tracepoints and the entry and return of the native calls have a second program each, `again`. It does
 * what the first was skipped for, which is seldom or little: so that hardly anybody is preempted in it. Where it is skipped
 * too, the kernel counts that in its recursion_misses. Of these, user space takes off those for which the first had run, and
 * adds the rest to what was lost.
 */
#ifndef TRACER_AGAIN_H
#define TRACER_AGAIN_H

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH); /* where the second is skipped, what the first left stays */
	__uint(max_entries, 16384);
	__type(key, __u64); /* as bpf_get_current_pid_tgid() has it: the thread is between the first program and the second */
	__type(value, __u8);
} handled SEC(".maps");

enum twice {
	TWICE_EXEC,
	TWICE_FORK,
	TWICE_EXIT,
	TWICE_ENTER,
	TWICES,
};

/* What the first programs have done, less what the second found done. */
volatile __u64 not_found_done[TWICES] = {};

/* Whether this program of a tracepoint is to do it; the first says so to the second. */
static __always_inline bool is_mine(enum twice what, bool again)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u8 one = 1;

	if (again) {
		if (bpf_map_delete_elem(&handled, &thread))
			return true;
		__sync_fetch_and_add(&not_found_done[what], -1);
		return false;
	}
	bpf_map_update_elem(&handled, &thread, &one, BPF_ANY);
	count(&not_found_done[what]);
	return true;
}

#endif

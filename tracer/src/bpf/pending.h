/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The execs that threads are in. */
#ifndef TRACER_PENDING_H
#define TRACER_PENDING_H

enum pending_state {
	/* Its begin was sent. */
	PENDING_BEGUN = 0,
	/* It is not reported: filtered out. */
	PENDING_SKIPPED = 1,
	/* It is not reported: its begin found no room. */
	PENDING_LOST = 2,
};

struct pending {
	__u64 exec;
	__u64 filename; /* user pointers of the caller */
	__u64 argv;
	__u64 envp;
	__u64 list;   /* of caller.h, where a list goes on: the next pointer to a string, */
	__u64 string; /* what is left of a string, or 0, */
	__u32 sent;   /* and the bytes before it */
	__u16 abi;    /* enum wire_abi */
	__u16 call;   /* enum wire_call */
	__u8 state;   /* enum pending_state */
	__u8 is_check; /* AT_EXECVE_CHECK: returns 0 to the caller, and replaces nothing */
	__u16 has_filename;
	__u32 reserved;
};

/* As bpf_get_current_pid_tgid() has it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct pending);
} pending SEC(".maps");

/*
 * The number of a thread's next exec. A thread is in one exec at a time, and the time tells two of a thread apart: it
 * comes round after 73 minutes. There are at most 1 << 22 threads.
 */
static __always_inline __u64 next_exec(__u32 pid)
{
	return (__u64)pid << 42 | (bpf_ktime_get_boot_ns() & ((1ULL << 42) - 1));
}

#endif

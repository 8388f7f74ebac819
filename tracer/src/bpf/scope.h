/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose execs are reported, and the counts of what was not. */
#ifndef TRACER_SCOPE_H
#define TRACER_SCOPE_H

/* Set before loading. Filters: whether there are keys of that kind in `wanted`, and which ends are of interest. */
const volatile __u32 system_wide = 0;
const volatile __u32 filter_pids = 0, filter_uids = 0, filter_comms = 0;
const volatile __u32 skip_successes = 0, skip_failures = 0;

/* Thread id of the thread that is about to fork the command, else 0; in the initial pid namespace. */
volatile __u32 spawner = 0;
/* Execs that were begun or ended without all of their records. */
volatile __u64 lost_execs = 0;
/* REC_CHILD and REC_EXIT that found no room. */
volatile __u64 lost_others = 0;
/* Processes that are not traced because `traced` was full. */
volatile __u64 untracked_processes = 0;
/* Execs that succeeded although no hook saw their entry. */
volatile __u64 unannounced = 0;

static __always_inline void count(volatile __u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

/* The processes in scope: tgid → 1. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, __u8);
} traced SEC(".maps");

enum wanted_kind {
	WANTED_PID = 1,
	WANTED_UID = 2,
	WANTED_COMM = 3,
};

struct wanted_key {
	enum wanted_kind kind;
	__u32 id;
	__u8 comm[COMM_LEN];
};

/* What the filters let through. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct wanted_key);
	__type(value, __u8);
} wanted SEC(".maps");

static __always_inline bool in_scope(__u32 tgid)
{
	return system_wide || bpf_map_lookup_elem(&traced, &tgid);
}

/* By the id of the process, or of the thread as it was before the exec. */
static __always_inline bool is_wanted(__u32 tgid, __u32 pid)
{
	struct wanted_key key = {};

	if (filter_pids) {
		key.kind = WANTED_PID;
		key.id = tgid;
		if (!bpf_map_lookup_elem(&wanted, &key)) {
			key.id = pid;
			if (!bpf_map_lookup_elem(&wanted, &key))
				return false;
		}
	}
	if (filter_uids) {
		key.kind = WANTED_UID;
		key.id = bpf_get_current_uid_gid();
		if (!bpf_map_lookup_elem(&wanted, &key))
			return false;
	}
	if (filter_comms) {
		key.kind = WANTED_COMM;
		key.id = 0;
		bpf_get_current_comm(key.comm, sizeof(key.comm));
		if (!bpf_map_lookup_elem(&wanted, &key))
			return false;
	}
	return true;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where a part is put together before it is sent: it is longer than the stack, and a ring buffer record that was reserved
 * cannot be handed to a global function before 5.13.
 *
 * Not per CPU: programs can be preempted on new kernels. A program claims a slot, and its functions pass on the slot's
 * number, a scalar, for which a lookup in an array costs next to nothing.
 */
#ifndef TRACER_SCRATCH_H
#define TRACER_SCRATCH_H

enum {
	/* Programs that may be putting together something at a time, preempted ones included. A power of two. */
	SLOTS = 64,
	SLOT_TRIES = 8,
	/* The longest name of a file: the kernel knows no limit, and file systems have up to 255 UTF-16 units. */
	NAME_CAP = 1023,
	/* What is added at once at most: a name with its header. */
	LARGEST_ITEM = 1032,
};

struct scratch {
	struct rec_data head;
	__u8 bytes[PAYLOAD_LARGE + LARGEST_ITEM]; /* follow `head`, as in the record; at most PAYLOAD_LARGE are used */
	__u32 used;                               /* of them */
	__u32 lost;                               /* 1: the part found no room, and the rest of it is not sent */

	/* Where path_step() is: addresses of struct dentry and struct mount, and the mount's root. */
	__u64 dentry, mount, mount_root;
	/* Where cgroup_step() is: struct kernfs_node. */
	__u64 node;
	/* Where fds_step() is: addresses of fdtable's arrays, and the descriptors of the word that are not sent yet. */
	__u64 files, open_fds, close_on_exec;
	__u64 word_open, word_cloexec;
	__u32 words, word, fds;
	__u32 in_path; /* in that of the last descriptor */
	/* Where list_step() is: the next pointer to a string, what is left of a string, or 0, and the caller's ABI. */
	__u64 list, string;
	__u32 abi;
	__u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* The slots in use: slot → 1. Adding a key that is there fails, so that two programs cannot claim one slot. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, __u8);
} claims SEC(".maps");

static __always_inline struct scratch *scratch_of(__u32 slot)
{
	return bpf_map_lookup_elem(&scratches, &slot);
}

/* Returns a slot, or NO_ROOM. Looks for it by thread, not by CPU, for the interpreter's sake: see current.h. */
__noinline int claim_scratch(void)
{
	__u32 first = bpf_get_current_pid_tgid(), i;
	__u8 one = 1;

	for (i = 0; i < SLOT_TRIES; i++) {
		__u32 slot = (first + i) % SLOTS;

		if (!bpf_map_update_elem(&claims, &slot, &one, BPF_NOEXIST))
			return slot;
	}
	return NO_ROOM;
}

static __always_inline void release_scratch(__u32 slot)
{
	bpf_map_delete_elem(&claims, &slot);
}

static __always_inline void begin_part(struct scratch *s, __u64 exec, __u16 field)
{
	set_key(&s->head.key, exec, REC_DATA, field, 0);
	s->head.offset = 0;
	s->used = 0;
	s->lost = 0;
}

/* Sends what there is of the part. */
__noinline int send_scratch(__u32 slot)
{
	struct scratch *s = scratch_of(slot);
	__u64 len;

	if (!s)
		return NO_ROOM;
	if (s->used && !s->lost) {
		len = bounded(s->used, PAYLOAD_LARGE);
		s->head.len = len;
		if (bpf_ringbuf_output(&events, &s->head, sizeof(s->head) + len, QUIET))
			s->lost = 1;
		s->head.offset += len;
	}
	s->used = 0;
	return 0;
}

static __always_inline int end_part(struct scratch *s, __u32 slot, __s32 status)
{
	send_scratch(slot);
	if (s->lost)
		return NO_ROOM;
	return send_close(s->head.key.exec, s->head.key.field, 0, status, s->head.offset);
}

/*
 * Room for LARGEST_ITEM bytes, 8-byte aligned as riscv64's verifier wants it: fill them in, then add(). For parts of which
 * nothing else is added.
 */
static __always_inline void *room(struct scratch *s, __u32 slot)
{
	__u64 at;

	if (s->used > PAYLOAD_LARGE - LARGEST_ITEM)
		send_scratch(slot);
	at = s->used;
	opaque(at);
	return s->bytes + (at & (PAYLOAD_LARGE - 8));
}

static __always_inline void add(struct scratch *s, __u32 len)
{
	s->used += (len + 7) & ~7U;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Writes the records of intf.h to the ring buffer: what all senders share. Included after the helpers.
 */
#ifndef TRACER_SEND_H
#define TRACER_SEND_H

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 * 1024 * 1024); /* bytes; user space sets its own */
} events SEC(".maps");

/* Bit 1 << FIELD_x for each field that is collected. Set before loading, so that the verifier skips the rest. */
const volatile __u32 collect = 0xffffffff;

#define collects(field) (collect & (1U << (field)))

/* All senders return 0, or NO_ROOM when the ring buffer has none. */
#define NO_ROOM (-1)

/* Hides a value from clang, so that it keeps the bounds check that the verifier needs. */
#define opaque(var) asm volatile("" : "+r"(var))

/* Keeps clang from carrying values in registers that are in memory: what the verifier knows of them differs by path. */
#define reload() asm volatile("" ::: "memory")

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

static __always_inline void set_key(struct rec_key *key, __u64 exec, __u16 kind, __u16 field, __u32 index)
{
	key->exec = exec;
	key->kind = kind;
	key->field = field;
	key->index = index;
}

/*
 * A rec_data with room for `size` bytes, which must be one of the PAYLOADs; 0 if there is no room. Fill in payload() and
 * `len`, then bpf_ringbuf_submit(rec, QUIET) or bpf_ringbuf_discard(rec, QUIET).
 */
static __always_inline struct rec_data *reserve_data(__u64 exec, __u16 field, __u32 index, __u32 offset, __u64 size)
{
	struct rec_data *rec = bpf_ringbuf_reserve(&events, sizeof(*rec) + size, 0);

	if (!rec)
		return 0;
	set_key(&rec->key, exec, REC_DATA, field, index);
	rec->offset = offset;
	rec->len = 0;
	return rec;
}

static __always_inline void *payload(struct rec_data *rec)
{
	return rec + 1;
}

/* Only what completes an event wakes the reader. */
#define QUIET BPF_RB_NO_WAKEUP

/* The reader has nothing to do, and waits. */
volatile __u32 reader_waits = 0;
/* Bytes in the ring buffer from which on the reader is woken although it will look by itself soon; set before loading. */
const volatile __u32 wake_bytes = 1024 * 1024;

/* How to submit a record that completes an event. */
static __always_inline __u64 wakeup(void)
{
	if (reader_waits || bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= wake_bytes)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

/* Ends a part: `status` is an enum wire_status or an errno, `len` the bytes that were sent. */
static __always_inline int send_close(__u64 exec, __u16 field, __u32 index, __s32 status, __u32 len)
{
	struct rec_close *rec = bpf_ringbuf_reserve(&events, sizeof(*rec), 0);

	if (!rec)
		return NO_ROOM;
	set_key(&rec->key, exec, REC_CLOSE, field, index);
	rec->status = status;
	rec->len = len;
	bpf_ringbuf_submit(rec, QUIET);
	return 0;
}

#endif

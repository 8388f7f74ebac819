/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Writes the records of intf.h to the ring buffer. Included by tracer.bpf.c alone, after the helpers.
 */
#ifndef TRACER_SEND_H
#define TRACER_SEND_H

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 * 1024 * 1024); /* bytes; user space sets its own */
} events SEC(".maps");

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

/* All senders return NO_ROOM when the ring buffer has none. */
#define NO_ROOM (-1)

static __always_inline int send_head(const struct rec_key *key, struct task_struct *task, pid_t old_pid,
				     struct linux_binprm *bprm, __u64 argv_len)
{
	struct rec_head *rec = bpf_ringbuf_reserve(&events, sizeof(*rec), 0);

	if (!rec)
		return NO_ROOM;
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
	return 0;
}

/* Returns the bytes that were sent without NUL, FILENAME_UNREADABLE, or NO_ROOM. */
#define FILENAME_UNREADABLE (-2)

static __always_inline int send_filename(const struct rec_key *key, const char *filename)
{
	struct rec_data *rec;
	long n; /* bytes read, NUL included */

	rec = reserve_data(key, REC_FILENAME, 0, false);
	if (!rec)
		return NO_ROOM;
	n = bpf_probe_read_kernel_str(payload(rec), PAYLOAD_SMALL, filename);
	if (n == PAYLOAD_SMALL) {
		/* Perhaps cut. The kernel's limit, PATH_MAX, is the large payload. */
		bpf_ringbuf_discard(rec, 0);
		rec = reserve_data(key, REC_FILENAME, 0, true);
		if (!rec)
			return NO_ROOM;
		n = bpf_probe_read_kernel_str(payload(rec), PAYLOAD_LARGE, filename);
	}
	if (n > 0)
		rec->len = n - 1;
	bpf_ringbuf_submit(rec, 0);
	return n > 0 ? n - 1 : FILENAME_UNREADABLE;
}

/*
 * send_piece and send_argv are global, so that the verifier checks each once, with arguments of which it knows nothing,
 * and not again on every path that leads to a call: some 5,000 instructions on 6.12 instead of 87,000, and a fifth of
 * the time. send_filename cannot be: the newest kernels do not take its pointer for a number.
 */

/* Sends the n bytes of argv at `from`, which lie on one page. Returns 0, PAGE_NOT_RESIDENT, or NO_ROOM. */
#define PAGE_NOT_RESIDENT 1

__noinline int send_piece(__u64 time_ns, __u32 tgid, __u32 offset, __u64 from, __u64 n)
{
	struct rec_key key = { .time_ns = time_ns, .tgid = tgid };
	struct rec_data *rec;
	long err;

	if (n <= PAYLOAD_SMALL) {
		rec = reserve_data(&key, REC_ARGV, offset, false);
		if (!rec)
			return NO_ROOM;
		n = bounded(n, PAYLOAD_SMALL);
		err = bpf_probe_read_user(payload(rec), n, (void *)from);
	} else {
		rec = reserve_data(&key, REC_ARGV, offset, true);
		if (!rec)
			return NO_ROOM;
		n = bounded(n, PAYLOAD_LARGE);
		err = bpf_probe_read_user(payload(rec), n, (void *)from);
	}
	if (err) {
		bpf_ringbuf_discard(rec, 0);
		return PAGE_NOT_RESIDENT;
	}
	rec->len = n;
	bpf_ringbuf_submit(rec, 0);
	return 0;
}

/* Returns the bytes that were sent, with ARGV_NOT_RESIDENT if a page stopped it, or NO_ROOM. */
#define ARGV_NOT_RESIDENT (1 << 30)
_Static_assert(ARGV_CAP < ARGV_NOT_RESIDENT, "the bit is not part of a length");

/*
 * Goes by the pages that argv lies on; `len` is at most ARGV_CAP. Nothing but the page's number lives from one turn to
 * the next: with a running offset, whose range differs on each path, the verifier finds no two states alike.
 */
__noinline int send_argv(__u64 time_ns, __u32 tgid, __u64 start, __u64 len)
{
	const __u64 first_page = start & ~(__u64)(PAYLOAD_LARGE - 1);
	const __u64 stop = start + len;
	__u32 i;

	/* One more turn than whole pages: argv need not begin at a page boundary. */
	for (i = 0; i <= ARGV_CAP / PAYLOAD_LARGE; i++) {
		__u64 from = first_page + (__u64)i * PAYLOAD_LARGE;
		__u64 to = from + PAYLOAD_LARGE;
		int sent;

		if (from < start)
			from = start;
		if (from >= stop)
			break;
		if (to > stop)
			to = stop;
		sent = send_piece(time_ns, tgid, from - start, from, to - from);
		if (sent == PAGE_NOT_RESIDENT)
			return (from - start) | ARGV_NOT_RESIDENT;
		if (sent)
			return NO_ROOM;
	}
	return len;
}

static __always_inline int send_end(const struct rec_key *key, __u32 filename_len, __u32 argv_sent, __u32 flags)
{
	struct rec_end *rec = bpf_ringbuf_reserve(&events, sizeof(*rec), 0);

	if (!rec)
		return NO_ROOM;
	rec->key.time_ns = key->time_ns;
	rec->key.tgid = key->tgid;
	rec->key.kind = REC_END;
	rec->filename_len = filename_len;
	rec->argv_sent = argv_sent;
	rec->flags = flags;
	rec->reserved = 0;
	bpf_ringbuf_submit(rec, 0);
	return 0;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads what a caller of execve has in its memory. Nothing here can wait for a page: a sleepable program touches what is
 * to be read beforehand, so that no record is reserved meanwhile, for the reader would wait for it.
 */
#ifndef TRACER_CALLER_H
#define TRACER_CALLER_H

/* Longest piece of a string that is read at a time, with NUL. */
#define PIECE 256

/* Brings the page in, in a sleepable program. */
static __always_inline void touch(__u64 from, bool sleepable)
{
	char byte;

	if (sleepable)
		bpf_copy_from_user(&byte, 1, (void *)from);
}

/*
 * Sends a string of the caller, of less than PAYLOAD_LARGE bytes, without its NUL. Returns 0, NO_ROOM, or
 * PART_NOT_RESIDENT, and then nothing was sent.
 */
__noinline int send_string(__u64 exec, __u32 field, __u64 from)
{
	struct rec_data *rec;
	__u32 len;
	long n; /* bytes read, NUL included */

	rec = reserve_data(exec, field, 0, 0, PAYLOAD_SMALL);
	if (!rec)
		return NO_ROOM;
	n = bpf_probe_read_user_str(payload(rec), PAYLOAD_SMALL, (void *)from);
	if (n == PAYLOAD_SMALL) {
		/* Perhaps cut. */
		bpf_ringbuf_discard(rec, QUIET);
		rec = reserve_data(exec, field, 0, 0, PAYLOAD_LARGE);
		if (!rec)
			return NO_ROOM;
		n = bpf_probe_read_user_str(payload(rec), PAYLOAD_LARGE, (void *)from);
	}
	if (n <= 0) {
		bpf_ringbuf_discard(rec, QUIET);
		return PART_NOT_RESIDENT;
	}
	len = n - 1;
	rec->len = len;
	bpf_ringbuf_submit(rec, QUIET);
	return send_close(exec, field, 0, n == PAYLOAD_LARGE ? PART_TOO_LONG : PART_WHOLE, len);
}

/* The pointer at `from`, of the ABI's size. */
static __always_inline long read_pointer(__u64 *pointer, __u32 abi, __u64 from)
{
	__u32 narrow = 0;
	long err;

	if (abi == ABI_NATIVE)
		return bpf_probe_read_user(pointer, sizeof(*pointer), (void *)from);
	err = bpf_probe_read_user(&narrow, sizeof(narrow), (void *)from);
	*pointer = narrow;
	return err;
}

enum chunk {
	CHUNK_MORE = 1,
	CHUNK_LAST = 2,
	CHUNK_NOT_RESIDENT = 3,
};

/* Pieces in a record at most, and records. */
#define CHUNK_PIECES 64
#define CHUNKS (STRINGS_CAP / (PAYLOAD_LARGE - PIECE))

/*
 * Fills one record from where `pending` says. All that changes lives there: what the verifier does not know the value of
 * is the same on each turn. Returns an enum chunk, or NO_ROOM.
 */
static __always_inline int fill_chunk(struct rec_data *rec, struct pending *it)
{
	__u32 i;

	for (i = 0; i < CHUNK_PIECES; i++) {
		__u64 used, string;
		long n;

		reload();
		used = it->used & (PAYLOAD_LARGE - 1);
		string = it->string;
		opaque(used);
		if (used > PAYLOAD_LARGE - PIECE)
			return CHUNK_MORE;
		if (!string) {
			if (read_pointer(&string, it->abi, it->list))
				return CHUNK_NOT_RESIDENT;
			if (!string)
				return CHUNK_LAST;
			it->list += it->abi == ABI_NATIVE ? 8 : 4;
		}
		n = bpf_probe_read_user_str(payload(rec) + used, PIECE, (void *)string);
		if (n <= 0) {
			it->string = string;
			return CHUNK_NOT_RESIDENT;
		}
		if (n == PIECE) {
			it->string = string + PIECE - 1;
			it->used = used + PIECE - 1;
		} else {
			it->string = 0;
			it->used = used + n;
		}
	}
	return CHUNK_MORE;
}

__noinline int send_chunk(__u32 field)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct pending *it = bpf_map_lookup_elem(&pending, &thread);
	struct rec_data *rec;
	int end;

	if (!it)
		return NO_ROOM;
	rec = reserve_data(it->exec, field, 0, it->sent, PAYLOAD_LARGE);
	if (!rec)
		return NO_ROOM;
	it->used = 0;
	end = fill_chunk(rec, it);
	rec->len = it->used;
	it->sent += it->used;
	bpf_ringbuf_submit(rec, QUIET);
	return end;
}

/* send_list: begin where it stopped; come back where a page is not resident. */
#define LIST_RESUME 1
#define LIST_WAITS 2
/* What it returns then, with `string` or else `list` of `pending` at that page. */
#define LIST_NOT_RESIDENT 1

/* Sends FIELD_ARGV or FIELD_ENV of the caller. */
__noinline int send_list(__u32 field, __u32 how)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct pending *it = bpf_map_lookup_elem(&pending, &thread);
	int end = CHUNK_LAST, status = PART_WHOLE;
	__u32 i;

	if (!it)
		return NO_ROOM;
	if (!(how & LIST_RESUME)) {
		it->list = field == FIELD_ARGV ? it->argv : it->envp;
		it->string = 0;
		it->sent = 0;
	}
	/* NULL is an empty list. */
	for (i = 0; it->list && i < CHUNKS; i++) {
		end = send_chunk(field);
		if (end != CHUNK_MORE)
			break;
	}
	if (end == NO_ROOM)
		return NO_ROOM;
	if (end == CHUNK_NOT_RESIDENT) {
		if (how & LIST_WAITS)
			return LIST_NOT_RESIDENT;
		status = PART_NOT_RESIDENT;
	} else if (end == CHUNK_MORE) {
		status = PART_TOO_LONG;
	}
	return send_close(it->exec, field, 0, status, it->sent);
}

/* Pages that a sleepable program brings in for a list at most. */
#define LIST_PAGES 32

static __always_inline void send_caller_list(struct pending *it, __u32 field, bool sleepable)
{
	__u32 i, how = LIST_WAITS;

	if (!sleepable) {
		send_list(field, 0);
		return;
	}
	for (i = 0; i < LIST_PAGES; i++) {
		if (i == LIST_PAGES - 1)
			how &= ~LIST_WAITS;
		if (send_list(field, how) != LIST_NOT_RESIDENT)
			return;
		touch(it->string ? it->string : it->list, true);
		how |= LIST_RESUME;
	}
}

#endif

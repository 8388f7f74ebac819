/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads what a caller of execve has in its memory. Nothing here can wait for a page: a sleepable program touches what is
 * to be read beforehand, so that no record is reserved meanwhile, for the reader would wait for it.
 */
#ifndef TRACER_CALLER_H
#define TRACER_CALLER_H

#include "scratch.h"
#include "walk.h"

/* Longest piece of a string that is read at a time, with NUL. */
#define PIECE 256

/* Brings the page in, in a sleepable program. */
static __always_inline void touch(__u64 from, bool sleepable)
{
	char byte;

	if (sleepable)
		bpf_copy_from_user(&byte, 1, (void *)from);
}

/* Like bpf_probe_read_user_str(), which before 6.16 says of an empty string that 0 bytes were read, and not its NUL. */
static __always_inline long read_string(void *to, __u32 size, __u64 from)
{
	long n = bpf_probe_read_user_str(to, size, (void *)from);

	return n ? n : 1;
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
	n = read_string(payload(rec), PAYLOAD_SMALL, from);
	if (n == PAYLOAD_SMALL) {
		/* Perhaps cut. */
		bpf_ringbuf_discard(rec, QUIET);
		rec = reserve_data(exec, field, 0, 0, PAYLOAD_LARGE);
		if (!rec)
			return NO_ROOM;
		n = read_string(payload(rec), PAYLOAD_LARGE, from);
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

/*
 * Takes a piece of a string of the list that the scratch is at. All that changes lives there: what the verifier does not
 * know the value of is the same on each turn. Returns as in walk.h; PART_NOT_RESIDENT where a page is not.
 */
__noinline int list_step(__u32 slot)
{
	struct scratch *s = scratch_of(slot);
	__u64 used, string;
	long n; /* bytes read, NUL included */

	if (!s)
		return NO_ROOM;
	if (s->used > PAYLOAD_LARGE - PIECE)
		send_scratch(slot);
	if (s->lost)
		return WALK_DONE;
	if (s->head.offset >= STRINGS_CAP)
		return PART_TOO_LONG;
	string = s->string;
	if (!string) {
		if (read_pointer(&string, s->abi, s->list))
			return PART_NOT_RESIDENT;
		if (!string)
			return WALK_DONE;
		s->list += s->abi == ABI_NATIVE ? 8 : 4;
		s->string = string;
	}
	used = s->used;
	opaque(used);
	used &= PAYLOAD_LARGE - 1;
	n = read_string(s->bytes + used, PIECE, string);
	if (n <= 0)
		return PART_NOT_RESIDENT;
	if (n == PIECE) {
		s->string = string + PIECE - 1;
		n = PIECE - 1;
	} else {
		s->string = 0;
	}
	s->used = used + n;
	return 0;
}

WALK(list_turns, list_step, 42)
WALK(list_rounds, list_turns, 42)
WALK(list_walk, list_rounds, 42)

/* send_list: begin where it stopped; come back where a page is not resident. */
#define LIST_RESUME 1
#define LIST_WAITS 2
/* What it returns then, with `string` or else `list` of `pending` at that page. */
#define LIST_NOT_RESIDENT 1

/* Sends FIELD_ARGV or FIELD_ENV of the caller. The scratch is not held while a sleepable program waits for a page. */
__noinline int send_list(__u32 field, __u32 how)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct pending *it = bpf_map_lookup_elem(&pending, &thread);
	int slot, status = WALK_DONE, sent = NO_ROOM;
	struct scratch *s;

	if (!it)
		return NO_ROOM;
	if (!(how & LIST_RESUME)) {
		it->list = field == FIELD_ARGV ? it->argv : it->envp;
		it->string = 0;
		it->sent = 0;
	}
	slot = claim_scratch();
	if (slot < 0)
		return NO_ROOM;
	s = scratch_of(slot);
	if (s) {
		begin_part(s, it->exec, field);
		s->head.offset = it->sent;
		s->list = it->list;
		s->string = it->string;
		s->abi = it->abi;
		if (it->list) /* NULL is an empty list */
			status = list_walk(slot);
		if (status == PART_NOT_RESIDENT && how & LIST_WAITS) {
			send_scratch(slot);
			it->list = s->list;
			it->string = s->string;
			it->sent = s->head.offset;
			sent = s->lost ? NO_ROOM : LIST_NOT_RESIDENT;
		} else {
			sent = end_part(s, slot, walk_status(status));
		}
	}
	release_scratch(slot);
	return sent;
}

/* Pages that a sleepable program brings in for a list at most. */
#define LIST_PAGES 32

/* The same, in a sleepable program. */
__noinline int send_list_waiting(__u32 field)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct pending *it = bpf_map_lookup_elem(&pending, &thread);
	__u32 i, how = LIST_WAITS;

	if (!it)
		return NO_ROOM;
	for (i = 0; i < LIST_PAGES; i++) {
		if (i == LIST_PAGES - 1)
			how &= ~LIST_WAITS;
		if (send_list(field, how) != LIST_NOT_RESIDENT)
			break;
		touch(it->string ? it->string : it->list, true);
		how |= LIST_RESUME;
	}
	return 0;
}

static __always_inline void send_caller_list(__u32 field, bool sleepable)
{
	if (sleepable)
		send_list_waiting(field);
	else
		send_list(field, 0);
}

#endif

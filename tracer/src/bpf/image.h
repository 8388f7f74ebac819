/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sends what the kernel has put on the stack of a new program: argv and env, each in one region.
 *
 * The functions are global, so that the verifier checks each once, with arguments of which it knows nothing, and not
 * again on every path that leads to a call.
 */
#ifndef TRACER_IMAGE_H
#define TRACER_IMAGE_H

#define PAGE_NOT_RESIDENT 1

/* Sends what lies between start and stop on the page at `page`. Returns 0, PAGE_NOT_RESIDENT, or NO_ROOM. */
__noinline int send_page(__u64 exec, __u32 field, __u64 start, __u64 stop, __u64 page)
{
	const __u64 from = page < start ? start : page;
	const __u64 to = page + PAYLOAD_LARGE > stop ? stop : page + PAYLOAD_LARGE;
	__u64 n = to - from;
	struct rec_data *rec;
	long err;

	if (n <= PAYLOAD_SMALL) {
		rec = reserve_data(exec, field, 0, from - start, PAYLOAD_SMALL);
		if (!rec)
			return NO_ROOM;
		n = bounded(n, PAYLOAD_SMALL);
		err = bpf_probe_read_user(payload(rec), n, (void *)from);
	} else if (n <= PAYLOAD_MEDIUM) {
		rec = reserve_data(exec, field, 0, from - start, PAYLOAD_MEDIUM);
		if (!rec)
			return NO_ROOM;
		n = bounded(n, PAYLOAD_MEDIUM);
		err = bpf_probe_read_user(payload(rec), n, (void *)from);
	} else {
		rec = reserve_data(exec, field, 0, from - start, PAYLOAD_LARGE);
		if (!rec)
			return NO_ROOM;
		n = bounded(n, PAYLOAD_LARGE);
		err = bpf_probe_read_user(payload(rec), n, (void *)from);
	}
	if (err) {
		bpf_ringbuf_discard(rec, QUIET);
		return PAGE_NOT_RESIDENT;
	}
	rec->len = n;
	bpf_ringbuf_submit(rec, QUIET);
	return 0;
}

/* Pages that send_pages goes by at a time, and the bytes on them. */
#define RUN_PAGES 32
#define RUN_BYTES (RUN_PAGES * PAYLOAD_LARGE)

/*
 * Sends what lies between start and stop on the RUN_PAGES pages from `first` on. Returns 0, PAGE_NOT_RESIDENT + the
 * page's number in the run, or NO_ROOM.
 */
__noinline int send_pages(__u64 exec, __u32 field, __u64 start, __u64 stop, __u64 first)
{
	__u32 i;

	for (i = 0; i < RUN_PAGES; i++) {
		__u64 page = first + (__u64)i * PAYLOAD_LARGE;
		int sent;

		if (page >= stop)
			break;
		sent = send_page(exec, field, start, stop, page);
		if (sent)
			return sent == PAGE_NOT_RESIDENT ? PAGE_NOT_RESIDENT + (int)i : NO_ROOM;
	}
	return 0;
}

/* Sends the strings between start and stop as FIELD_ARGV or FIELD_ENV. */
__noinline int send_region(__u64 exec, __u32 field, __u64 start, __u64 stop)
{
	const __u64 first = start & ~(__u64)(PAYLOAD_LARGE - 1);
	__s32 status = PART_WHOLE;
	__u64 end = stop;
	__u32 i;

	if (stop < start)
		return send_close(exec, field, 0, 14 /* EFAULT */, 0);
	if (stop - start > STRINGS_CAP) {
		end = stop = start + STRINGS_CAP;
		status = PART_TOO_LONG;
	}
	/* One more turn than whole runs: the region need not begin at a page boundary. */
	for (i = 0; i <= STRINGS_CAP / RUN_BYTES; i++) {
		__u64 run = first + (__u64)i * RUN_BYTES;
		int sent;

		if (run >= stop)
			break;
		sent = send_pages(exec, field, start, stop, run);
		if (sent == NO_ROOM)
			return NO_ROOM;
		if (sent) {
			end = run + (__u64)(sent - PAGE_NOT_RESIDENT) * PAYLOAD_LARGE;
			if (end < start)
				end = start;
			status = PART_NOT_RESIDENT;
			break;
		}
	}
	return send_close(exec, field, 0, status, end - start);
}

/* Sends a path of the kernel's own; static, because the newest kernels do not take its pointer for a number. */
static __always_inline int send_kernel_filename(__u64 exec, const char *filename)
{
	struct rec_data *rec;
	__u32 len;
	long n; /* bytes read, NUL included */

	rec = reserve_data(exec, FIELD_KERNEL_FILENAME, 0, 0, PAYLOAD_SMALL);
	if (!rec)
		return NO_ROOM;
	n = bpf_probe_read_kernel_str(payload(rec), PAYLOAD_SMALL, filename);
	if (n == PAYLOAD_SMALL) {
		/* Perhaps cut. The kernel's limit, PATH_MAX, is the large payload. */
		bpf_ringbuf_discard(rec, QUIET);
		rec = reserve_data(exec, FIELD_KERNEL_FILENAME, 0, 0, PAYLOAD_LARGE);
		if (!rec)
			return NO_ROOM;
		n = bpf_probe_read_kernel_str(payload(rec), PAYLOAD_LARGE, filename);
	}
	len = n > 0 ? n - 1 : 0;
	rec->len = len;
	bpf_ringbuf_submit(rec, QUIET);
	return send_close(exec, FIELD_KERNEL_FILENAME, 0, n > 0 ? PART_WHOLE : 14 /* EFAULT */, len);
}

#endif

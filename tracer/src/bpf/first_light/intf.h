/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the BPF side sends to user space: the only place where it is written down. The Rust types are generated from
 * the BTF of `struct wire`.
 *
 * One exec is one `rec_head`, then `rec_data` records (first the filename's, then argv's), then one `rec_end`. They
 * are written by one task, so they keep their order; records of other CPUs may lie between them. An exec without its
 * `rec_end` is incomplete, and it is counted in `lost_execs`.
 */
#ifndef TRACER_INTF_H
#define TRACER_INTF_H

enum limits {
	/* Bytes of argv that are sent at most; the kernel itself allows several MiB. */
	ARGV_CAP = 256 * 1024,
	/* Payloads that a rec_data is reserved with: a ring buffer record's size must be a constant. */
	PAYLOAD_SMALL = 256,
	PAYLOAD_LARGE = 4096,
	/* TASK_COMM_LEN */
	COMM_LEN = 16,
};

enum rec_kind {
	REC_HEAD = 1,
	REC_FILENAME = 2,
	REC_ARGV = 3,
	REC_END = 4,
};

/* Bits of rec_end.flags. */
enum end_flags {
	/* argv was longer than ARGV_CAP. */
	ARGV_CAPPED = 1,
	/* A page of argv was not resident: argv stops before it. */
	ARGV_FAULT = 2,
	/* The filename could not be read. */
	FILENAME_FAULT = 4,
};

/* Opens each record. A task runs one exec at a time, so (tgid, time) names an exec. */
struct rec_key {
	__u64 time_ns; /* CLOCK_BOOTTIME when the exec had succeeded */
	__u32 tgid;    /* process id in the initial pid namespace */
	__u32 kind;    /* enum rec_kind */
};
_Static_assert(sizeof(struct rec_key) == 16, "no padding");

struct rec_head {
	struct rec_key key;
	__u64 argv_len;        /* bytes from mm->arg_start to mm->arg_end, all NULs included */
	__u32 pid;             /* thread id after the exec; equals tgid */
	__u32 old_pid;         /* thread id before the exec: that of the thread which called it */
	__u32 ppid;            /* process id of the real parent (not of a ptracer) */
	__u32 uid;             /* real user id, in the initial user namespace */
	__u32 argc;            /* number of arguments as the kernel counted them, script arguments included */
	__u32 reserved;        /* 0 */
	__u8 comm[COMM_LEN]; /* name of the thread after the exec, NUL terminated */
};
_Static_assert(sizeof(struct rec_head) == 64, "no padding");

struct rec_data {
	struct rec_key key;
	__u32 offset; /* byte offset of this payload in the filename or in argv */
	__u32 len;    /* bytes of the payload that are valid; the rest is undefined */
	/* PAYLOAD_SMALL or PAYLOAD_LARGE bytes follow. */
};
_Static_assert(sizeof(struct rec_data) == 24, "no padding");

struct rec_end {
	struct rec_key key;
	__u32 filename_len; /* bytes of the filename that were sent, without NUL */
	__u32 argv_sent;    /* bytes of argv that were sent */
	__u32 flags;        /* enum end_flags */
	__u32 reserved;     /* 0 */
};
_Static_assert(sizeof(struct rec_end) == 32, "no padding");

/* Makes all of the above part of the object's BTF. */
struct wire {
	struct rec_head head;
	struct rec_data data;
	struct rec_end end;
	enum rec_kind kind;
	enum end_flags flags;
	enum limits limits;
};

#endif

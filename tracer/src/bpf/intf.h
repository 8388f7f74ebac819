/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the BPF side sends to user space: the only place where it is written down. The Rust types are generated from
 * the BTF of `struct wire`.
 *
 * One exec is one `rec_begin`, then the parts of its fields, then one `rec_end`. All are written by one task, so they
 * keep their order; records of other tasks may lie between them. A part is any number of `rec_data` whose offsets follow
 * each other, and then one `rec_close`, which says how it ended. A part that was begun and not closed, or that is missing,
 * found no room. An exec without its begin or its end is counted in `lost_execs`.
 */
#ifndef TRACER_INTF_H
#define TRACER_INTF_H

enum limits {
	/* Payloads that a rec_data is reserved with: a ring buffer record's size must be a constant. */
	PAYLOAD_SMALL = 256,
	PAYLOAD_MEDIUM = 1024,
	PAYLOAD_LARGE = 4096,
	/* The index of a FIELD_ARGV0 that says that there is none. */
	ARGV0_NONE = 1,
	/* Bytes of argv, and of env, that are sent at most. The kernel allows 6 MiB for both together. */
	STRINGS_CAP = 4 * 1024 * 1024,
	/* TASK_COMM_LEN */
	COMM_LEN = 16,
	/* Descriptors, and supplementary groups, that are sent at most. */
	FDS_CAP = 1024,
	GROUPS_CAP = 1024,
	/* wire_path_end.mark: no name is as long. */
	WIRE_PATH_END = 0x7fffffff,
};

enum rec_kind {
	REC_BEGIN = 1,
	REC_DATA = 2,
	REC_CLOSE = 3,
	REC_END = 4,
	REC_GONE = 5, /* a rec_key: the thread was killed in the call */
	REC_CHILD = 6,
	REC_EXIT = 7,
};

/* What a part belongs to. rec_key.index is 0 unless said otherwise. */
enum wire_field {
	FIELD_NONE = 0,
	FIELD_FILENAME = 1,        /* as the caller gave it, without NUL */
	FIELD_ARGV0 = 2,           /* the caller's argv[0], without NUL; at the index ARGV0_NONE: it gave none */
	FIELD_ARGV = 3,            /* strings, each with its NUL */
	FIELD_ENV = 4,             /* strings, each with its NUL */
	FIELD_KERNEL_FILENAME = 5, /* bprm->filename: /dev/fd/3/x for a path below a descriptor */
	FIELD_CWD = 6,             /* a path: see struct wire_path */
	FIELD_FDS = 7,             /* for each descriptor, ascending, struct wire_fd and a path */
	FIELD_CREDENTIALS = 8,     /* struct wire_credentials */
	FIELD_GROUPS = 9,          /* __u32 each */
	FIELD_CGROUP = 10,         /* a path */
	FIELD_NAMESPACE_PIDS = 11, /* __u32 each, that of the initial namespace first */
};

/* rec_close.status: 0 if the part is whole, else why it is not: an errno, or one of these. */
enum wire_status {
	PART_WHOLE = 0,
	PART_TOO_LONG = -1,
	PART_NOT_RESIDENT = -2, /* a page of user memory, in a program that cannot wait for it */
	PATH_ESCAPED = -3,      /* of a path: moved out of what is mounted, and shown as `/` */
};

/* Opens each record. */
struct rec_key {
	__u64 exec;  /* a number of the exec that no other one has at the time; 0 of REC_CHILD and REC_EXIT */
	__u16 kind;  /* enum rec_kind */
	__u16 field; /* enum wire_field, of REC_DATA and REC_CLOSE */
	__u32 index; /* which one of a field that has several */
};
_Static_assert(sizeof(struct rec_key) == 16, "no padding");

enum wire_call {
	CALL_EXECVE = 0,
	CALL_EXECVEAT = 1,
	CALL_UNKNOWN = 2, /* no hook saw the entry */
};

enum wire_abi {
	ABI_NATIVE = 0,
	ABI_COMPAT = 1,
	ABI_X32 = 2,
};

struct rec_begin {
	struct rec_key key;
	__u32 pid;  /* thread id of the caller, before the exec */
	__u32 tgid; /* process id */
	__u32 ppid; /* process id of the real parent (not of a ptracer) */
	__u32 uid;  /* real user id of the caller, in the initial user namespace */
	__s32 dirfd;
	__s32 flags;
	__u16 call;          /* enum wire_call */
	__u16 abi;           /* enum wire_abi */
	__u32 reserved;      /* 0 */
	__u8 comm[COMM_LEN]; /* name of the thread before the exec; all 0 with CALL_UNKNOWN */
};
_Static_assert(sizeof(struct rec_begin) == 64, "no padding");

struct rec_data {
	struct rec_key key;
	__u32 offset; /* byte offset of this payload in its part */
	__u32 len;    /* bytes of the payload that are valid; the rest is undefined */
	/* PAYLOAD_SMALL, _MEDIUM or _LARGE bytes follow. */
};
_Static_assert(sizeof(struct rec_data) == 24, "no padding");

struct rec_close {
	struct rec_key key;
	__s32 status; /* enum wire_status, or an errno */
	__u32 len;    /* bytes that were sent in all */
};
_Static_assert(sizeof(struct rec_close) == 24, "no padding");

/* Whether the kernel has put an interpreter's words in front of argv. */
enum wire_script {
	SCRIPT_NO = 0,
	SCRIPT_YES = 1,
	SCRIPT_UNKNOWN = 2,
};

struct rec_end {
	struct rec_key key;
	__u64 time_ns;   /* CLOCK_BOOTTIME when it had succeeded or failed */
	__u32 error;     /* 0 or the errno */
	__u32 is_script; /* enum wire_script */
};
_Static_assert(sizeof(struct rec_end) == 32, "no padding");

struct rec_child {
	struct rec_key key;
	__u64 time_ns;
	__u32 parent_tgid;
	__u32 tgid;
};
_Static_assert(sizeof(struct rec_child) == 32, "no padding");

struct rec_exit {
	struct rec_key key;
	__u64 time_ns;
	__u32 tgid;
	__u32 code; /* as wait(2) has it: signal, 0x80 for a core dump, status << 8 */
};
_Static_assert(sizeof(struct rec_exit) == 32, "no padding");

/* An open file; its path follows. */
struct wire_fd {
	__s64 position;
	__u64 inode;
	__u32 number;
	__u32 flags; /* of open(2), without O_CLOEXEC */
	__u32 cloexec;
	__u32 mount_id;
};
_Static_assert(sizeof(struct wire_fd) == 32, "no padding");

enum wire_path_flags {
	/* Removed from its directory. */
	PATH_UNLINKED = 1,
	/* Not in a directory: its file system makes up what /proc shows, of `magic`, the inode, and the one name. */
	PATH_MADE_UP = 2,
};

/* Opens a path: then come its names, from the last to the first (as the kernel can find them), and wire_path_end. */
struct wire_path {
	__u32 flags; /* enum wire_path_flags */
	__u32 magic; /* of the file system: <linux/magic.h> */
};
_Static_assert(sizeof(struct wire_path) == 8, "no padding");

/* Its bytes follow, and undefined ones up to a multiple of 8 with this header. */
struct wire_name {
	__u32 len;
};

struct wire_path_end {
	__u32 mark; /* WIRE_PATH_END, where a name would have its length */
	__s32 status; /* enum wire_status, or an errno: why names are lacking at the root's side */
};
_Static_assert(sizeof(struct wire_path_end) == 8, "no padding");

/* Payload of FIELD_CREDENTIALS; ids of the initial user namespace. */
struct wire_credentials {
	__u32 uid, euid, suid, fsuid;
	__u32 gid, egid, sgid, fsgid;
};
_Static_assert(sizeof(struct wire_credentials) == 32, "no padding");

/* Makes all of the above part of the object's BTF. */
struct wire {
	struct rec_begin begin;
	struct rec_data data;
	struct rec_close close;
	struct rec_end end;
	struct rec_child child;
	struct rec_exit exit;
	struct wire_fd fd;
	struct wire_path path;
	struct wire_path_end path_end;
	struct wire_credentials credentials;
	enum rec_kind kind;
	enum wire_field field;
	enum wire_status status;
	enum wire_call call;
	enum wire_abi abi;
	enum wire_path_flags path_flags;
	enum wire_script script;
	enum limits limits;
};

#endif

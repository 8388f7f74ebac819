/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel types that tracer.bpf.c reads: hand-kept, with no field that it does not use. CO-RE finds the true
 * offsets in the running kernel's BTF, so one file serves x86_64, aarch64 and riscv64, 5.10 and later.
 */
#ifndef TRACER_VMLINUX_H
#define TRACER_VMLINUX_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
typedef int pid_t;

enum {
	false = 0,
	true = 1,
};

/* From uapi/linux/bpf.h. */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_RINGBUF = 27, /* 5.8 */
};

enum {
	BPF_ANY = 0,
};

enum {
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
};

enum {
	BPF_RB_AVAIL_DATA = 0,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live; /* threads that have not begun to exit */
	unsigned int flags;
	int group_exit_code;
};

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
	unsigned long env_start;
	unsigned long env_end;
};

/* Of x86_64; the others have no `status`, and do not ask for it. */
struct thread_info {
	__u32 status;
};

struct task_struct {
	struct thread_info thread_info;
	pid_t pid;
	pid_t tgid;
	int exit_code;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct mm_struct *mm;
	struct signal_struct *signal;
};

struct linux_binprm {
	const char *filename;
	const char *interp;
};

/* The registers that system calls use. */
struct pt_regs {
#if defined(__TARGET_ARCH_x86)
	unsigned long r10, r8, bx, cx, dx, si, di, ax, orig_ax;
#elif defined(__TARGET_ARCH_arm64)
	__u64 regs[31];
	__u64 pstate;
	__u64 orig_x0;
	__s32 syscallno;
#elif defined(__TARGET_ARCH_riscv)
	unsigned long a0, a1, a2, a3, a4, a7, status, orig_a0;
#else
#error "an architecture without its registers"
#endif
};

#pragma clang attribute pop

#endif

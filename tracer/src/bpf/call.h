/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A call of execve or execveat, taken from the registers that the kernel saved on the way in: number and ABI too, so
 * that one program serves any hook that has them.
 */
#ifndef TRACER_CALL_H
#define TRACER_CALL_H

struct call {
	__u64 filename; /* user pointers */
	__u64 argv;
	__u64 envp;
	__s32 dirfd;
	__s32 flags;
	__u32 call; /* enum wire_call */
	__u32 abi;  /* enum wire_abi */
};

#if defined(__TARGET_ARCH_x86)

enum {
	NR_EXECVE = 59,
	NR_EXECVEAT = 322,
	NR_COMPAT_EXECVE = 11,
	NR_COMPAT_EXECVEAT = 358,
	NR_X32_BIT = 0x40000000,
	NR_X32_EXECVE = NR_X32_BIT | 520,
	NR_X32_EXECVEAT = NR_X32_BIT | 545,
	TS_COMPAT = 2, /* thread_info.status: in a 32-bit system call, int 0x80 from 64-bit code included */
};

/* Of a kprobe's registers: the first argument of the function, and what it returns. */
#define first_argument(regs) ((regs)->di)
#define returned(regs) ((long)(regs)->ax)

static __always_inline __u64 call_number(struct pt_regs *regs)
{
	return (__u32)BPF_CORE_READ(regs, orig_ax);
}

static __always_inline __u32 call_abi(struct pt_regs *regs, __u64 nr)
{
	struct task_struct *task = current_task();

	if (BPF_CORE_READ(task, thread_info.status) & TS_COMPAT)
		return ABI_COMPAT;
	return nr & NR_X32_BIT ? ABI_X32 : ABI_NATIVE;
}

static __always_inline void call_args(struct pt_regs *regs, __u32 abi, __u64 args[5])
{
	if (abi == ABI_COMPAT) {
		args[0] = BPF_CORE_READ(regs, bx);
		args[1] = BPF_CORE_READ(regs, cx);
		args[2] = BPF_CORE_READ(regs, dx);
		args[3] = BPF_CORE_READ(regs, si);
		args[4] = BPF_CORE_READ(regs, di);
	} else {
		args[0] = BPF_CORE_READ(regs, di);
		args[1] = BPF_CORE_READ(regs, si);
		args[2] = BPF_CORE_READ(regs, dx);
		args[3] = BPF_CORE_READ(regs, r10);
		args[4] = BPF_CORE_READ(regs, r8);
	}
}

/* Quickly: whether the number may be one of ours. */
static __always_inline bool is_exec(__u64 nr)
{
	return nr == NR_EXECVE || nr == NR_EXECVEAT || nr == NR_COMPAT_EXECVE || nr == NR_COMPAT_EXECVEAT ||
	       nr == NR_X32_EXECVE || nr == NR_X32_EXECVEAT;
}

/* Whether it is, in this ABI, and which. */
static __always_inline __u32 call_of(__u64 nr, __u32 abi)
{
	if (abi == ABI_COMPAT)
		return nr == NR_COMPAT_EXECVE ? CALL_EXECVE : nr == NR_COMPAT_EXECVEAT ? CALL_EXECVEAT : CALL_UNKNOWN;
	if (nr == NR_EXECVE || nr == NR_X32_EXECVE)
		return CALL_EXECVE;
	return nr == NR_EXECVEAT || nr == NR_X32_EXECVEAT ? CALL_EXECVEAT : CALL_UNKNOWN;
}

#elif defined(__TARGET_ARCH_arm64) || defined(__TARGET_ARCH_riscv)

enum {
	NR_EXECVE = 221,
	NR_EXECVEAT = 281,
#if defined(__TARGET_ARCH_arm64)
	NR_COMPAT_EXECVE = 11,
	NR_COMPAT_EXECVEAT = 387,
#else
	NR_COMPAT_EXECVE = NR_EXECVE,
	NR_COMPAT_EXECVEAT = NR_EXECVEAT,
#endif
};

#if defined(__TARGET_ARCH_arm64)

#define first_argument(from) ((from)->regs[0])
#define returned(from) ((long)(from)->regs[0])

#define PSTATE_MODE32 0x10 /* the caller was in AArch32 */

static __always_inline __u64 call_number(struct pt_regs *regs)
{
	return (__u32)BPF_CORE_READ(regs, syscallno);
}

static __always_inline __u32 call_abi(struct pt_regs *regs, __u64 nr)
{
	return BPF_CORE_READ(regs, pstate) & PSTATE_MODE32 ? ABI_COMPAT : ABI_NATIVE;
}

static __always_inline void call_args(struct pt_regs *regs, __u32 abi, __u64 args[5])
{
	args[0] = BPF_CORE_READ(regs, orig_x0);
	args[1] = BPF_CORE_READ(regs, regs[1]);
	args[2] = BPF_CORE_READ(regs, regs[2]);
	args[3] = BPF_CORE_READ(regs, regs[3]);
	args[4] = BPF_CORE_READ(regs, regs[4]);
}

#else

#define first_argument(regs) ((regs)->a0)
#define returned(regs) ((long)(regs)->a0)

#define STATUS_UXL (3ULL << 32) /* the width of user mode's registers */
#define STATUS_UXL_32 (1ULL << 32)

static __always_inline __u64 call_number(struct pt_regs *regs)
{
	return (__u32)BPF_CORE_READ(regs, a7);
}

static __always_inline __u32 call_abi(struct pt_regs *regs, __u64 nr)
{
	return (BPF_CORE_READ(regs, status) & STATUS_UXL) == STATUS_UXL_32 ? ABI_COMPAT : ABI_NATIVE;
}

static __always_inline void call_args(struct pt_regs *regs, __u32 abi, __u64 args[5])
{
	args[0] = BPF_CORE_READ(regs, orig_a0);
	args[1] = BPF_CORE_READ(regs, a1);
	args[2] = BPF_CORE_READ(regs, a2);
	args[3] = BPF_CORE_READ(regs, a3);
	args[4] = BPF_CORE_READ(regs, a4);
}

#endif

static __always_inline bool is_exec(__u64 nr)
{
	return nr == NR_EXECVE || nr == NR_EXECVEAT || nr == NR_COMPAT_EXECVE || nr == NR_COMPAT_EXECVEAT;
}

static __always_inline __u32 call_of(__u64 nr, __u32 abi)
{
	if (abi == ABI_COMPAT)
		return nr == NR_COMPAT_EXECVE ? CALL_EXECVE : nr == NR_COMPAT_EXECVEAT ? CALL_EXECVEAT : CALL_UNKNOWN;
	return nr == NR_EXECVE ? CALL_EXECVE : nr == NR_EXECVEAT ? CALL_EXECVEAT : CALL_UNKNOWN;
}

#endif

/* Puts the arguments where they belong. Pointers of 32-bit ABIs have 32 bits; x32 sign-extends nothing. */
static __always_inline void sort_args(struct call *call, const __u64 args[5])
{
	const __u64 mask = call->abi == ABI_NATIVE ? ~0ULL : 0xffffffffULL;

	if (call->call == CALL_EXECVEAT) {
		call->dirfd = args[0];
		call->filename = args[1] & mask;
		call->argv = args[2] & mask;
		call->envp = args[3] & mask;
		call->flags = args[4];
	} else {
		call->dirfd = -100; /* AT_FDCWD */
		call->filename = args[0] & mask;
		call->argv = args[1] & mask;
		call->envp = args[2] & mask;
		call->flags = 0;
	}
}

/* The call that these registers make; false if it is not ours. */
static __always_inline bool read_call(struct pt_regs *regs, struct call *call)
{
	__u64 nr = call_number(regs), args[5];

	if (!is_exec(nr))
		return false;
	call->abi = call_abi(regs, nr);
	call->call = call_of(nr, call->abi);
	if (call->call == CALL_UNKNOWN)
		return false;
	call_args(regs, call->abi, args);
	sort_args(call, args);
	return true;
}

#endif

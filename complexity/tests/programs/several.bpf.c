/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Programs of which every kernel of the matrix takes one, and refuses another; what it does with the rest depends on it. No
 * header is needed, so that any clang compiles it.
 */
#define SEC(name) __attribute__((section(name), used))
#define __noinline __attribute__((noinline))

typedef unsigned int __u32;
typedef unsigned long long __u64;

static long (*const bpf_get_current_comm)(void *buffer, __u32 size) = (void *)16;
static long (*const bpf_loop)(__u32 count, void *callback, void *context, __u64 flags) = (void *)181;

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Two subprograms, and a stack of 64 + 32 bytes and a little. */
static __noinline int leaf(__u32 seed)
{
	volatile __u64 buffer[4] = {};

	buffer[seed & 3] = seed;
	return buffer[(seed + 1) & 3];
}

SEC("raw_tp/sys_enter")
int taken(void *context)
{
	volatile __u64 buffer[8] = {};
	int total = 0;

	bpf_get_current_comm((void *)buffer, sizeof(buffer));
	for (__u32 i = 0; i < 8; i++)
		total += leaf(buffer[i]);
	return total;
}

/* Reads memory that nobody gave it. */
SEC("raw_tp/sys_exit")
int refused(void *context)
{
	return *(volatile int *)0x1234;
}

static int count(__u32 index, void *context)
{
	*(__u64 *)context += index;
	return 0;
}

/* bpf_loop came with 5.17. */
SEC("raw_tp/sys_enter")
int loops(void *context)
{
	__u64 total = 0;

	bpf_loop(100, count, &total, 0);
	return total;
}

/* Attaches directly, for which 5.10 and older kernels of aarch64 and riscv64 have no trampoline; not loaded unless asked. */
SEC("fentry/bpf_fentry_test1")
int traces(__u64 *context)
{
	volatile __u64 argument = context[0];

	(void)argument;
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PROBE_H
#define PROBE_H

typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

struct bpf_raw_tracepoint_args {
	__u64 args[0];
};

/* In a header, to see that reports have it under its own name. */
static inline __u64 weight(__u64 value)
{
	if (value > 1000)
		return 3;
	return value > 100 ? 2 : 1;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Branches, a loop, a subprogram and a header: what coverage is to show. Run by BPF_PROG_TEST_RUN, which works on 5.10. */
#include "probe.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 doubled = 0;
__u64 total = 0;
__u32 runs = 0;

static __attribute__((noinline)) __u64 sum_to(__u64 n)
{
	__u64 sum = 0;

	for (__u64 i = 0; i < 8; i++) {
		if (i >= n)
			break;
		sum += i;
	}
	return sum;
}

SEC("raw_tp")
int probe(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 value = ctx->args[0];

	runs++;
	if (value == 0)
		return 0;
	if (doubled)
		value *= 2;
	total += weight(value) + sum_to(value);
	return 1;
}

SEC("raw_tp")
int never(struct bpf_raw_tracepoint_args *ctx)
{
	return ctx->args[0] > 5;
}

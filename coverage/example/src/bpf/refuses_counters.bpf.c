/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program that the verifier refuses with 64-bit counters: it reads what is not its own. */
#include "probe.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("raw_tp")
int program(struct bpf_raw_tracepoint_args *ctx)
{
#if __BPF_COVERAGE__ == 1
	return *(volatile int *)((void *)ctx - 8);
#else
	return ctx->args[0] == 1;
#endif
}

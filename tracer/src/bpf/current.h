/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The current task, also for the interpreter. */
#ifndef TRACER_CURRENT_H
#define TRACER_CURRENT_H

/*
 * Take the task from the CPU's run queue. Set before loading, where the kernel interprets programs, and its BTF has
 * `runqueues`.
 *
 * With the JIT off, helpers that the JIT would compile inline cannot be called: of these, bpf_do_misc_fixups() leaves the
 * helper's number in the call, which 6.10 to 7.1 interpret as an address, and 7.2 refuses the program ("program requires
 * BPF JIT compiler"). bpf_jit_inlines_helper_call() has bpf_get_smp_processor_id for arm64 and riscv64, and
 * bpf_get_current_task for arm64, and for riscv64 on newer kernels.
 */
const volatile __u32 from_run_queue = 0;

/* Weak: the verifier takes the branch that uses it for dead where it is not to be used. */
extern const struct rq runqueues __ksym __weak;

static __always_inline struct task_struct *current_task(void)
{
	struct rq *rq;

	if (!from_run_queue)
		return (void *)bpf_get_current_task();
	/* A program stays on its CPU, where nothing else is current while it runs. */
	rq = bpf_this_cpu_ptr(&runqueues);
	return BPF_CORE_READ(rq, curr);
}

#endif

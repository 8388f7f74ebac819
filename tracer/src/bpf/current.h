/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The current task, also for the interpreter. */
#ifndef TRACER_CURRENT_H
#define TRACER_CURRENT_H

/*
 * Take the task from the CPU's run queue. Set before loading, where the kernel interprets programs and the helper cannot be called,
 * and its BTF has `runqueues`.
 *
 * With the JIT off, helpers that the JIT would compile inline cannot be called: of these, bpf_do_misc_fixups() leaves the
 * helper's number in the call. 7.2 refuses the program ("program requires BPF JIT compiler"); earlier kernels run it, and jump to
 * an address that is none (arm64 of 6.12 to 7.1). bpf_get_current_task is one of them, on arm64 and riscv64. So user space
 * looks at what the verifier made of a call of it; on arm64, `sysctl net.core.bpf_jit_enable=1` is the way out.
 */
const volatile __u32 from_run_queue = 0;

#if defined(__TARGET_ARCH_riscv)
/*
 * Only where it is needed: riscv64 has the JIT off by default. A kernel may know this variable's type and not its address (arm64
 * of 6.1), and then refuses every program that names it, also where the verifier would find that the branch is dead.
 */
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
#else
static __always_inline struct task_struct *current_task(void)
{
	return (void *)bpf_get_current_task();
}
#endif

#endif

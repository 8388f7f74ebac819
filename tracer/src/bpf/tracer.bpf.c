/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reports execs through a ring buffer.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "intf.h"
#include "send.h"
#include "path.h"
#include "fds.h"
#include "identity.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* For the BTF only. */
const volatile struct wire wire_types SEC(".rodata") = {};

SEC("tp_btf/sched_process_exec")
int BPF_PROG(tracer_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	send_cwd(1);
	send_fds(1);
	send_identity(1);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An exec from its entry to its end: what the hooks have in common. */
#ifndef TRACER_EXEC_H
#define TRACER_EXEC_H

/* A thread of user space whose execs are noted in `self_test_seen`, and not reported. */
volatile __u32 self_test = 0;
/* Bit 2 * (enum wire_call) for the entry, the bit above it for the exit. */
volatile __u32 self_test_seen = 0;

static __always_inline int send_begin(__u64 exec, __u32 pid, const struct call *call)
{
	struct task_struct *task = current_task();
	struct rec_begin *rec = bpf_ringbuf_reserve(&events, sizeof(*rec), 0);

	if (!rec)
		return NO_ROOM;
	set_key(&rec->key, exec, REC_BEGIN, FIELD_NONE, 0);
	rec->pid = pid;
	rec->tgid = bpf_get_current_pid_tgid() >> 32;
	rec->ppid = BPF_CORE_READ(task, real_parent, tgid);
	rec->uid = bpf_get_current_uid_gid();
	rec->dirfd = call->dirfd;
	rec->flags = call->flags;
	rec->call = call->call;
	rec->abi = call->abi;
	rec->reserved = 0;
	bpf_get_current_comm(rec->comm, sizeof(rec->comm));
	bpf_ringbuf_submit(rec, QUIET);
	return 0;
}

static __always_inline int send_end(__u64 exec, __u32 error, __u32 is_script)
{
	struct rec_end *rec = bpf_ringbuf_reserve(&events, sizeof(*rec), 0);

	if (!rec)
		return NO_ROOM;
	set_key(&rec->key, exec, REC_END, FIELD_NONE, 0);
	rec->time_ns = bpf_ktime_get_boot_ns();
	rec->error = error;
	rec->is_script = is_script;
	bpf_ringbuf_submit(rec, wakeup());
	return 0;
}

/* The exec will have no end. Without room, user space drops it when it has too many. */
static __always_inline void send_gone(__u64 exec)
{
	struct rec_key *rec = bpf_ringbuf_reserve(&events, sizeof(*rec), 0);

	if (!rec)
		return;
	set_key(rec, exec, REC_GONE, FIELD_NONE, 0);
	bpf_ringbuf_submit(rec, QUIET);
}

/* The caller's argv[0], which the kernel replaces in a script's argv; or that there is none, where the kernel makes one. */
static __always_inline void send_argv0(__u64 exec, const struct call *call, bool sleepable)
{
	__u64 string = 0;

	touch(call->argv, sleepable);
	if (call->argv && read_pointer(&string, call->abi, call->argv))
		return;
	if (!string) {
		send_close(exec, FIELD_ARGV0, ARGV0_NONE, PART_WHOLE, 0);
		return;
	}
	touch(string, sleepable);
	send_string(exec, FIELD_ARGV0, string);
}

/* A flag of execveat since 6.14; kernels before answer EINVAL. */
#define AT_EXECVE_CHECK 0x10000

static __always_inline struct pending pending_of(const struct call *call)
{
	return (struct pending){
		.filename = call->filename,
		.argv = call->argv,
		.envp = call->envp,
		.abi = call->abi,
		.call = call->call,
		.is_check = !!(call->flags & AT_EXECVE_CHECK),
	};
}

/* On entry to a call. `twice`: this program has a second one, which does what is not done here. */
static __always_inline void enter(const struct call *call, bool sleepable, bool twice)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u32 tgid = thread >> 32, pid = thread;
	struct pending it = pending_of(call);
	bool of_self_test = self_test && pid == self_test;

	if (of_self_test)
		self_test_seen |= 1U << (2 * (call->call & 1));
	else if (!in_scope(tgid))
		return;
	/* A thread is in one call at a time: the end of an earlier one was missed. */
	if (bpf_map_lookup_elem(&pending, &thread))
		count(&lost_execs);
	it.exec = next_exec(pid);
	if (of_self_test || !is_wanted(tgid, pid)) {
		it.state = PENDING_SKIPPED;
	} else if (send_begin(it.exec, pid, call)) {
		it.state = PENDING_LOST;
	} else {
		touch(call->filename, sleepable);
		it.has_filename = send_string(it.exec, FIELD_FILENAME, call->filename) != PART_NOT_RESIDENT;
		if (collects(FIELD_ARGV) && !skip_successes)
			send_argv0(it.exec, call, sleepable);
		if (collects(FIELD_CWD))
			send_cwd(it.exec);
		if (collects(FIELD_FDS))
			send_fds(it.exec);
	}
	if (bpf_map_update_elem(&pending, &thread, &it, BPF_ANY)) {
		if (!twice)
			count(&lost_execs);
		send_gone(it.exec);
	} else if (!of_self_test) {
		count(&not_found_done[TWICE_ENTER]);
	}
}

/* The second program on entry, which sends the least. */
static __always_inline void enter_again(const struct call *call)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u32 tgid = thread >> 32, pid = thread;
	struct pending it = pending_of(call);

	if ((self_test && pid == self_test) || !in_scope(tgid))
		return;
	if (bpf_map_lookup_elem(&pending, &thread)) {
		__sync_fetch_and_add(&not_found_done[TWICE_ENTER], -1);
		return;
	}
	it.exec = next_exec(pid);
	if (!is_wanted(tgid, pid))
		it.state = PENDING_SKIPPED;
	else if (send_begin(it.exec, pid, call))
		it.state = PENDING_LOST;
	else
		it.has_filename = send_string(it.exec, FIELD_FILENAME, call->filename) != PART_NOT_RESIDENT;
	if (bpf_map_update_elem(&pending, &thread, &it, BPF_ANY)) {
		count(&lost_execs);
		send_gone(it.exec);
	}
}

/* ERESTARTSYS to ERESTART_RESTARTBLOCK: the thread is killed, or enters the call again. */
static __always_inline bool is_restart(__u32 error)
{
	return error >= 512 && error <= 516;
}

/* Whether the exec is to be reported, as far as its entry says. */
static __always_inline bool is_open(const struct pending *it)
{
	if (it->state == PENDING_LOST)
		count(&lost_execs);
	return it->state == PENDING_BEGUN;
}

/* Whether the call has come back to its caller: it has failed, or it was only a check. */
static __always_inline bool is_back(const struct pending *it, long ret)
{
	return it->is_check || (ret < 0 && ret >= -4095);
}

/* Whether one that has come back is not to be reported. */
static __always_inline bool is_skipped(__u32 error)
{
	return error ? skip_failures || is_restart(error) : skip_successes;
}

static __always_inline void come_back(struct pending *it, __u32 error, bool sleepable)
{
	if (!is_open(it))
		return;
	if (is_skipped(error)) {
		send_gone(it->exec);
		return;
	}
	if (!it->has_filename) {
		/* The kernel has read it since. */
		touch(it->filename, sleepable);
		if (send_string(it->exec, FIELD_FILENAME, it->filename) == PART_NOT_RESIDENT)
			send_close(it->exec, FIELD_FILENAME, 0, 14 /* EFAULT */, 0);
	}
	if (collects(FIELD_ARGV))
		send_caller_list(FIELD_ARGV, sleepable);
	if (collects(FIELD_ENV))
		send_caller_list(FIELD_ENV, sleepable);
	send_identity(it->exec);
	if (send_end(it->exec, error, 0))
		count(&lost_execs);
}

static __always_inline void succeed(__u64 exec, const char *filename, __u32 is_script)
{
	struct task_struct *task = current_task();
	struct mm_struct *mm = BPF_CORE_READ(task, mm);

	if (skip_successes) {
		send_gone(exec);
		return;
	}
	if (collects(FIELD_ARGV))
		send_region(exec, FIELD_ARGV, BPF_CORE_READ(mm, arg_start), BPF_CORE_READ(mm, arg_end));
	if (collects(FIELD_ENV))
		send_region(exec, FIELD_ENV, BPF_CORE_READ(mm, env_start), BPF_CORE_READ(mm, env_end));
	if (filename)
		send_kernel_filename(exec, filename);
	send_identity(exec);
	if (send_end(exec, 0, is_script))
		count(&lost_execs);
}

/* On return from a call. After a success there is nothing left to do, unless the tracepoint's program was skipped. */
static __always_inline void leave(long ret, bool sleepable)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct pending *it = bpf_map_lookup_elem(&pending, &thread);

	if (!it)
		return;
	if (self_test && (__u32)thread == self_test)
		self_test_seen |= 2U << (2 * (it->call & 1));
	if (is_back(it, ret))
		come_back(it, -ret, sleepable);
	else if (is_open(it))
		succeed(it->exec, 0, SCRIPT_UNKNOWN);
	bpf_map_delete_elem(&pending, &thread);
}

/* The second program on return, which sends the least. */
static __always_inline void leave_again(long ret)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct pending *it = bpf_map_lookup_elem(&pending, &thread);

	if (!it)
		return;
	if (is_open(it)) {
		/* A success, of which three programs were skipped, has changed what it was called with. */
		bool has_end = is_back(it, ret);

		if (!has_end || is_skipped(-ret))
			send_gone(it->exec);
		if (!has_end || (!is_skipped(-ret) && send_end(it->exec, -ret, 0)))
			count(&lost_execs);
	}
	bpf_map_delete_elem(&pending, &thread);
}

#endif

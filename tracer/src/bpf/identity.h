/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sends who a process is: credentials, groups, cgroup, process ids. */
#ifndef TRACER_IDENTITY_H
#define TRACER_IDENTITY_H

#define ENOENT 2

enum {
	/* Levels of cgroups at most, in rounds. */
	CGROUP_ROUND = 16,
	CGROUP_ROUNDS = 16,
	/* MAX_PID_NS_LEVEL, and the initial namespace; a power of two is wanted. */
	PID_LEVELS = 64,
};

static __always_inline int send_credentials(struct scratch *s, __u32 slot, __u64 exec, const struct cred *cred)
{
	struct wire_credentials *credentials;

	begin_part(s, exec, FIELD_CREDENTIALS);
	credentials = room(s, slot);
	credentials->uid = BPF_CORE_READ(cred, uid.val);
	credentials->euid = BPF_CORE_READ(cred, euid.val);
	credentials->suid = BPF_CORE_READ(cred, suid.val);
	credentials->fsuid = BPF_CORE_READ(cred, fsuid.val);
	credentials->gid = BPF_CORE_READ(cred, gid.val);
	credentials->egid = BPF_CORE_READ(cred, egid.val);
	credentials->sgid = BPF_CORE_READ(cred, sgid.val);
	credentials->fsgid = BPF_CORE_READ(cred, fsgid.val);
	add(s, sizeof(*credentials));
	return end_part(s, slot, 0);
}

static __always_inline int send_groups(struct scratch *s, __u32 slot, __u64 exec, const struct cred *cred)
{
	struct group_info *groups;
	__u32 number;
	__s32 status = 0;
	__u64 len;

	begin_part(s, exec, FIELD_GROUPS);
	groups = BPF_CORE_READ(cred, group_info);
	if (bpf_core_read(&number, sizeof(number), &groups->ngroups))
		return end_part(s, slot, EFAULT);
	if (number > GROUPS_CAP) {
		number = GROUPS_CAP;
		status = PART_TOO_LONG;
	}
	if (number) {
		len = bounded((__u64)number * sizeof(kgid_t), GROUPS_CAP * sizeof(kgid_t));
		if (bpf_core_read(s->bytes, len, &groups->gid))
			return end_part(s, slot, EFAULT);
		s->used = len;
	}
	return end_part(s, slot, status);
}
_Static_assert(GROUPS_CAP * sizeof(kgid_t) <= PAYLOAD_LARGE, "groups are sent at once");

/* Goes on with the cgroup's path that the scratch is at. */
__noinline int cgroup_steps(__u32 slot)
{
	struct scratch *s = scratch_of(slot);
	struct kernfs_node *node, *parent;
	int i, err;

	if (!s)
		return EFAULT;
	node = (void *)s->node;
	for (i = 0; i < CGROUP_ROUND; i++) {
		if (bpf_core_field_exists(node->__parent))
			err = bpf_core_read(&parent, sizeof(parent), &node->__parent);
		else
			err = bpf_core_read(&parent, sizeof(parent), &((struct kernfs_node___old *)node)->parent);
		if (err)
			return EFAULT;
		if (!parent)
			return ROUNDS_DONE;
		err = add_name_string(s, slot, BPF_CORE_READ(node, name));
		if (err)
			return err;
		node = parent;
	}
	s->node = (__u64)node;
	return 0;
}

static __always_inline int send_cgroup(struct scratch *s, __u32 slot, __u64 exec, struct task_struct *task)
{
	struct wire_path *path;
	int i, status = 0;

	begin_part(s, exec, FIELD_CGROUP);
	if (!bpf_core_field_exists(task->cgroups))
		return end_part(s, slot, ENOENT); /* a kernel without cgroups */
	s->node = (__u64)BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);
	path = room(s, slot);
	path->flags = 0;
	path->magic = 0;
	add(s, sizeof(*path));
	for (i = 0; i < CGROUP_ROUNDS && !status; i++)
		status = cgroup_steps(slot);
	if (status == ROUNDS_DONE)
		status = 0;
	else if (!status)
		status = PART_TOO_LONG;
	add_path_end(s, slot, status);
	return end_part(s, slot, 0);
}

static __always_inline int send_namespace_pids(struct scratch *s, __u32 slot, __u64 exec, struct task_struct *task)
{
	struct upid *numbers;
	struct pid *pid;
	__u32 *ids, level, i;

	begin_part(s, exec, FIELD_NAMESPACE_PIDS);
	pid = BPF_CORE_READ(task, group_leader, thread_pid);
	if (bpf_core_read(&level, sizeof(level), &pid->level))
		return end_part(s, slot, EFAULT);
	numbers = (void *)pid + bpf_core_field_offset(pid->numbers);
	ids = room(s, slot);
	for (i = 0; i < PID_LEVELS; i++) {
		if (i > level)
			break;
		ids[i] = 0;
		if (bpf_core_read(&ids[i], sizeof(ids[i]), &numbers->nr))
			return end_part(s, slot, EFAULT);
		numbers = (void *)numbers + bpf_core_type_size(struct upid);
	}
	s->used = i * sizeof(*ids);
	return end_part(s, slot, 0);
}

/* Sends FIELD_CREDENTIALS, _GROUPS, _CGROUP and _NAMESPACE_PIDS of the current task. */
__noinline int send_identity(__u64 exec)
{
	struct task_struct *task = current_task();
	int slot = claim_scratch(), sent = NO_ROOM;
	const struct cred *cred;
	struct scratch *s;

	if (slot < 0)
		return NO_ROOM;
	s = scratch_of(slot);
	if (s) {
		cred = BPF_CORE_READ(task, cred);
		sent = 0;
		if (collects(FIELD_CREDENTIALS))
			sent |= send_credentials(s, slot, exec, cred) | send_groups(s, slot, exec, cred);
		if (collects(FIELD_CGROUP))
			sent |= send_cgroup(s, slot, exec, task);
		sent |= send_namespace_pids(s, slot, exec, task);
	}
	release_scratch(slot);
	return sent;
}

#endif

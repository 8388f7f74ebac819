/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sends who a process is: credentials, groups, cgroup, process ids. */
#ifndef TRACER_IDENTITY_H
#define TRACER_IDENTITY_H

#define ENOENT 2

/* MAX_PID_NS_LEVEL, and the initial namespace. */
#define PID_LEVELS 33

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

/* Takes the next name of the cgroup's path that the scratch is at. Returns as in walk.h. */
__noinline int cgroup_step(__u32 slot)
{
	struct scratch *s = scratch_of(slot);
	struct kernfs_node *node, *parent;
	int err;

	if (!s)
		return EFAULT;
	node = (void *)s->node;
	if (bpf_core_field_exists(node->__parent))
		err = bpf_core_read(&parent, sizeof(parent), &node->__parent);
	else
		err = bpf_core_read(&parent, sizeof(parent), &((struct kernfs_node___old *)node)->parent);
	if (err)
		return EFAULT;
	if (!parent)
		return WALK_DONE;
	s->node = (__u64)parent;
	return add_name_string(s, slot, BPF_CORE_READ(node, name));
}

WALK(cgroup_turns, cgroup_step, 16)
WALK(cgroup_walk, cgroup_turns, 16)

static __always_inline int send_cgroup(struct scratch *s, __u32 slot, __u64 exec, struct task_struct *task)
{
	struct wire_path *path;

	begin_part(s, exec, FIELD_CGROUP);
	if (!bpf_core_field_exists(task->cgroups))
		return end_part(s, slot, ENOENT); /* a kernel without cgroups */
	s->node = (__u64)BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);
	path = room(s, slot);
	path->flags = 0;
	path->magic = 0;
	add(s, sizeof(*path));
	add_path_end(s, slot, walk_status(cgroup_walk(slot)));
	return end_part(s, slot, 0);
}

/* Adds the id that a struct upid has. */
__noinline int add_namespace_pid(__u32 slot, __u32 level, __u64 upid)
{
	struct scratch *s = scratch_of(slot);
	__u64 at = level;

	if (!s)
		return EFAULT;
	opaque(at);
	return bpf_core_read(s->bytes + (at & 63) * sizeof(__u32), sizeof(__u32), &((struct upid *)upid)->nr);
}
_Static_assert(PID_LEVELS <= 64, "the mask");

static __always_inline int send_namespace_pids(struct scratch *s, __u32 slot, __u64 exec, struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	__u32 level, i;
	__u64 upid;

	begin_part(s, exec, FIELD_NAMESPACE_PIDS);
	if (bpf_core_read(&level, sizeof(level), &pid->level))
		return end_part(s, slot, EFAULT);
	upid = (__u64)pid + bpf_core_field_offset(pid->numbers);
	for (i = 0; i < PID_LEVELS; i++) {
		if (i > level)
			break;
		if (add_namespace_pid(slot, i, upid))
			return end_part(s, slot, EFAULT);
		upid += bpf_core_type_size(struct upid);
	}
	s->used = i * sizeof(__u32);
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

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sends paths as d_path() would give them to a reader at the root of the mount namespace. There is no helper for it that
 * these programs may call, so that the names are collected here and joined in user space.
 *
 * Without rename_lock and mount_lock, which a program cannot take: what is renamed or moved meanwhile may be shown by names
 * of both times.
 */
#ifndef TRACER_PATH_H
#define TRACER_PATH_H

#include <bpf/bpf_core_read.h>
#include "scratch.h"
#include "walk.h"

#define EFAULT 14
#define ENAMETOOLONG 36
#define NSFS_MAGIC 0x6e736673

/* Adds the name at `from`, of `len` bytes. Returns 0 or an errno. */
static __always_inline int add_name(struct scratch *s, __u32 slot, const void *from, __u64 len)
{
	struct wire_name *name;

	if (len > NAME_CAP)
		return ENAMETOOLONG;
	opaque(len);
	len &= NAME_CAP;
	name = room(s, slot);
	name->len = len;
	if (bpf_probe_read_kernel(name + 1, len, from))
		return EFAULT;
	add(s, sizeof(*name) + len);
	return 0;
}

/* The same, of a string that ends with NUL, which is not kept, within NAME_CAP bytes. */
static __always_inline int add_name_string(struct scratch *s, __u32 slot, const char *from)
{
	struct wire_name *name = room(s, slot);
	long len = bpf_probe_read_kernel_str(name + 1, NAME_CAP, from);

	if (len <= 0)
		return EFAULT;
	name->len = len - 1;
	add(s, sizeof(*name) + len - 1);
	return 0;
}

static __always_inline int add_dentry_name(struct scratch *s, __u32 slot, struct dentry *dentry)
{
	const unsigned char *name;
	__u32 len;

	if (bpf_core_read(&len, sizeof(len), &dentry->d_name.len) ||
	    bpf_core_read(&name, sizeof(name), &dentry->d_name.name))
		return EFAULT;
	return add_name(s, slot, name, len);
}

/* Takes the next name, or mount, of the path that the scratch is at. Returns as in walk.h. */
static __always_inline int path_step(struct scratch *s, __u32 slot)
{
	struct dentry *dentry = (void *)s->dentry, *root, *parent;
	struct mount *mount = (void *)s->mount, *above;
	int err;

	if (s->dentry == s->mount_root) {
		if (bpf_core_read(&above, sizeof(above), &mount->mnt_parent))
			return EFAULT;
		if (above == mount)
			return WALK_DONE; /* the root of the namespace, or of a mount that is nowhere */
		if (bpf_core_read(&dentry, sizeof(dentry), &mount->mnt_mountpoint) ||
		    bpf_core_read(&root, sizeof(root), &above->mnt.mnt_root))
			return EFAULT;
		s->dentry = (__u64)dentry;
		s->mount = (__u64)above;
		s->mount_root = (__u64)root;
		return 0;
	}
	if (bpf_core_read(&parent, sizeof(parent), &dentry->d_parent))
		return EFAULT;
	if (parent == dentry)
		return PATH_ESCAPED;
	err = add_dentry_name(s, slot, dentry);
	if (err)
		return err;
	s->dentry = (__u64)parent;
	return 0;
}

static __always_inline struct mount *real_mount(struct vfsmount *mnt)
{
	return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

/* The one name of a path that its file system makes up. */
static __always_inline int add_made_up_name(struct scratch *s, __u32 slot, struct dentry *dentry, __u32 magic)
{
	struct ns_common *ns;

	if (magic != NSFS_MAGIC)
		return add_dentry_name(s, slot, dentry);
	ns = BPF_CORE_READ(dentry, d_inode, i_private);
	return add_name_string(s, slot, BPF_CORE_READ(ns, ops, name));
}

static __always_inline void add_path_end(struct scratch *s, __u32 slot, __s32 status)
{
	struct wire_path_end *end = room(s, slot);

	end->mark = WIRE_PATH_END;
	end->status = status;
	add(s, sizeof(*end));
}

/*
 * Begins the path of a file, which path_step() goes on with, and add_path_end() ends. Returns as in walk.h: WALK_DONE for a
 * path that has no directories.
 */
static __always_inline int begin_path(struct scratch *s, __u32 slot, struct dentry *dentry, struct vfsmount *mnt)
{
	struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
	struct wire_path *path;
	__u32 flags = 0, magic;
	int err;

	s->dentry = (__u64)dentry;
	s->mount = (__u64)real_mount(mnt);
	s->mount_root = (__u64)BPF_CORE_READ(mnt, mnt_root);
	magic = BPF_CORE_READ(dentry, d_sb, s_magic);
	if (parent != dentry && !BPF_CORE_READ(dentry, d_hash.pprev))
		flags |= PATH_UNLINKED;
	if ((parent != dentry || s->mount_root != (__u64)dentry) && BPF_CORE_READ(dentry, d_op, d_dname))
		flags |= PATH_MADE_UP;
	path = room(s, slot);
	path->flags = flags;
	path->magic = magic;
	add(s, sizeof(*path));
	if (!(flags & PATH_MADE_UP))
		return 0;
	err = add_made_up_name(s, slot, dentry, magic);
	return err ? err : WALK_DONE;
}

/* Goes on with the path that the scratch is at. */
__noinline int cwd_step(__u32 slot)
{
	struct scratch *s = scratch_of(slot);

	return s ? path_step(s, slot) : EFAULT;
}

WALK(cwd_turns, cwd_step, 45)
WALK(cwd_walk, cwd_turns, 45)

/* Sends FIELD_CWD of the current task. */
__noinline int send_cwd(__u64 exec)
{
	struct task_struct *task = current_task();
	int slot = claim_scratch(), sent = NO_ROOM;
	struct fs_struct *fs;
	struct scratch *s;
	int status;

	if (slot < 0)
		return NO_ROOM;
	s = scratch_of(slot);
	if (s) {
		begin_part(s, exec, FIELD_CWD);
		fs = BPF_CORE_READ(task, fs);
		status = begin_path(s, slot, BPF_CORE_READ(fs, pwd.dentry), BPF_CORE_READ(fs, pwd.mnt));
		if (!status)
			status = cwd_walk(slot);
		add_path_end(s, slot, walk_status(status));
		sent = end_part(s, slot, 0);
	}
	release_scratch(slot);
	return sent;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sends the open files. Of a table with room for many the bits of the open ones are looked at, 64 at a time.
 *
 * Without file_lock: what another thread opens or closes meanwhile may or may not be there.
 */
#ifndef TRACER_FDS_H
#define TRACER_FDS_H

#define O_CLOEXEC 02000000

/* The index of the only bit that is set; there is no instruction for it. */
static __always_inline __u32 bit_index(__u64 bit)
{
	__u64 n = bit - 1;

	/* The number of bits below it. */
	n -= (n >> 1) & 0x5555555555555555;
	n = (n & 0x3333333333333333) + ((n >> 2) & 0x3333333333333333);
	n = (n + (n >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return (n * 0x0101010101010101) >> 56;
}

/* Begins one descriptor, of which the path remains. Returns as in walk.h, of the path. */
static __always_inline int begin_fd(struct scratch *s, __u32 slot, struct file *file, __u32 number, bool cloexec)
{
	struct vfsmount *mnt = BPF_CORE_READ(file, f_path.mnt);
	struct wire_fd *fd = room(s, slot);

	fd->position = BPF_CORE_READ(file, f_pos);
	fd->inode = BPF_CORE_READ(file, f_inode, i_ino);
	fd->number = number;
	fd->flags = BPF_CORE_READ(file, f_flags) & ~O_CLOEXEC;
	fd->cloexec = cloexec;
	fd->mount_id = BPF_CORE_READ(real_mount(mnt), mnt_id);
	add(s, sizeof(*fd));
	return begin_path(s, slot, BPF_CORE_READ(file, f_path.dentry), mnt);
}

/* Goes on with the descriptors that the scratch is at: a step is one, or a name of its path, or a word of 64. */
__noinline int fds_step(__u32 slot)
{
	struct scratch *s = scratch_of(slot);
	struct file **files, *file;
	__u64 bit, at;
	__u32 number;
	int status;

	if (!s)
		return EFAULT;
	if (s->in_path) {
		status = path_step(s, slot);
	} else {
		bit = s->word_open & -s->word_open;
		if (!bit) {
			at = s->word * sizeof(unsigned long);
			if (s->word == s->words)
				return WALK_DONE;
			if (bpf_probe_read_kernel(&s->word_open, sizeof(s->word_open), (void *)(s->open_fds + at)) ||
			    bpf_probe_read_kernel(&s->word_cloexec, sizeof(s->word_cloexec),
						  (void *)(s->close_on_exec + at)))
				return EFAULT;
			s->word++;
			return 0;
		}
		if (s->fds == FDS_CAP)
			return PART_TOO_LONG;
		s->fds++;
		s->word_open ^= bit;
		number = (s->word - 1) * 64 + bit_index(bit);
		files = (void *)s->files;
		if (bpf_probe_read_kernel(&file, sizeof(file), files + number))
			return EFAULT;
		if (!file)
			return 0; /* reserved by another thread that is opening it */
		status = begin_fd(s, slot, file, number, s->word_cloexec & bit);
		s->in_path = 1;
	}
	if (status) {
		s->in_path = 0;
		add_path_end(s, slot, walk_status(status));
	}
	return 0;
}

/* Enough for FDS_CAP of them in a table of a million, the usual limit, with some 40 names each. */
WALK(fds_turns, fds_step, 40)
WALK(fds_rounds, fds_turns, 40)
WALK(fds_walk, fds_rounds, 40)

/* Adds the current task's files. Returns an enum wire_status or an errno. */
static __always_inline int add_fds(struct scratch *s, __u32 slot)
{
	struct task_struct *task = current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	int status;

	s->files = (__u64)BPF_CORE_READ(table, fd);
	s->open_fds = (__u64)BPF_CORE_READ(table, open_fds);
	s->close_on_exec = (__u64)BPF_CORE_READ(table, close_on_exec);
	s->words = BPF_CORE_READ(table, max_fds) / 64;
	s->word = 0;
	s->word_open = 0;
	s->fds = 0;
	s->in_path = 0;
	status = fds_walk(slot);
	if (s->in_path)
		add_path_end(s, slot, walk_status(status));
	return walk_status(status);
}

/* Sends FIELD_FDS of the current task. */
__noinline int send_fds(__u64 exec)
{
	int slot = claim_scratch(), sent = NO_ROOM;
	struct scratch *s;

	if (slot < 0)
		return NO_ROOM;
	s = scratch_of(slot);
	if (s) {
		begin_part(s, exec, FIELD_FDS);
		sent = end_part(s, slot, add_fds(s, slot));
	}
	release_scratch(slot);
	return sent;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sends the open files. Of a table with room for many the bits of the open ones are looked at, 64 at a time.
 *
 * Without file_lock: what another thread opens or closes meanwhile may or may not be there.
 */
#ifndef TRACER_FDS_H
#define TRACER_FDS_H

#define O_CLOEXEC 02000000

enum {
	/* A step is a descriptor, or a word of 64: enough for FDS_CAP of them in a table of a million, the usual limit. */
	FDS_ROUND = 64,
	FDS_ROUNDS = 288,
};

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

/* Adds one descriptor. Returns 0 or an errno. */
__noinline int add_fd(__u32 slot, __u32 number, __u64 cloexec)
{
	struct scratch *s = scratch_of(slot);
	struct file **files, *file;
	struct wire_fd *fd;
	struct vfsmount *mnt;

	if (!s)
		return EFAULT;
	files = (void *)s->files;
	if (bpf_probe_read_kernel(&file, sizeof(file), files + number))
		return EFAULT;
	if (!file)
		return 0; /* reserved by another thread that is opening it */
	mnt = BPF_CORE_READ(file, f_path.mnt);
	fd = room(s, slot);
	fd->position = BPF_CORE_READ(file, f_pos);
	fd->inode = BPF_CORE_READ(file, f_inode, i_ino);
	fd->number = number;
	fd->flags = BPF_CORE_READ(file, f_flags) & ~O_CLOEXEC;
	fd->cloexec = cloexec != 0;
	fd->mount_id = BPF_CORE_READ(real_mount(mnt), mnt_id);
	add(s, sizeof(*fd));
	return add_path(slot, (__u64)BPF_CORE_READ(file, f_path.dentry), (__u64)mnt);
}

/*
 * Goes on with the descriptors that the scratch is at. Nothing but the turn's number lives from one turn to the next in a
 * register or on the stack: 5.10's verifier finds no two states alike where a range is.
 */
__noinline int fds_steps(__u32 slot)
{
	struct scratch *s = scratch_of(slot);
	__u32 i;

	if (!s)
		return EFAULT;
	for (i = 0; i < FDS_ROUND; i++) {
		__u64 open = s->word_open, bit = open & -open;

		if (bit) {
			int err;

			if (s->fds == FDS_CAP)
				return PART_TOO_LONG;
			s->fds++;
			s->word_open = open ^ bit;
			err = add_fd(slot, (s->word - 1) * 64 + bit_index(bit), s->word_cloexec & bit);
			if (err)
				return err;
		} else {
			__u64 at = s->word * sizeof(unsigned long);

			if (s->word == s->words)
				return ROUNDS_DONE;
			if (bpf_probe_read_kernel(&s->word_open, sizeof(s->word_open), (void *)(s->open_fds + at)) ||
			    bpf_probe_read_kernel(&s->word_cloexec, sizeof(s->word_cloexec),
						  (void *)(s->close_on_exec + at)))
				return EFAULT;
			s->word++;
		}
	}
	return 0;
}

/* Adds the current task's files. Returns an enum wire_status or an errno. */
static __always_inline int add_fds(struct scratch *s, __u32 slot)
{
	struct task_struct *task = current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	int i, status = 0;

	s->files = (__u64)BPF_CORE_READ(table, fd);
	s->open_fds = (__u64)BPF_CORE_READ(table, open_fds);
	s->close_on_exec = (__u64)BPF_CORE_READ(table, close_on_exec);
	s->words = BPF_CORE_READ(table, max_fds) / 64;
	s->word = 0;
	s->word_open = 0;
	s->fds = 0;
	for (i = 0; i < FDS_ROUNDS && !status; i++)
		status = fds_steps(slot);
	if (status == ROUNDS_DONE)
		return 0;
	return status ? status : PART_TOO_LONG;
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

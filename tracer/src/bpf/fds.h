/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sends the open files. */
#ifndef TRACER_FDS_H
#define TRACER_FDS_H

/* Sends FIELD_FD and FIELD_FD_PATH of each of the current task's files, and closes FIELD_FDS. */
__noinline int send_fds(__u64 exec)
{
	return send_close(exec, FIELD_FDS, 0, PART_TOO_LONG, 0);
}

#endif

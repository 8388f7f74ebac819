/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sends the working directory. */
#ifndef TRACER_PATH_H
#define TRACER_PATH_H

/* Sends FIELD_CWD of the current task. */
__noinline int send_cwd(__u64 exec)
{
	return send_close(exec, FIELD_CWD, 0, PART_TOO_LONG, 0);
}

#endif

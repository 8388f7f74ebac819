/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sends who a process is: credentials, groups, cgroup, process ids. */
#ifndef TRACER_IDENTITY_H
#define TRACER_IDENTITY_H

/* Sends FIELD_CREDENTIALS, _GROUPS, _CGROUP and _NAMESPACE_PIDS of the current task. */
__noinline int send_identity(__u64 exec)
{
	return send_close(exec, FIELD_CREDENTIALS, 0, PART_TOO_LONG, 0);
}

#endif

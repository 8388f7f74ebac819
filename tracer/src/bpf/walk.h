/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Loops that cost the verifier little. It goes through each turn of a loop, with everything that the turn calls inline, but
 * checks a global function once, whoever calls it. So what a turn does is a global function, a step; and many turns are a
 * loop of loops: three of 40 have 64,000 turns, and cost the verifier those of 120.
 */
#ifndef TRACER_WALK_H
#define TRACER_WALK_H

/* What a step returns when there is no other one to come; 0 if there is, else a status of its walk. */
#define WALK_DONE (-100)

/* Defines a global function that takes `step` again and again, `turns` times at most, until it returns other than 0. */
#define WALK(name, step, turns)                        \
	__noinline int name(__u32 slot)                \
	{                                              \
		int i, status;                         \
                                                       \
		for (i = 0; i < (turns); i++) {        \
			status = step(slot);           \
			if (status)                    \
				return status;         \
		}                                      \
		return 0;                              \
	}

/* What is sent of a walk's end: a walk that comes to its last turn has more to do. */
static __always_inline int walk_status(int status)
{
	if (status == WALK_DONE)
		return PART_WHOLE;
	return status ? status : PART_TOO_LONG;
}

#endif

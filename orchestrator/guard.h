/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps passwords that pass through this process out of what outlives them. */
#pragma once

/*
 * Call it before the first JSON value is made.  From then on this process writes no core dump and
 * cannot be read by another process of its user (PR_SET_DUMPABLE, see prctl(2); programs it starts
 * are not concerned), and jansson overwrites what it frees.
 */
void guard_process(void);

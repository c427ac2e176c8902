/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Migrations that stand still: because a person wants it (verbs pause and resume), or by themselves
 * because there is no room.
 *
 * A paused one is at rest in "paused".  What it was is in its facts:
 *   paused       true; forgotten when it is resumed
 *   paused_from  name of the state in which it goes on: "planned", "mirrored" or "syncing" (then its
 *                pass is open, and the same point in time is gone on with)
 *   paused_for   why it paused by itself: "room" (here) or "source-room"; absent: a person wants it
 *
 * When there is no room for the journal either, a job cannot even be paused: its thread ends in the
 * state it is in (job->stuck), as if slipwayd had been killed, and is started again when there is.
 *
 * A thread looks every few seconds whether there is room again.
 */
#pragma once

#include "orchestrator/daemon.h"

/* True when the job's thread is to stop where it is: asked to, or killed while it did. */
bool pause_wanted_locked(const struct job *job);

/* Remembers what a job is paused from, and why (NULL: a person wants it), before its transition. */
int pause_remember(struct daemon *d, struct job *job, const char *why, struct error **err);

/* Forgets it; *ret_to: where the job goes on. */
int pause_forget(struct daemon *d, struct job *job, enum job_state *ret_to, struct error **err);

/* The job's thread has ended because the journal could not be written; `because` is for people. */
void pause_stuck_locked(struct job *job, const char *because);

/* Starts the thread that looks for room. */
int pause_watch_start(struct daemon *d, struct error **err);

/* How often it looks; tests may make it shorter (environment SLIPWAY_ROOM_LOOK_MS). */
#define PAUSE_LOOK_MS 10000

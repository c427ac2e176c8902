/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that run one at a time: who holds the baton runs.  It changes hands where the engine
 * waits for a lock or for another thread (engine/lock.h) and wherever the test says so, and a seed
 * decides who gets it, so that a run can be had again.
 *
 * The thread that calls these functions is the controller; it does not run while the hands do.
 * While a run is being set up or looked at, only the controller exists and nothing is interleaved.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BATON_HANDS 8

/* One run.  Time stands still but for the turns (base/clock.h). */
void baton_begin(uint64_t seed);
void baton_end(void);

/* fn runs in a thread of its own, from the next baton_run() on. */
void baton_hand(void (*fn)(void *context), void *context);

/* Runs the hands until all have ended.  at_turn is called in each turn, by whoever has the baton.
 * False: nobody can go on; the hands are where they are, the process can only end. */
bool baton_run(void (*at_turn)(void *context), void *context);

/* Another hand may run; returns in a turn of the caller.  For the controller: nothing. */
void baton_yield(void);

/* Turns since baton_begin(). */
uint64_t baton_turns(void);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A terminal that shows a page which is drawn again and again.  It is given back as it was on every
 * way out: leaving, signals that end us, and faults.
 */
#pragma once

#include <stddef.h>

/* What terminal_wait() has seen. */
enum terminal_seen {
    TERMINAL_NOTHING, /* time is up, or somebody called terminal_wake() */
    TERMINAL_RESIZED, /* draw again */
    TERMINAL_END      /* a signal, or the key q */
};

/* Takes the terminal of standard output.  -ENOTTY when it is none that can be drawn on. */
int terminal_enter(void);

/* Gives it back; then, when a signal ended it, ends by that signal. */
void terminal_leave(void);

void terminal_size(size_t *ret_columns, size_t *ret_lines);

/* Replaces the page. */
void terminal_draw(char *const *lines, size_t count);

/* Waits for one of these, so many milliseconds at most. */
enum terminal_seen terminal_wait(int timeout_ms);

/* Ends a terminal_wait() now; from any thread. */
void terminal_wake(void);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel command lines inside boot configuration: the lines of grub.cfg that start with "linux",
 * and GRUB_CMDLINE_… assignments of /etc/default/grub.  Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "morph/buffer.h"

/* True when the line [line, line+length) carries a kernel command line. */
bool bootline_is_command(const char *line, size_t length);

/*
 * Copies text to out; each root=/dev/… and resume=/dev/… on a kernel command line is offered to
 * replace(context, device), which returns new text for the value (freed here) or NULL to keep it.
 * Returns how many were replaced.
 */
size_t bootline_rewrite(const char *text, struct buffer *out,
                        char *(*replace)(void *context, const char *device), void *context);

/* True when a kernel command line in text has the word `word`, or one that goes on with ',' . */
bool bootline_has_word(const char *text, const char *word);

/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of words in files that a shell reads:  KEY="a b",  KEY=(a b),  KEY=a.  Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "morph/buffer.h"

/* True when a line of text starts with `word` alone, blanks and what follows a blank aside. */
bool wordlist_has_line(const char *text, const char *word);

/*
 * Copies text to out; the last assignment of KEY gets those of `words` that it lacks, in front;
 * they go to `added` too, separated by blanks.  An array may go over several lines.  -ENOENT, and
 * out is text as it is, when there is no assignment; the same with -EINVAL when its value is no
 * list but something for the shell to work out.
 */
int wordlist_add(const char *text, const char *key, const char *const *words, size_t count,
                 struct buffer *out, struct buffer *added);

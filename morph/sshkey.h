/* SPDX-License-Identifier: Apache-2.0 */
/* Public keys as in authorized_keys, see sshd(8): "[options] TYPE BASE64 [comment]".  Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"

struct sshkey {
    const char *line; /* the whole line */
    size_t line_length;
    const char *blob; /* the base64 word in it */
    size_t blob_length;
};

/* The next key in text, lines that are none left out; false at the end.  Advances *cursor. */
bool sshkey_next(const char **cursor, struct sshkey *ret_key);

/* 0 when every line is a public key, a comment or blank, and at least one is a key; otherwise
 * -EINVAL with a sentence. */
int sshkey_check(const char *text, size_t length, struct error **err);

/* True when one of the lines of text, comments left out, is the same key. */
bool sshkey_is_in(const char *text, const struct sshkey *key);

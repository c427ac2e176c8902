/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables whose lines are fields separated by blanks: /etc/fstab, /etc/crypttab, device.map.
 * Lines are never re-formatted; one field is replaced and every other byte stays.
 */
#pragma once

#include <stddef.h>
#include "morph/buffer.h"

#define FSTAB_FIELDS 6

struct fstab_line {
    const char *text; /* the whole line, without its newline; not terminated */
    size_t length;
    size_t offset[FSTAB_FIELDS]; /* of each field in text */
    size_t size[FSTAB_FIELDS];
    size_t fields; /* 0 for comments and empty lines */
};

/* Splits the line at *cursor and moves *cursor behind it.  0 at the end of the text. */
int fstab_next(const char **cursor, struct fstab_line *ret_line);

/* A copy of one field ("" when it is missing), with fstab's octal escapes (\040) kept. */
char *fstab_field(const struct fstab_line *line, size_t field);

/* Adds the line with `field` replaced (value NULL: unchanged) and its newline to out.
 * `cursor` is where fstab_next() left it, so that a missing last newline stays missing. */
void fstab_copy(struct buffer *out, const struct fstab_line *line, size_t field, const char *value,
                const char *cursor);

/* The same with every field replaced that is not NULL in values[FSTAB_FIELDS]. */
void fstab_copy_all(struct buffer *out, const struct fstab_line *line, char *const *values,
                    const char *cursor);

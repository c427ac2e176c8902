/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that grow at the end: new file contents are built in one.  Running out of memory ends the
 * program (abort), as in base/str.h.  Initialise with {0}; release with buffer_done().
 */
#pragma once

#include <stddef.h>
#include "base/cleanup.h"

struct buffer {
    char *data; /* NUL-terminated behind `length` once something was added; NULL before */
    size_t length;
    size_t capacity;
};

void buffer_done(struct buffer *b);
#define _cleanup_buffer_ _cleanup_(buffer_done)

void buffer_add(struct buffer *b, const void *data, size_t length);
void buffer_add_text(struct buffer *b, const char *text);
void buffer_printf(struct buffer *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Adds `length` zero bytes. */
void buffer_add_zeros(struct buffer *b, size_t length);

/* Takes the memory out (never NULL); the caller frees it.  The buffer is empty afterwards. */
char *buffer_steal(struct buffer *b);

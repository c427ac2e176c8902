/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/buffer.h"

#include <stdarg.h>
#include <string.h>

#include "base/align.h"

static char *buffer_grow(struct buffer *b, size_t more)
{
    size_t need;
    char *data;

    if (__builtin_add_overflow(b->length, more, &need) || __builtin_add_overflow(need, 1, &need))
        abort();
    if (need > b->capacity) {
        size_t capacity = MAX(need + need / 2, (size_t)256);

        data = realloc(b->data, capacity);
        if (!data)
            abort();
        b->data = data;
        b->capacity = capacity;
    }
    data = b->data + b->length;
    b->length += more;
    b->data[b->length] = '\0';
    return data;
}

void buffer_done(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}

void buffer_add(struct buffer *b, const void *data, size_t length)
{
    char *to = buffer_grow(b, length);

    if (length > 0)
        memcpy(to, data, length);
}

void buffer_add_text(struct buffer *b, const char *text)
{
    buffer_add(b, text, strlen(text));
}

void buffer_printf(struct buffer *b, const char *fmt, ...)
{
    _cleanup_free_ char *text = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    buffer_add(b, text, (size_t)n);
}

void buffer_add_zeros(struct buffer *b, size_t length)
{
    memset(buffer_grow(b, length), 0, length);
}

char *buffer_steal(struct buffer *b)
{
    char *data;

    buffer_grow(b, 0);
    data = steal_ptr(b->data);
    buffer_done(b);
    return data;
}

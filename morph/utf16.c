/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/utf16.h"

#include <stdint.h>

#define REPLACEMENT 0xfffd

static void put_utf8(struct buffer *out, uint32_t c)
{
    char bytes[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        bytes[i] = (char)(0x80 | (c & 0x3f));
    bytes[0] = (char)(n == 1 ? c : c | (0xf00u >> n & 0xff));
    buffer_add(out, bytes, n);
}

char *utf16_decode(const void *data, size_t length)
{
    const unsigned char *p = data;
    struct buffer out = {0};

    for (size_t i = 0; i + 1 < length; i += 2) {
        uint32_t c = p[i] | (uint32_t)p[i + 1] << 8;

        if (c == 0)
            return buffer_steal(&out);
        if (c >= 0xd800 && c < 0xdc00 && i + 3 < length && (p[i + 3] & 0xfc) == 0xdc) {
            c = 0x10000 + ((c & 0x3ff) << 10) + (p[i + 2] | (uint32_t)(p[i + 3] & 3) << 8);
            i += 2;
        } else if (c >= 0xd800 && c < 0xe000) {
            c = REPLACEMENT;
        }
        put_utf8(&out, c);
    }
    if (length % 2)
        put_utf8(&out, REPLACEMENT);
    return buffer_steal(&out);
}

static void put_unit(struct buffer *out, uint32_t unit)
{
    const unsigned char bytes[2] = {unit & 0xff, unit >> 8 & 0xff};

    buffer_add(out, bytes, sizeof(bytes));
}

/* One character of UTF-8, at least one byte of it; moves *text behind it. */
static uint32_t take_utf8(const unsigned char **text)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = *text;
    size_t n = *p < 0x80 ? 1 : *p < 0xc0 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf8 ? 4 : 0;
    uint32_t c = n == 1 ? *p : n == 0 ? 0 : *p & (0x7fu >> n);

    (*text)++;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return REPLACEMENT;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (n == 0 || c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return REPLACEMENT;
    *text = p + n;
    return c;
}

void utf16_encode(struct buffer *out, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;

    while (*p) {
        uint32_t c = take_utf8(&p);

        if (c >= 0x10000) {
            put_unit(out, 0xd800 + (c - 0x10000) / 0x400);
            put_unit(out, 0xdc00 + (c - 0x10000) % 0x400);
        } else {
            put_unit(out, c);
        }
    }
}

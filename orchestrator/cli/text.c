/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/cli/text.h"

#include <langinfo.h>
#include <locale.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "base/align.h"
#include "base/str.h"

/* Length of the UTF-8 sequence at s, its code point in *ret; 0 when it is none (RFC 3629). */
static size_t decode(const unsigned char *s, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3
                                                          : s[0] < 0xf5 ? 4 : 0;
    uint32_t c = length == 1 ? s[0] : s[0] & (0xffu >> (length + 1));

    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (length == 0 || c < least[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *ret = c;
    return length;
}

/* wcwidth() knows letters only in a locale that has them. */
static int width_of(uint32_t c)
{
    static locale_t locale;
    locale_t before;
    int width;

    if (c < 0x80)
        return c >= 0x20 && c != 0x7f ? 1 : -1;
    if (!locale)
        locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
    if (!locale)
        return c < 0xa0 ? -1 : 1;
    before = uselocale(locale);
    width = wcwidth((wchar_t)c);
    uselocale(before);
    return width;
}

/* Marks without a picture that change how the others are shown. */
static bool is_mark(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } marks[] = {{0xad, 0xad}, {0x61c, 0x61c}, {0x180e, 0x180e}, {0x200b, 0x200f},
                 {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb},
                 {0xe0000, 0xe0fff}};

    for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
        if (c >= marks[i].first && c <= marks[i].last)
            return true;
    return false;
}

#define ESCAPE_MAX 10

char *text_safe(const char *text, bool utf8)
{
    const unsigned char *s = (const unsigned char *)text;
    char *safe = mem_new(ESCAPE_MAX * strlen(text) + 1, 1), *out = safe;

    while (*s) {
        uint32_t c = *s;
        size_t length = decode(s, &c);

        if (length == 0 || (length == 1 && width_of(c) < 0)) {
            out += snprintf(out, ESCAPE_MAX + 1, "\\x%02x", *s);
            length = 1;
        } else if (length > 1 && (!utf8 || width_of(c) < 0 || is_mark(c))) {
            out += snprintf(out, ESCAPE_MAX + 1, "\\u%04x", c);
        } else {
            memcpy(out, s, length);
            out += length;
        }
        s += length;
    }
    return safe;
}

size_t text_columns(const char *safe)
{
    const unsigned char *s = (const unsigned char *)safe;
    size_t columns = 0;

    while (*s) {
        uint32_t c = '?';
        size_t length = decode(s, &c);
        int width = width_of(c);

        columns += width > 0 ? (size_t)width : 0;
        s += length ? length : 1;
    }
    return columns;
}

/* Bytes of safe text that take at most so many columns; *ret_columns: how many they do. */
static size_t part(const char *safe, size_t most, size_t *ret_columns)
{
    const unsigned char *s = (const unsigned char *)safe;
    size_t used = 0;

    *ret_columns = 0;
    while (s[used]) {
        uint32_t c = '?';
        size_t length = decode(s + used, &c);
        int width = width_of(c);

        if (*ret_columns + (size_t)(width > 0 ? width : 0) > most)
            break;
        *ret_columns += (size_t)(width > 0 ? width : 0);
        used += length ? length : 1;
    }
    return used;
}

char *text_fit(const char *safe, size_t columns, bool utf8)
{
    bool cut = text_columns(safe) > columns;
    size_t taken = 0, bytes = part(safe, cut && columns ? columns - 1 : columns, &taken);

    return str_format("%.*s%s%*s", (int)bytes, safe, cut && columns ? utf8 ? "…" : "~" : "",
                      (int)(columns - taken - (cut && columns ? 1 : 0)), "");
}

static bool ask_locale(void)
{
    locale_t locale = newlocale(LC_CTYPE_MASK, "", NULL);
    bool utf8;

    if (!locale)
        return false;
    utf8 = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
    freelocale(locale);
    return utf8;
}

/* Asked for with every cell of a table; glibc opens the locale's files anew each time. */
bool text_is_utf8(void)
{
    static enum { UNKNOWN, NO, YES } known;

    if (known == UNKNOWN)
        known = ask_locale() ? YES : NO;
    return known == YES;
}

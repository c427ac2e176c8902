/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/wordlist.h"

#include <errno.h>
#include <string.h>

bool wordlist_has_line(const char *text, const char *word)
{
    size_t n = strlen(word);

    for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
        const char *p = text + strspn(text, " \t");

        if (strncmp(p, word, n) == 0 && strchr(" \t\r\n", p[n]))
            return true;
    }
    return false;
}

/* Behind the '=' of the last line that assigns KEY; NULL when there is none. */
static const char *find_value(const char *text, const char *key)
{
    const char *value = NULL;
    size_t n = strlen(key);

    for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
        const char *p = text + strspn(text, " \t");

        if (strncmp(p, key, n) == 0 && p[n] == '=')
            value = p + n + 1;
    }
    return value;
}

static bool has_word(const char *list, size_t length, const char *word)
{
    static const char blanks[] = " \t\r\n\"'()";
    size_t n = strlen(word);

    for (size_t at = 0; at < length; at++) {
        size_t size = strcspn(list + at, blanks);

        if (size > length - at)
            size = length - at;
        if (size == n && strncmp(list + at, word, n) == 0)
            return true;
        at += size;
    }
    return false;
}

int wordlist_add(const char *text, const char *key, const char *const *words, size_t count,
                 struct buffer *out, struct buffer *added)
{
    const char *value = find_value(text, key);
    const char *quote = value && *value && strchr("\"'(", *value) ? value : NULL;
    char close[] = {quote ? (*quote == '(' ? ')' : *quote) : ' ', quote ? '\0' : '\n', '\0'};
    const char *list = quote ? quote + 1 : value;
    size_t length = value ? strcspn(list, close) : 0;

    if (value && !quote && strcspn(list, "\"'`()$&|;<>\\") < length) {
        buffer_add_text(out, text);
        return -EINVAL;
    }
    for (size_t n = 0; value && n < count; n++)
        if (!has_word(list, length, words[n]))
            buffer_printf(added, "%s%s", added->length ? " " : "", words[n]);
    if (!value || added->length == 0) {
        buffer_add_text(out, text);
        return value ? 0 : -ENOENT;
    }
    buffer_add(out, text, (size_t)(list - text));
    buffer_printf(out, "%s%s%s", quote ? "" : "\"", added->data,
                  length > 0 && !strchr(" \t\r\n", *list) ? " " : "");
    buffer_add(out, list, length);
    buffer_printf(out, "%s%s", quote ? "" : "\"", list + length);
    return 0;
}

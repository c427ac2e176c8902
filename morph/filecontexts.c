/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/filecontexts.h"

#include <ctype.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"

#define PATTERN_MAX 512
#define CONTEXT_MAX 256
#define LINES_MAX 50000

/* Words of one line; the text of word i is at[i], of length[i]. */
#define WORDS 4
struct words_of_line {
    const char *at[WORDS];
    size_t length[WORDS];
    size_t count; /* WORDS: that many, or more */
};

static struct words_of_line split(const char *line, size_t length)
{
    struct words_of_line w = {.count = 0};
    const char *end = line + length;

    while (w.count < WORDS) {
        while (line < end && (*line == ' ' || *line == '\t'))
            line++;
        if (line == end)
            break;
        w.at[w.count] = line;
        while (line < end && *line != ' ' && *line != '\t')
            line++;
        w.length[w.count] = (size_t)(line - w.at[w.count]);
        w.count++;
    }
    return w;
}

static bool is_printable(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return true;
}

/* The value of KEY=value in shell syntax without quotes, or NULL; the caller frees. */
static char *config_value(const char *text, const char *key)
{
    size_t n = strlen(key);
    char *value = NULL;

    for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
        const char *line = text + strspn(text, " \t");

        if (strncmp(line, key, n) != 0 || line[n] != '=')
            continue;
        line += n + 1;
        free(value); /* the last one counts */
        value = str_format("%.*s", (int)MIN(strcspn(line, " \t\r\n"), (size_t)64), line);
    }
    return value;
}

char *selinux_policy(const char *config)
{
    _cleanup_free_ char *state = config_value(config, "SELINUX");
    _cleanup_free_ char *type = config_value(config, "SELINUXTYPE");
    size_t n;

    if (!state || (strcasecmp(state, "enforcing") != 0 && strcasecmp(state, "permissive") != 0))
        return NULL;
    if (!type || !*type)
        return str_dup("targeted");
    n = strspn(type, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return type[n] ? NULL : steal_ptr(type);
}

bool selinux_context_is_sane(const char *context, size_t length)
{
    size_t colons = 0;

    if (length == 0 || length > CONTEXT_MAX)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)context[i]) && !strchr("_.:,-", context[i]))
            return false;
        colons += context[i] == ':';
    }
    return colons >= 2;
}

static bool pattern_is_sane(const char *text, size_t length)
{
    if (length > PATTERN_MAX || *text != '/' || !is_printable(text, length))
        return false;
    for (size_t i = 0; i < length; i++) {
        char next = i + 1 < length ? text[i + 1] : '\0';

        if (text[i] == '{' || (text[i] == '(' && (next == '?' || next == '*')))
            return false;
        if (text[i] != '\\')
            continue;
        if (isalnum((unsigned char)next) || !next)
            return false; /* \1, \g, \p and all the others; policies only quote . and + and such */
        i++;
    }
    return true;
}

static bool is_file_type(const char *text, size_t length)
{
    return length == 2 && text[0] == '-' && strchr("-dlcbsp", text[1]);
}

static bool line_is_sane(const char *line, size_t length)
{
    struct words_of_line w = split(line, length);
    size_t last = w.count - 1;

    if (w.count < 2 || w.count > 3 || !pattern_is_sane(w.at[0], w.length[0]))
        return false;
    if (w.count == 3 && !is_file_type(w.at[1], w.length[1]))
        return false;
    if (w.length[last] == 8 && strncmp(w.at[last], "<<none>>", 8) == 0)
        return true;
    return selinux_context_is_sane(w.at[last], w.length[last]);
}

static bool sub_is_sane(const char *line, size_t length)
{
    struct words_of_line w = split(line, length);

    if (w.count != 2)
        return false;
    for (size_t i = 0; i < 2; i++)
        if (*w.at[i] != '/' || w.length[i] > PATTERN_MAX || !is_printable(w.at[i], w.length[i]))
            return false;
    return true;
}

static size_t filter(const char *text, struct buffer *out, bool (*sane)(const char *, size_t))
{
    size_t count = 0;

    while (*text && count < LINES_MAX) {
        size_t length = strcspn(text, "\n");

        if (sane(text, length)) {
            buffer_add(out, text, length);
            buffer_add_text(out, "\n");
            count++;
        }
        text += length + (text[length] == '\n');
    }
    return count;
}

size_t filecontexts_filter(const char *text, struct buffer *out)
{
    return filter(text, out, line_is_sane);
}

size_t filecontexts_filter_subs(const char *text, struct buffer *out)
{
    return filter(text, out, sub_is_sane);
}

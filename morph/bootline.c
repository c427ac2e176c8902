/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/bootline.h"

#include <string.h>

#include "base/str.h"

static const char blanks[] = " \t";
static const char word_ends[] = " \t\r\n\"'";

bool bootline_is_command(const char *line, size_t length)
{
    const char *end = line + length;

    while (line < end && strchr(blanks, *line))
        line++;
    length = (size_t)(end - line);
    if (length > 5 && strncmp(line, "linux", 5) == 0) {
        line += 5;
        if (end - line > 3 && strncmp(line, "efi", 3) == 0)
            line += 3;
        else if (end - line > 2 && strncmp(line, "16", 2) == 0)
            line += 2;
        return strchr(blanks, *line) != NULL;
    }
    return length > 12 && strncmp(line, "GRUB_CMDLINE", 12) == 0;
}

/* Length of "root=" or "resume=" at `at` when a word starts there and a device path follows. */
static size_t key_at(const char *line, const char *at)
{
    size_t key = str_starts(at, "root=") ? 5 : str_starts(at, "resume=") ? 7 : 0;

    if (key == 0 || at == line || !strchr(" \t\"'", at[-1]))
        return 0;
    return str_starts(at + key, "/dev/") ? key : 0;
}

static size_t rewrite_line(const char *line, size_t length, struct buffer *out,
                           char *(*replace)(void *, const char *), void *context)
{
    const char *end = line + length, *kept = line;
    size_t count = 0;

    for (const char *at = line; at < end; at++) {
        size_t key = key_at(line, at);

        if (key > 0) {
            size_t value = strcspn(at + key, word_ends);
            _cleanup_free_ char *device = str_format("%.*s", (int)value, at + key);
            _cleanup_free_ char *changed = replace(context, device);

            if (changed) {
                buffer_add(out, kept, (size_t)(at + key - kept));
                buffer_add_text(out, changed);
                kept = at + key + value;
                count++;
            }
            at += key + value - 1;
        }
    }
    buffer_add(out, kept, (size_t)(end - kept));
    return count;
}

size_t bootline_rewrite(const char *text, struct buffer *out,
                        char *(*replace)(void *context, const char *device), void *context)
{
    size_t count = 0;

    while (*text) {
        size_t length = strcspn(text, "\n");

        if (bootline_is_command(text, length))
            count += rewrite_line(text, length, out, replace, context);
        else
            buffer_add(out, text, length);
        text += length;
        if (*text)
            buffer_add(out, text++, 1);
    }
    return count;
}

static bool line_has_word(const char *line, size_t length, const char *word)
{
    const char *end = line + length;
    size_t n = strlen(word);

    for (const char *at = line + 1; at + n <= end; at++)
        if (strncmp(at, word, n) == 0 && strchr(" \t\"'=", at[-1]) &&
            (at + n == end || strchr(" \t\r\"',", at[n])))
            return true;
    return false;
}

bool bootline_has_word(const char *text, const char *word)
{
    while (*text) {
        size_t length = strcspn(text, "\n");

        if (bootline_is_command(text, length) && line_has_word(text, length, word))
            return true;
        text += length + (text[length] == '\n');
    }
    return false;
}

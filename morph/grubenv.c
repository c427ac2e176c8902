/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/grubenv.h"

#include <string.h>

#include "base/str.h"

#define SIGNATURE "# GRUB Environment Block\n"

bool grubenv_is_valid(const char *text)
{
    return str_starts(text, SIGNATURE);
}

/* The line that sets `name`, or NULL. */
static const char *line_of(const char *text, const char *name)
{
    size_t n = strlen(name);

    while (*text) {
        size_t length = strcspn(text, "\n");

        if (strncmp(text, name, n) == 0 && text[n] == '=')
            return text;
        text += length + (text[length] == '\n');
    }
    return NULL;
}

char *grubenv_get(const char *text, const char *name)
{
    const char *line = line_of(text, name);

    if (!line)
        return NULL;
    line += strlen(name) + 1;
    return str_format("%.*s", (int)strcspn(line, "\n"), line);
}

bool grubenv_fit(struct buffer *b, size_t size)
{
    _cleanup_free_ char *padding = NULL;

    while (b->length > 0 && b->data[b->length - 1] == '#')
        b->data[--b->length] = '\0';
    if (b->length == 0 || b->length > size || b->data[b->length - 1] != '\n')
        return false;
    padding = mem_new(size - b->length + 1, 1);
    memset(padding, '#', size - b->length);
    buffer_add(b, padding, size - b->length);
    return true;
}

bool grubenv_set(const char *text, const char *name, const char *value, struct buffer *out)
{
    const char *line = line_of(text, name), *rest = line;
    size_t size = strlen(text), end = size;

    while (end > 0 && text[end - 1] == '#')
        end--;
    if (end == 0 || text[end - 1] != '\n')
        return false; /* cut off */
    if (!line)
        line = rest = text + end;
    else
        rest += strcspn(rest, "\n") + (rest[strcspn(rest, "\n")] == '\n');
    buffer_add(out, text, (size_t)(line - text));
    buffer_printf(out, "%s=%s\n", name, value);
    if (rest < text + end)
        buffer_add(out, rest, (size_t)(text + end - rest));
    return grubenv_fit(out, size);
}

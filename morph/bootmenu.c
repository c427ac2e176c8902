/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/bootmenu.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

static const char blanks[] = " \t\r";

bool menuline_next(const char **cursor, struct menuline *ret_line)
{
    struct menuline line = {.raw = *cursor, .text = *cursor};

    if (!**cursor)
        return false;
    line.length = strcspn(line.text, "\n");
    *cursor = line.text + line.length + (line.text[line.length] == '\n');
    while (line.length > 0 && strchr(blanks, *line.text)) {
        line.text++;
        line.length--;
    }
    while (line.length > 0 && strchr(blanks, line.text[line.length - 1]))
        line.length--;
    *ret_line = line;
    return true;
}

const char *menuline_after(const struct menuline *line, const char *word, size_t *ret_length)
{
    size_t n = strlen(word);

    if (line->length <= n || strncasecmp(line->text, word, n) != 0 ||
        !strchr(" \t=", line->text[n]))
        return NULL;
    while (n < line->length && strchr(" \t=", line->text[n]))
        n++;
    *ret_length = line->length - n;
    return line->text + n;
}

bool menuline_has(const char *text, size_t length, const char *word)
{
    size_t n = strlen(word);

    for (size_t at = 0; at + n <= length; at++)
        if (strncasecmp(text + at, word, n) == 0)
            return true;
    return false;
}

bool menuline_is_kernel(const char *text, size_t length, const struct bootmenu_kernel *kernel)
{
    const char *slash = strrchr(kernel->image, '/');
    const char *base = slash ? slash + 1 : kernel->image;
    _cleanup_free_ char *part = str_format("/%s/", kernel->version);
    size_t n = 0, start = 0;

    if (length > 0 && *text == '(') /* GRUB's name of a disk */
        while (n < length && text[n] != ')')
            n++;
    for (; n < length && !strchr(" \t", text[n]); n++)
        if (text[n] == '/')
            start = n + 1;
    return (n - start == strlen(base) && strncmp(text + start, base, n - start) == 0) ||
           memmem(text, n, part, strlen(part)) != NULL;
}

static bool is_recovery(const char *text, size_t length)
{
    return menuline_has(text, length, "recovery") || menuline_has(text, length, "failsafe") ||
           menuline_has(text, length, "single");
}

int bootmenu_legacy_find(const char *text, const struct bootmenu_kernel *kernel)
{
    struct menuline line;
    bool recovery = false;
    int entry = -1;

    while (menuline_next(&text, &line)) {
        size_t length;
        const char *rest = menuline_after(&line, "title", &length);

        if (rest) {
            entry++;
            recovery = is_recovery(rest, length);
        }
        rest = menuline_after(&line, "kernel", &length);
        if (!rest)
            rest = menuline_after(&line, "module", &length);
        if (rest && entry >= 0 && !recovery && !is_recovery(rest, length) &&
            menuline_is_kernel(rest, length, kernel))
            return entry;
    }
    return -1;
}

size_t bootmenu_legacy_set(const char *text, int entry, struct buffer *out)
{
    _cleanup_free_ char *value = str_format("%d", entry);
    const char *cursor = text;
    struct menuline line;
    size_t length;

    while (menuline_next(&cursor, &line))
        if (menuline_after(&line, "default", &length))
            return bootmenu_setting(text, "default", value, NULL, out);
    /* At the end of the file the line would belong to the last entry. */
    buffer_printf(out, "default=%s\n%s", value, text);
    return 1;
}

/* Do the bytes [text, text+length) say `value`? */
static bool is_text(const char *text, size_t length, const char *value)
{
    return length == strlen(value) && strncmp(text, value, length) == 0;
}

size_t bootmenu_setting(const char *text, const char *key, const char *value, const char *add,
                        struct buffer *out)
{
    const char *cursor = text, *found = NULL;
    struct menuline line;
    size_t length, found_length = 0;

    while (menuline_next(&cursor, &line)) {
        const char *rest = menuline_after(&line, key, &length);

        if (rest) {
            found = rest;
            found_length = length;
        }
    }
    if (!found && add) {
        buffer_printf(out, "%s%s%s\n", text, *text && text[strlen(text) - 1] != '\n' ? "\n" : "",
                      add);
        return 1;
    }
    if (!found || is_text(found, found_length, value))
        return 0;
    buffer_add(out, text, (size_t)(found - text));
    buffer_add_text(out, value);
    buffer_add_text(out, found + found_length);
    return 1;
}

char *bootmenu_extlinux_find(const char *text, const struct bootmenu_kernel *kernel)
{
    _cleanup_free_ char *label = NULL;
    struct menuline line;

    while (menuline_next(&text, &line)) {
        size_t length;
        const char *rest = menuline_after(&line, "label", &length);

        if (rest) {
            free(label);
            label = str_format("%.*s", (int)length, rest);
        }
        rest = menuline_after(&line, "linux", &length);
        if (!rest)
            rest = menuline_after(&line, "kernel", &length);
        if (rest && label && *label && menuline_is_kernel(rest, length, kernel))
            return steal_ptr(label);
    }
    return NULL;
}

/* A line `MENU DEFAULT`? */
static bool is_menu_default(const struct menuline *line)
{
    size_t length;
    const char *rest = menuline_after(line, "menu", &length);

    return rest && length == strlen("default") && strncasecmp(rest, "default", length) == 0;
}

/* Labels from which the default is told by `MENU DEFAULT` inside. */
static size_t move_menu_default(const char *text, const char *label, struct buffer *out)
{
    const char *indent = "  ";
    struct menuline line;
    bool here = false, there = false;
    size_t start = out->length;

    while (menuline_next(&text, &line)) {
        size_t length;
        const char *rest = menuline_after(&line, "label", &length);

        if (rest)
            here = is_text(rest, length, label);
        if (is_menu_default(&line) && !here)
            continue;
        there |= is_menu_default(&line);
        buffer_add(out, line.raw, (size_t)(text - line.raw));
        if (rest && here) {
            struct menuline next;
            const char *ahead = text;
            bool has = false;

            while (menuline_next(&ahead, &next) && !menuline_after(&next, "label", &length))
                has |= is_menu_default(&next);
            if (!has)
                buffer_printf(out, "%sMENU DEFAULT\n", indent);
            there |= !has;
        }
    }
    return there ? out->length - start : 0;
}

size_t bootmenu_extlinux_set(const char *text, const char *label, struct buffer *out)
{
    const char *cursor = text;
    struct menuline line;
    bool menu = false;

    while (menuline_next(&cursor, &line))
        menu |= is_menu_default(&line);
    if (!menu) {
        _cleanup_free_ char *add = str_format("DEFAULT %s", label);

        return bootmenu_setting(text, "default", label, add, out);
    }
    return move_menu_default(text, label, out) > 0 && strcmp(out->data, text) != 0;
}

bool bootmenu_entry_is(const char *text, const struct bootmenu_kernel *kernel)
{
    bool kernel_is = false, version_is = false;
    struct menuline line;

    while (menuline_next(&text, &line)) {
        size_t length;
        const char *rest = menuline_after(&line, "linux", &length);

        if (rest)
            kernel_is |= menuline_is_kernel(rest, length, kernel);
        rest = menuline_after(&line, "version", &length);
        if (rest)
            version_is |= is_text(rest, length, kernel->version);
    }
    return kernel_is || version_is;
}

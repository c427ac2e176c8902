/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The menu of GRUB 2.  Its configuration is a script; what grub-mkconfig writes is read: blocks
 * that open with a line ending in '{' and close with a line '}', and in them the line "linux".
 */
#include <string.h>

#include "base/str.h"
#include "morph/bootmenu.h"

#define DEPTH_MAX 8

/* An open block; name is NULL when it is no menu entry. */
struct block {
    char *name;
    bool entry, recovery;
};

struct menu {
    struct block blocks[DEPTH_MAX];
    size_t depth;
    size_t ignored; /* blocks deeper than that */
};

/* The quoted (or bare) word at `at`, owned. */
static char *word_at(const char *at, const char *end)
{
    char quote = at < end && strchr("'\"", *at) ? *at : ' ';
    const char *start = at + (quote != ' ');

    for (at = start; at < end && *at != quote && !(quote == ' ' && *at == '\t'); at++)
        ;
    return str_format("%.*s", (int)(at - start), start);
}

/* The id of a menuentry or submenu line; its title, as GRUB wants it in `default`, without one. */
static char *name_of(const char *text, size_t length)
{
    static const char *const options[] = {"$menuentry_id_option", "${menuentry_id_option}", "--id"};
    const char *end = text + length;
    _cleanup_free_ char *title = NULL;
    struct buffer doubled = {0};

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        const char *at = memmem(text, length, options[i], strlen(options[i]));

        if (!at)
            continue;
        at += strlen(options[i]);
        while (at < end && strchr(" \t=", *at))
            at++;
        return word_at(at, end);
    }
    title = word_at(text, end);
    buffer_add_text(&doubled, "");
    for (const char *p = title; *p; p++) {
        buffer_add(&doubled, p, 1);
        if (*p == '>')
            buffer_add(&doubled, p, 1);
    }
    return buffer_steal(&doubled);
}

static void block_open(struct menu *menu, const struct menuline *line)
{
    struct block block = {0};
    const char *rest;
    size_t length;

    if (menu->depth == DEPTH_MAX) {
        menu->ignored++;
        return;
    }
    rest = menuline_after(line, "menuentry", &length);
    block.entry = rest != NULL;
    if (!rest)
        rest = menuline_after(line, "submenu", &length);
    if (rest) {
        block.name = name_of(rest, length);
        block.recovery = menuline_has(rest, length, "recovery");
    }
    menu->blocks[menu->depth++] = block;
}

static void block_close(struct menu *menu)
{
    if (menu->ignored > 0)
        menu->ignored--;
    else if (menu->depth > 0)
        free(menu->blocks[--menu->depth].name);
}

/* SUBMENU>ENTRY of the entry that is open, or NULL. */
static char *path_of(const struct menu *menu)
{
    struct buffer path = {0};

    if (menu->depth == 0 || menu->ignored > 0 || !menu->blocks[menu->depth - 1].entry)
        return NULL;
    for (size_t i = 0; i < menu->depth; i++)
        if (menu->blocks[i].name)
            buffer_printf(&path, "%s%s", path.length ? ">" : "", menu->blocks[i].name);
    return buffer_steal(&path);
}

static const char *kernel_of(const struct menuline *line, size_t *ret_length)
{
    static const char *const words[] = {"linux", "linux16", "linuxefi"};
    const char *rest = NULL;

    for (size_t i = 0; !rest && i < sizeof(words) / sizeof(words[0]); i++)
        rest = menuline_after(line, words[i], ret_length);
    return rest;
}

char *bootmenu_grub_find(const char *text, const struct bootmenu_kernel *kernel)
{
    struct menu menu = {0};
    struct menuline line;
    char *found = NULL;
    bool sure = false; /* named after the version: the entry that stays with this kernel */

    while (!sure && menuline_next(&text, &line)) {
        size_t length;
        const char *rest = kernel_of(&line, &length);

        if (line.length > 0 && *line.text != '#' && line.text[line.length - 1] == '{') {
            block_open(&menu, &line);
        } else if (line.length == 1 && *line.text == '}') {
            block_close(&menu);
        } else if (rest && menuline_is_kernel(rest, length, kernel) &&
                   !menuline_has(rest, length, "single") && menu.depth > 0 &&
                   !menu.blocks[menu.depth - 1].recovery) {
            char *path = path_of(&menu);

            sure = path && strstr(path, kernel->version);
            if (path && (sure || !found)) {
                free(found);
                found = path;
            } else {
                free(path);
            }
        }
    }
    while (menu.depth > 0)
        block_close(&menu);
    return found;
}

/* The value of `set default="…"`, inside its quotes; NULL on other lines. */
static const char *default_at(const struct menuline *line, size_t *ret_length)
{
    static const char key[] = "set default=\"";
    size_t n = sizeof(key) - 1;
    const char *end;

    if (line->length <= n || strncmp(line->text, key, n) != 0)
        return NULL;
    end = memchr(line->text + n, '"', line->length - n);
    if (!end)
        return NULL;
    *ret_length = (size_t)(end - line->text - n);
    return menuline_has(line->text + n, *ret_length, "next_entry") ? NULL : line->text + n;
}

bool bootmenu_grub_saves(const char *text)
{
    struct menuline line;

    while (menuline_next(&text, &line)) {
        size_t length;
        const char *value = default_at(&line, &length);

        if (value && menuline_has(value, length, "saved_entry"))
            return true;
    }
    return false;
}

size_t bootmenu_grub_set(const char *text, const char *value, struct buffer *out)
{
    struct menuline line;
    size_t count = 0;

    while (menuline_next(&text, &line)) {
        size_t length;
        const char *old = default_at(&line, &length), *kept = line.raw;

        if (old && (length != strlen(value) || strncmp(old, value, length) != 0)) {
            buffer_add(out, kept, (size_t)(old - kept));
            buffer_add_text(out, value);
            kept = old + length;
            count++;
        }
        buffer_add(out, kept, (size_t)(text - kept));
    }
    return count;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/modules.h"

#include <string.h>

#include "base/str.h"
#include "morph/kmodindex.h"

#define MODULES_MAX 65536

int module_name(const char *path, size_t length, char name[MODULE_NAME_MAX])
{
    const char *slash = memrchr(path, '/', length);
    size_t n;

    if (slash) {
        length -= (size_t)(slash + 1 - path);
        path = slash + 1;
    }
    for (n = 0; n < length && path[n] != '.'; n++) {
        if (n + 1 >= MODULE_NAME_MAX)
            return -EINVAL;
        name[n] = path[n] == '-' ? '_' : path[n];
    }
    name[n] = '\0';
    if (n == 0 || length - n < 3 || memcmp(path + n, ".ko", 3) != 0)
        return -EINVAL;
    return length == n + 3 || path[n + 3] == '.' ? 0 : -EINVAL;
}

static int by_name(const void *a, const void *b)
{
    const struct module *ma = a, *mb = b;
    int r = strcmp(ma->name, mb->name);

    return r ? r : (ma->order > mb->order) - (ma->order < mb->order);
}

static bool path_is_safe(const char *path)
{
    return *path && *path != '/' && !strstr(path, "..");
}

void module_table_parse(const char *text, struct module_table *ret_table)
{
    struct module_table t = {.text = str_dup(text), .paths = str_dup(text)};
    size_t capacity = 0;

    for (char *line = t.text, *next; line && *line && t.count < MODULES_MAX; line = next) {
        struct module m = {.line = line, .order = t.count};
        char *path = t.paths + (line - t.text), *colon;

        next = strchr(line, '\n');
        if (next) {
            t.paths[next - t.text] = '\0';
            *next++ = '\0';
        }
        colon = strchr(path, ':');
        if (!colon)
            continue;
        *colon = '\0';
        m.path = path;
        m.needs = line + (colon - path) + 1;
        if (!path_is_safe(path) || module_name(path, strlen(path), m.name) < 0)
            continue;
        if (t.count == capacity) {
            capacity = capacity ? capacity * 2 : 512;
            t.items = reallocarray(t.items, capacity, sizeof(*t.items));
            if (!t.items)
                abort();
        }
        t.items[t.count++] = m;
    }
    if (t.count > 0)
        qsort(t.items, t.count, sizeof(*t.items), by_name);
    *ret_table = t;
}

void module_table_done(struct module_table *table)
{
    free(table->text);
    free(table->paths);
    free(table->items);
    *table = (struct module_table){0};
}

struct module *module_find(const struct module_table *table, const char *name)
{
    size_t low = 0, high = table->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(table->items[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < table->count && strcmp(table->items[low].name, name) == 0 ? &table->items[low]
                                                                           : NULL;
}

/* depmod writes the whole closure into each line, so one level is enough; a hand-made file with one
 * level a line is followed too, as the mark stops the recursion. */
int module_mark(struct module_table *table, const char *name)
{
    struct module *m = module_find(table, name);
    const char *p;

    if (!m)
        return -ENOENT;
    if (m->marked)
        return 0;
    m->marked = true;
    for (p = m->needs + strspn(m->needs, " "); *p; p += strspn(p, " ")) {
        size_t length = strcspn(p, " ");
        char need[MODULE_NAME_MAX];

        if (module_name(p, length, need) == 0)
            module_mark(table, need);
        p += length;
    }
    return 0;
}

bool module_is_builtin(const char *builtin, const char *name)
{
    while (*builtin) {
        size_t length = strcspn(builtin, "\n");
        char found[MODULE_NAME_MAX];

        if (module_name(builtin, length, found) == 0 && strcmp(found, name) == 0)
            return true;
        builtin += length + (builtin[length] == '\n');
    }
    return false;
}

void module_write_dep(const struct module_table *table, struct buffer *out, struct buffer *index)
{
    struct kmodindex *ki = kmodindex_new();

    for (size_t i = 0; i < table->count; i++) {
        const struct module *m = &table->items[i];

        if (!m->marked)
            continue;
        buffer_printf(out, "%s\n", m->line);
        kmodindex_add(ki, m->name, m->line, (uint32_t)m->order);
    }
    kmodindex_write(ki, index);
    kmodindex_free(ki);
}

/* Aliases are compared with underscores for hyphens, except inside [ ], where a hyphen is a range.
 */
static void normalise(char *alias)
{
    bool inside = false;

    for (; *alias; alias++) {
        if (*alias == '[')
            inside = true;
        else if (*alias == ']')
            inside = false;
        else if (*alias == '-' && !inside)
            *alias = '_';
    }
}

void module_write_alias(const struct module_table *table, const char *alias, struct buffer *out,
                        struct buffer *index)
{
    struct kmodindex *ki = kmodindex_new();

    while (*alias) {
        size_t length = strcspn(alias, "\n");
        _cleanup_free_ char *line = str_format("%.*s", (int)length, alias);
        char *name = strrchr(line, ' ');
        const struct module *m;

        alias += length + (alias[length] == '\n');
        if (!str_starts(line, "alias ") || !name || name <= line + 6)
            continue;
        m = module_find(table, name + 1);
        if (!m || !m->marked)
            continue;
        buffer_printf(out, "%s\n", line);
        *name = '\0';
        normalise(line + 6);
        kmodindex_add(ki, line + 6, name + 1, (uint32_t)m->order);
    }
    kmodindex_write(ki, index);
    kmodindex_free(ki);
}

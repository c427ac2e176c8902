/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/modules.h"

#include <string.h>

#include "base/str.h"
#include "morph/kmodindex.h"

#define MODULES_MAX 65536
#define UNKNOWN_MAX 1000

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

/* A line of modules.softdep: marks behind "pre:" and "post:".  True when something was new. */
static bool mark_soft_line(struct module_table *table, const char *line, size_t length)
{
    _cleanup_free_ char *text = str_format("%.*s", (int)length, line);
    char *rest = text, *word = strsep(&rest, " \t"), *name = strsep(&rest, " \t");
    struct module *m;
    bool more = false;

    if (strcmp(word, "softdep") != 0 || !name)
        return false;
    for (char *c = name; *c; c++)
        *c = *c == '-' ? '_' : *c;
    m = module_find(table, name);
    if (!m || !m->marked)
        return false;
    while ((word = strsep(&rest, " \t"))) {
        for (char *c = word; *c; c++)
            *c = *c == '-' ? '_' : *c;
        m = module_find(table, word);
        if (m && !m->marked)
            more = module_mark(table, word) == 0;
    }
    return more;
}

void module_softdep_lines(const char *softdep, const char *name, struct buffer *out)
{
    static const char key[] = "softdep ";
    size_t n = strlen(name);

    for (const char *line = softdep; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        const char *word = line + strlen(key);
        bool same = str_starts(line, key) && strcspn(word, " \t\n") == n;

        for (size_t i = 0; same && i < n; i++)
            same = (word[i] == '-' ? '_' : word[i]) == name[i];
        if (same)
            buffer_printf(out, "%.*s\n", (int)strcspn(line, "\n"), line);
    }
}

#define SOFT_ROUNDS 8

void module_mark_soft(struct module_table *table, const char *softdep)
{
    bool more = true;

    for (int round = 0; more && round < SOFT_ROUNDS; round++) {
        more = false;
        for (const char *line = softdep; *line; line += strcspn(line, "\n"), line += *line == '\n')
            more |= mark_soft_line(table, line, strcspn(line, "\n"));
    }
}

bool module_is_in_dep(const char *dep, const char *name)
{
    for (; *dep; dep += strcspn(dep, "\n"), dep += *dep == '\n') {
        char found[MODULE_NAME_MAX];

        if (module_name(dep, strcspn(dep, ":\n"), found) == 0 && strcmp(found, name) == 0)
            return true;
    }
    return false;
}

static void add_lines_for(const char *alias, const char *name, struct buffer *out)
{
    for (; *alias; alias += strcspn(alias, "\n"), alias += *alias == '\n') {
        size_t length = strcspn(alias, "\n"), n = strlen(name);

        if (length > n + 1 && strncmp(alias + length - n, name, n) == 0 &&
            alias[length - n - 1] == ' ') {
            buffer_add(out, alias, length);
            buffer_add_text(out, "\n");
        }
    }
}

size_t module_add_unknown(const struct module_table *table, const char *old_dep,
                          const char *old_alias, struct buffer *dep, struct buffer *alias)
{
    size_t count = 0;

    for (; *old_dep && count < UNKNOWN_MAX;
         old_dep += strcspn(old_dep, "\n"), old_dep += *old_dep == '\n') {
        char name[MODULE_NAME_MAX];

        if (module_name(old_dep, strcspn(old_dep, ":\n"), name) < 0 || module_find(table, name))
            continue;
        if (dep->length > 0 && dep->data[dep->length - 1] != '\n')
            buffer_add_text(dep, "\n");
        buffer_add(dep, old_dep, strcspn(old_dep, "\n"));
        buffer_add_text(dep, "\n");
        if (alias->length > 0 && alias->data[alias->length - 1] != '\n')
            buffer_add_text(alias, "\n");
        add_lines_for(old_alias, name, alias);
        count++;
    }
    return count;
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

/* SPDX-License-Identifier: Apache-2.0 */
/* The text files of /lib/modules/VERSION: modules.dep, modules.builtin, modules.alias.  Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"
#include "morph/buffer.h"

#define MODULE_NAME_MAX 64

struct module {
    char name[MODULE_NAME_MAX]; /* with underscores, without .ko… */
    const char *path;           /* relative to /lib/modules/VERSION; in the table's text */
    const char *line;           /* the line of modules.dep: "path: dep dep" */
    const char *needs;          /* its dependencies, blank-separated; in the table's text */
    size_t order;               /* number of the line */
    bool marked;                /* free for the caller */
};

struct module_table {
    char *text;           /* owned; newlines are NUL */
    char *paths;          /* owned; the paths, terminated */
    struct module *items; /* sorted by name */
    size_t count;
};

/* The module name in a path: base name without .ko, .ko.xz, …; hyphens become underscores.
 * -EINVAL when it is not a module's file name. */
int module_name(const char *path, size_t length, char name[MODULE_NAME_MAX]);

/* Reads modules.dep.  Lines that are not of its form, or that name paths with "..", are left out.
 * Release with module_table_done(). */
void module_table_parse(const char *text, struct module_table *ret_table);
void module_table_done(struct module_table *table);

struct module *module_find(const struct module_table *table, const char *name);

/* Marks `name` and all it depends on.  -ENOENT when it is not in the table. */
int module_mark(struct module_table *table, const char *name);

/* True when modules.builtin names it. */
bool module_is_builtin(const char *builtin, const char *name);

/* modules.dep and its index for the marked modules. */
void module_write_dep(const struct module_table *table, struct buffer *out, struct buffer *index);

/* The lines of modules.alias ("alias PATTERN NAME") that lead to marked modules, and their index.
 */
void module_write_alias(const struct module_table *table, const char *alias, struct buffer *out,
                        struct buffer *index);

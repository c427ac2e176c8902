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

/* Marks what modules.softdep ("softdep NAME pre: A B post: C") has for marked modules, and all that
 * depends on; what is not in the table is left out. */
void module_mark_soft(struct module_table *table, const char *softdep);

/* Adds the lines of modules.softdep that are for module `name` to out. */
void module_softdep_lines(const char *softdep, const char *name, struct buffer *out);

/* True when modules.builtin names it. */
bool module_is_builtin(const char *builtin, const char *name);

/* True when modules.dep has a line for it. */
bool module_is_in_dep(const char *dep, const char *name);

/* Adds to dep the lines of old_dep whose modules are not in the table, and to alias the lines of
 * old_alias that lead to those.  How many modules. */
size_t module_add_unknown(const struct module_table *table, const char *old_dep,
                          const char *old_alias, struct buffer *dep, struct buffer *alias);

/* modules.dep and its index for the marked modules. */
void module_write_dep(const struct module_table *table, struct buffer *out, struct buffer *index);

/* The lines of modules.alias ("alias PATTERN NAME") that lead to marked modules, and their index.
 */
void module_write_alias(const struct module_table *table, const char *alias, struct buffer *out,
                        struct buffer *index);

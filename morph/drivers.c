/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/drivers.h"

#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/loadlist.h"

#define MODULE_MAX ((size_t)64 << 20)
#define INDEX_MAX ((size_t)64 << 20)
#define ADDED_MAX 64

const char *const drivers_wanted[DRIVERS_WANTED] = {"virtio_pci", "virtio_blk", "virtio_scsi",
                                                    "virtio_net", "sd_mod"};

/* One initramfs that gets modules. */
struct work {
    const struct drivers *drivers;
    struct initramfs *i;
    struct cpio_writer *w;
    struct buffer *names;
    struct module_table table;
    char *alias;
    bool plain; /* modules are stored uncompressed in the initramfs */
    const char *added[ADDED_MAX];
    size_t added_count;
};

/* Reads /lib/modules/VERSION/NAME into *ret_text; "" when it is not there. */
static int read_index(const struct drivers *d, const char *name, char **ret_text,
                      struct error **err)
{
    _cleanup_free_ char *path = str_format("/lib/modules/%s/%s", d->version, name);
    size_t length;
    int r = tree_read(d->tree, path, INDEX_MAX, ret_text, &length, err);

    if (r == -ENOENT) {
        *ret_text = str_dup("");
        return 0;
    }
    return r;
}

int drivers_read(const struct tree *tree, const char *version, struct drivers *ret_drivers,
                 struct error **err)
{
    struct drivers d = {.tree = tree, .version = str_dup(version)};
    int r = read_index(&d, "modules.dep", &d.dep, err);

    if (r == 0)
        r = read_index(&d, "modules.builtin", &d.builtin, err);
    if (r == 0)
        r = read_index(&d, "modules.alias", &d.alias, err);
    if (r == 0)
        r = read_index(&d, "modules.softdep", &d.softdep, err);
    if (r < 0)
        drivers_done(&d);
    else
        *ret_drivers = d;
    return r;
}

void drivers_done(struct drivers *drivers)
{
    free(drivers->version);
    free(drivers->dep);
    free(drivers->builtin);
    free(drivers->alias);
    free(drivers->softdep);
    *drivers = (struct drivers){0};
}

bool drivers_has_module(const struct drivers *drivers, const char *name)
{
    return !module_is_builtin(drivers->builtin, name) && module_is_in_dep(drivers->dep, name);
}

bool drivers_has(const struct drivers *drivers, const char *name)
{
    return module_is_builtin(drivers->builtin, name) || module_is_in_dep(drivers->dep, name);
}

bool drivers_reach_disk(const struct drivers *drivers)
{
    for (size_t n = 0; n < DRIVERS_NEEDED; n++)
        if (!drivers_has(drivers, drivers_wanted[n]))
            return false;
    return true;
}

bool drivers_built_in(const struct drivers *drivers)
{
    for (size_t n = 0; n < DRIVERS_NEEDED; n++)
        if (!module_is_builtin(drivers->builtin, drivers_wanted[n]))
            return false;
    return true;
}

bool drivers_missing(const struct drivers *drivers, const struct initramfs *i)
{
    for (size_t n = 0; n < DRIVERS_WANTED; n++)
        if (!initramfs_has_module(i, drivers_wanted[n]) &&
            drivers_has_module(drivers, drivers_wanted[n]))
            return true;
    return false;
}

/* Removes .xz, .gz, .zst behind ".ko" from the text of modules.dep. */
static void strip_suffixes(char *text)
{
    char *to = text;

    for (const char *from = text; *from;) {
        if (strncmp(from, ".ko.", 4) == 0) {
            memmove(to, from, 3);
            to += 3;
            from += 3 + strcspn(from + 3, ": \n");
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

/* Modules that are compressed in the guest are not in each initramfs of it: only where some are
 * will its programs understand that.  The names in modules.dep must fit for old and new ones. */
static bool stored_plain(const struct initramfs *i)
{
    for (size_t n = 0; n < i->module_count; n++)
        if (strstr(i->modules[n], ".ko."))
            return false;
    return true;
}

static void mark_wanted(struct work *k)
{
    for (size_t n = 0; n < DRIVERS_WANTED; n++)
        if (!module_is_builtin(k->drivers->builtin, drivers_wanted[n]))
            module_mark(&k->table, drivers_wanted[n]);
    module_mark_soft(&k->table, k->drivers->softdep);
}

/* The guest's tables, and what only the initramfs knows of: modules that are no longer in the
 * guest must go on being found. */
static void make_tables(struct work *k)
{
    const char *old_dep = initramfs_module_text(k->i, "modules.dep");
    const char *old_alias = initramfs_module_text(k->i, "modules.alias");
    _cleanup_buffer_ struct buffer dep = {0}, alias = {0};

    k->plain = stored_plain(k->i);
    buffer_add_text(&dep, k->drivers->dep);
    if (k->plain && dep.data)
        strip_suffixes(dep.data);
    dep.length = dep.data ? strlen(dep.data) : 0;
    module_table_parse(dep.data ? dep.data : "", &k->table);
    buffer_add_text(&alias, k->drivers->alias);
    if (old_dep &&
        module_add_unknown(&k->table, old_dep, old_alias ? old_alias : "", &dep, &alias)) {
        module_table_done(&k->table);
        module_table_parse(dep.data, &k->table);
    }
    k->alias = buffer_steal(&alias);
}

static int collect_bytes(void *context, const void *data, size_t length)
{
    buffer_add(context, data, length);
    return 0;
}

/* The module's file; its name in the guest may have a suffix more than in the table. */
static int read_module(const struct work *k, const struct module *m, struct buffer *out,
                       struct error **err)
{
    static const char *const suffixes[] = {"", ".xz", ".zst", ".gz"};
    const struct drivers *d = k->drivers;
    int r = -ENOENT;

    for (size_t i = 0; r == -ENOENT && i < (k->plain ? ARRAY_SIZE(suffixes) : 1); i++) {
        _cleanup_free_ char *path =
            str_format("/lib/modules/%s/%s%s", d->version, m->path, suffixes[i]);
        _cleanup_free_ char *data = NULL;
        size_t length, used;

        r = tree_read(d->tree, path, MODULE_MAX, &data, &length, err);
        if (r == 0 && i > 0)
            r = unpack_stream(unpack_kind_of(data, length), data, length, MODULE_MAX, collect_bytes,
                              out, &used);
        else if (r == 0)
            buffer_add(out, data, length);
    }
    if (r < 0)
        return error_set(err, ENOENT,
                         "module %s of kernel %s is named in modules.dep but cannot be read; "
                         "reinstall the guest's kernel package in the source",
                         m->path, d->version);
    return 0;
}

static bool is_to_be_added(const struct work *k, const struct module *m)
{
    return m && m->marked && !initramfs_has_module(k->i, m->name) &&
           !module_is_builtin(k->drivers->builtin, m->name);
}

static int add_module(struct work *k, const struct module *m, struct error **err)
{
    _cleanup_free_ char *name = k->i->kind == INITRAMFS_NASH
                                    ? str_format("lib/%s.ko", m->name)
                                    : str_format("%s/%s", k->i->modules_directory, m->path);
    _cleanup_buffer_ struct buffer data = {0};
    int r = read_module(k, m, &data, err);

    if (r < 0)
        return r;
    initramfs_add_file(k->i, k->w, name, data.data, data.length);
    buffer_printf(k->names, "%s%s", k->names->length ? ", " : "", m->name);
    k->added[k->added_count++] = m->name;
    return 0;
}

static bool was_added(const struct work *k, const struct module *m)
{
    for (size_t n = 0; n < k->added_count; n++)
        if (strcmp(k->added[n], m->name) == 0)
            return true;
    return false;
}

/* What m needs, the last first (depmod writes what comes first to the end), then m. */
static int add_with_needs(struct work *k, const struct module *m, struct error **err)
{
    const char *end = m->needs + strlen(m->needs);
    int r = 0;

    while (r == 0 && end > m->needs) {
        const char *start = end;
        char need[MODULE_NAME_MAX];
        const struct module *n;

        while (start > m->needs && start[-1] != ' ')
            start--;
        n = module_name(start, (size_t)(end - start), need) == 0 ? module_find(&k->table, need)
                                                                 : NULL;
        if (is_to_be_added(k, n) && !was_added(k, n) && k->added_count < ADDED_MAX)
            r = add_module(k, n, err);
        end = start > m->needs ? start - 1 : start;
    }
    if (r == 0 && is_to_be_added(k, m) && !was_added(k, m) && k->added_count < ADDED_MAX)
        r = add_module(k, m, err);
    return r;
}

static int add_modules(struct work *k, struct error **err)
{
    int r = 0;

    for (size_t n = 0; r == 0 && n < DRIVERS_WANTED; n++) {
        const struct module *m = module_find(&k->table, drivers_wanted[n]);

        if (m && m->marked)
            r = add_with_needs(k, m, err);
    }
    for (size_t n = 0; r == 0 && n < k->table.count; n++)
        if (is_to_be_added(k, &k->table.items[n]))
            r = add_with_needs(k, &k->table.items[n], err);
    return r;
}

static void add_below_modules(struct work *k, const char *file, const struct buffer *data)
{
    _cleanup_free_ char *name = str_format("%s/%s", k->i->modules_directory, file);

    initramfs_add_file(k->i, k->w, name, data->data, data->length);
}

/* Index files for what the initramfs will hold: the modules it has and those that were added. */
static void add_indexes(struct work *k)
{
    _cleanup_buffer_ struct buffer dep = {0}, dep_bin = {0}, alias = {0}, alias_bin = {0};
    char name[MODULE_NAME_MAX];

    for (size_t n = 0; n < k->i->module_count; n++) {
        const char *path = k->i->modules[n];
        struct module *m = NULL;

        if (module_name(path, strlen(path), name) == 0)
            m = module_find(&k->table, name);
        if (m)
            m->marked = true;
    }
    module_write_dep(&k->table, &dep, &dep_bin);
    module_write_alias(&k->table, k->alias, &alias, &alias_bin);
    add_below_modules(k, "modules.dep", &dep);
    add_below_modules(k, "modules.dep.bin", &dep_bin);
    add_below_modules(k, "modules.alias", &alias);
    add_below_modules(k, "modules.alias.bin", &alias_bin);
}

/* What has to be loaded before or after the modules that were added. */
static void add_softdep(struct work *k)
{
    const char *old = initramfs_module_text(k->i, "modules.softdep");
    _cleanup_buffer_ struct buffer out = {0};
    size_t before;

    buffer_add_text(&out, old ? old : "");
    if (out.length > 0 && out.data[out.length - 1] != '\n')
        buffer_add_text(&out, "\n");
    before = out.length;
    for (size_t n = 0; n < k->added_count; n++)
        module_softdep_lines(k->drivers->softdep, k->added[n], &out);
    if (out.length > before)
        add_below_modules(k, "modules.softdep", &out);
}

/* mkinitrd's script inserts each file; elsewhere modprobe knows what a module needs. */
static int add_load_list(struct work *k)
{
    const char *names[DRIVERS_WANTED];
    size_t count = 0;

    if (k->i->kind == INITRAMFS_NASH)
        return loadlist_add(k->i, k->added, k->added_count, k->w);
    for (size_t n = 0; n < DRIVERS_WANTED; n++)
        if (drivers_has_module(k->drivers, drivers_wanted[n]))
            names[count++] = drivers_wanted[n];
    return loadlist_add(k->i, names, count, k->w);
}

int drivers_add(const struct drivers *drivers, struct initramfs *i, struct cpio_writer *w,
                struct buffer *names, struct error **err)
{
    struct work k = {.drivers = drivers, .i = i, .w = w, .names = names};
    int r;

    make_tables(&k);
    mark_wanted(&k);
    r = add_modules(&k, err);
    if (r == 0 && i->kind != INITRAMFS_NASH) {
        add_indexes(&k);
        add_softdep(&k);
    }
    if (r == 0)
        r = add_load_list(&k);
    module_table_done(&k.table);
    free(k.alias);
    return r;
}

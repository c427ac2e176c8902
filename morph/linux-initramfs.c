/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio in the initramfs of every installed kernel.
 *
 * Rebuilding an initramfs needs the guest's programs, which must not run here (and take minutes
 * under emulation).  Instead a second archive is appended that holds only what is missing: module
 * files as they are in /lib/modules, the index files of modules for old and new ones together, and
 * conf/modules, the list that initramfs-tools loads at boot.  /etc/initramfs-tools/modules gets the
 * same names, so that the guest's own next rebuild keeps them.
 */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/change.h"
#include "morph/initramfs.h"
#include "morph/link.h"
#include "morph/modules.h"

#define MODULES_FILE "/etc/initramfs-tools/modules"
#define MODULE_MAX ((size_t)64 << 20)
#define INDEX_MAX ((size_t)64 << 20)

static const char *const wanted[] = {"virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net",
                                     "sd_mod"};

/* One kernel being looked at. */
struct work {
    struct facts *facts;
    struct plan *plan;
    const char *version;
    const char *path; /* of its initramfs */
    char *data;
    size_t length;
    struct initramfs *initramfs;
    struct module_table table;
    char *builtin; /* modules.builtin, "" when absent */
    char *alias;   /* modules.alias, "" when absent */
    bool plain;    /* modules are stored uncompressed in the initramfs, compressed in the guest */
    struct cpio_writer archive;
    struct buffer added; /* names, for people */
};

static void work_done(struct work *k)
{
    free(k->data);
    initramfs_free(k->initramfs);
    module_table_done(&k->table);
    free(k->builtin);
    free(k->alias);
    buffer_done(&k->archive.out);
    buffer_done(&k->added);
}

/* Reads /lib/modules/VERSION/NAME into *ret_text; "" when it is not there. */
static int read_index(const struct work *k, const char *name, char **ret_text, struct error **err)
{
    _cleanup_free_ char *path = str_format("/lib/modules/%s/%s", k->version, name);
    size_t length;
    int r = tree_read(&k->facts->tree, path, INDEX_MAX, ret_text, &length, err);

    if (r == -ENOENT) {
        *ret_text = str_dup("");
        return 0;
    }
    return r;
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

/* Newer initramfs-tools store compressed modules uncompressed: then we must do the same, as the
 * names in modules.dep have to fit for old and new ones. */
static bool stored_plain(const struct initramfs *i, const char *dep)
{
    for (size_t n = 0; n < i->module_count; n++) {
        size_t length = strlen(i->modules[n]);

        if (length > 3 && strcmp(i->modules[n] + length - 3, ".ko") == 0)
            return strstr(dep, ".ko.xz:") || strstr(dep, ".ko.zst:") || strstr(dep, ".ko.gz:");
    }
    return false;
}

static int read_tables(struct work *k, struct error **err)
{
    _cleanup_free_ char *dep = NULL;
    int r = read_index(k, "modules.dep", &dep, err);

    if (r == 0)
        r = read_index(k, "modules.builtin", &k->builtin, err);
    if (r == 0)
        r = read_index(k, "modules.alias", &k->alias, err);
    if (r < 0)
        return r;
    k->plain = stored_plain(k->initramfs, dep);
    if (k->plain)
        strip_suffixes(dep);
    module_table_parse(dep, &k->table);
    return 0;
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
    int r = -ENOENT;

    for (size_t i = 0; r == -ENOENT && i < (k->plain ? ARRAY_SIZE(suffixes) : 1); i++) {
        _cleanup_free_ char *path =
            str_format("/lib/modules/%s/%s%s", k->version, m->path, suffixes[i]);
        _cleanup_free_ char *data = NULL;
        size_t length, used;

        r = tree_read(&k->facts->tree, path, MODULE_MAX, &data, &length, err);
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
                         m->path, k->version);
    return 0;
}

static int add_modules(struct work *k, struct error **err)
{
    for (size_t i = 0; i < k->table.count; i++) {
        const struct module *m = &k->table.items[i];
        _cleanup_free_ char *name = str_format("%s/%s", k->initramfs->modules_directory, m->path);
        _cleanup_buffer_ struct buffer data = {0};
        int r;

        if (!m->marked || initramfs_has_module(k->initramfs, m->name) ||
            module_is_builtin(k->builtin, m->name))
            continue;
        r = read_module(k, m, &data, err);
        if (r < 0)
            return r;
        initramfs_add_file(k->initramfs, &k->archive, name, data.data, data.length);
        buffer_printf(&k->added, "%s%s", k->added.length ? ", " : "", m->name);
    }
    return 0;
}

static void add_below_modules(struct work *k, const char *file, const struct buffer *data)
{
    _cleanup_free_ char *name = str_format("%s/%s", k->initramfs->modules_directory, file);

    initramfs_add_file(k->initramfs, &k->archive, name, data->data, data->length);
}

/* Index files for what the initramfs will hold: the modules it has and those that were added. */
static void add_indexes(struct work *k)
{
    _cleanup_buffer_ struct buffer dep = {0}, dep_bin = {0}, alias = {0}, alias_bin = {0};
    char name[MODULE_NAME_MAX];

    for (size_t i = 0; i < k->initramfs->module_count; i++) {
        const char *path = k->initramfs->modules[i];
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

static bool has_line(const char *text, const char *word)
{
    size_t n = strlen(word);

    for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
        const char *p = text + strspn(text, " \t");

        if (strncmp(p, word, n) == 0 && strchr(" \t\r\n", p[n]))
            return true;
    }
    return false;
}

static void add_load_list(struct work *k)
{
    _cleanup_buffer_ struct buffer list = {0};

    buffer_add_text(&list, k->initramfs->conf_modules);
    if (list.length > 0 && list.data[list.length - 1] != '\n')
        buffer_add_text(&list, "\n");
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        if (module_find(&k->table, wanted[i]) && !has_line(k->initramfs->conf_modules, wanted[i]))
            buffer_printf(&list, "%s\n", wanted[i]);
    initramfs_add_file(k->initramfs, &k->archive, "conf/modules", list.data, list.length);
}

/* udev in the initramfs renames network cards too: it must know the same names. */
static void add_links(struct work *k)
{
    const struct initramfs *i = k->initramfs;

    for (size_t p = 0; i->link_directory && p < k->facts->pin_count; p++) {
        const struct pin *pin = &k->facts->pins[p];
        _cleanup_free_ char *file = link_file_name(pin);
        _cleanup_free_ char *name = str_format("%s/%s", i->link_directory, file);
        _cleanup_free_ char *text = link_text(pin);
        bool there = false;

        for (size_t n = 0; n < i->link_count; n++)
            there = (strcmp(i->links[n * 2], name) == 0) ? strcmp(i->links[n * 2 + 1], text) == 0
                                                         : there;
        if (there)
            continue;
        initramfs_add_file(k->initramfs, &k->archive, name, text, strlen(text));
        buffer_printf(&k->added, "%s%s", k->added.length ? ", " : "", file);
    }
}

/* The resume device that was built in; a name of the source would make each boot wait for it. */
static void add_resume(struct work *k)
{
    const char *text = k->initramfs->conf_resume, *why;
    _cleanup_free_ char *device = NULL, *changed = NULL;
    const struct volume *swap;

    if (!text || !str_starts(text, "RESUME=/dev/"))
        return;
    text += strlen("RESUME=");
    device = str_format("%.*s", (int)strcspn(text, " \t\r\n"), text);
    swap = volume_of_source_name(&k->facts->volumes, device, "swap", &why);
    if (!swap)
        return;
    changed = str_format("RESUME=UUID=%s\n", swap->uuid);
    initramfs_add_file(k->initramfs, &k->archive, "conf/conf.d/resume", changed, strlen(changed));
    buffer_printf(&k->added, "%sresume device", k->added.length ? ", " : "");
}

/* Marks what is wanted.  1 when something is missing in the initramfs, 0 when nothing is,
 * -ENOENT when the kernel has no virtio disk driver at all. */
static int mark_missing(struct work *k)
{
    bool missing = false;

    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        if (module_is_builtin(k->builtin, wanted[i]))
            continue;
        if (module_mark(&k->table, wanted[i]) == 0)
            missing |= !initramfs_has_module(k->initramfs, wanted[i]);
        else if (i < 2 && !initramfs_has_module(k->initramfs, wanted[i]))
            return -ENOENT; /* virtio_pci and virtio_blk: no disk without them */
    }
    return missing;
}

static int propose(struct work *k, struct error **err)
{
    size_t length;
    char *data;
    int r = mark_missing(k);

    if (r < 0)
        return error_set(err, ENOTSUP,
                         "kernel %s of the guest has no virtio disk driver; install a kernel with "
                         "virtio in the source, or remove this one",
                         k->version);
    if (r > 0) {
        r = add_modules(k, err);
        if (r < 0)
            return r;
        add_indexes(k);
        add_load_list(k);
    }
    add_links(k);
    add_resume(k);
    if (k->added.length == 0)
        return 0;
    cpio_finish(&k->archive);
    r = initramfs_appendix(k->initramfs, k->length, &k->archive, &data, &length);
    if (r < 0)
        return error_set_errno(err, -r, "cannot pack the archive for kernel %s", k->version);
    plan_append(k->plan, "initramfs", k->path, k->data, k->length, data, length,
                str_format("an archive of %zu KiB is appended: %s",
                           (k->archive.out.length + 1023) / 1024, k->added.data),
                str_dup("the kernel reaches its root disk on virtio only with these in its "
                        "initramfs"));
    return 0;
}

static int change_kernel(struct facts *facts, struct plan *plan, const struct kernel *kernel,
                         struct error **err)
{
    struct work k = {
        .facts = facts, .plan = plan, .version = kernel->version, .path = kernel->initramfs};
    int r = -ENOENT;

    if (k.path)
        r = tree_read(&facts->tree, k.path, INITRAMFS_MAX, &k.data, &k.length, err);
    if (r == -ENOENT) {
        plan_warn(plan, "initramfs",
                  "kernel %s has no initramfs; it boots on virtio only if its drivers are built in",
                  k.version);
        r = 0;
    } else if (r == 0) {
        r = initramfs_read(k.data, k.length, k.version, &k.initramfs, err);
        if (r == 0 && !k.initramfs->is_initramfs_tools)
            r = error_set(err, ENOTSUP,
                          "the initramfs %s was not made by initramfs-tools, the only kind this "
                          "program can add drivers to",
                          k.path);
        if (r == 0)
            r = read_tables(&k, err);
        if (r == 0)
            r = propose(&k, err);
    }
    work_done(&k);
    return r;
}

/* The names in /etc/initramfs-tools/modules, in a block that says who wrote it. */
static int change_modules_file(struct facts *facts, struct plan *plan, struct error **err)
{
    _cleanup_buffer_ struct buffer out = {0}, names = {0};
    _cleanup_free_ char *text = NULL;
    size_t length;
    int r = tree_text(&facts->tree, MODULES_FILE, &text, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        if (!text || !has_line(text, wanted[i]))
            buffer_printf(&names, "%s\n", wanted[i]);
    if (names.length == 0)
        return 0;
    buffer_add_text(&out, text ? text : "");
    if (out.length > 0 && out.data[out.length - 1] != '\n')
        buffer_add_text(&out, "\n");
    buffer_printf(&out,
                  "# begin slipway-morph: drivers of the virtio platform\n%s"
                  "# end slipway-morph\n",
                  names.data);
    length = out.length;
    for (char *p = names.data; (p = strchr(p, '\n'));)
        *p = p[1] ? ' ' : '\0';
    plan_edit(plan, EDIT_WRITE, "initramfs", MODULES_FILE, buffer_steal(&out), length,
              str_format("names %s", names.data),
              str_dup("the guest's own next rebuild of its initramfs must keep the drivers"));
    return 0;
}

/* The newest kernel, the last of the list, is what boots by default and must work; an older one
 * that cannot be changed is only told. */
static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    for (size_t i = 0; i < facts->kernel_count; i++) {
        const struct kernel *kernel = &facts->kernels[i];
        _cleanup_error_ struct error *failed = NULL;

        if (change_kernel(facts, plan, kernel, &failed) == 0)
            continue;
        if (i + 1 == facts->kernel_count)
            return error_move(err, &failed);
        plan_warn(plan, "initramfs", "kernel %s stays as it is: %s", kernel->version,
                  error_text(failed));
    }
    facts->virtio_disk = facts->virtio_net = true; /* or it was refused */
    return change_modules_file(facts, plan, err);
}

static const char *describe(void)
{
    return "every kernel's initramfs holds the virtio drivers";
}

const struct change_ops change_linux_initramfs = {
    .name = "initramfs",
    .applies = facts_is_linux,
    .apply = apply,
    .describe = describe,
};

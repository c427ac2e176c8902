/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/initramfs.h"

#include <string.h>
#include <sys/stat.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/modules.h"
#include "morph/waits.h"

#define UNPACKED_MAX ((uint64_t)2 << 30)
#define NAMES_MAX 100000
#define TEXTS_MAX 256

struct reading {
    struct initramfs *i;
    struct cpio_reader reader;
    const char *version;
    bool lib_is_link;
    char **flat; /* modules in "lib" itself, where Red Hat's mkinitrd has them */
    size_t flat_count;
};

const char *initramfs_kind_name(enum initramfs_kind kind)
{
    static const char *const names[] = {
        "an unknown program", "initramfs-tools", "dracut",          "dracut",
        "mkinitcpio",         "mkinitfs",        "SUSE's mkinitrd", "mkinitrd"};

    return names[kind];
}

static void add_name(char ***list, size_t *count, const char *name)
{
    if (*count >= NAMES_MAX)
        return;
    if ((*count & (*count - 1)) == 0) {
        *list = reallocarray(*list, *count ? *count * 2 : 1, sizeof(char *));
        if (!*list)
            abort();
    }
    (*list)[(*count)++] = str_dup(name);
}

static void names_free(char **names, size_t count)
{
    for (size_t n = 0; n < count; n++)
        free(names[n]);
    free(names);
}

static bool ends_with(const char *s, const char *end)
{
    size_t a = strlen(s), b = strlen(end);

    return a >= b && strcmp(s + a - b, end) == 0;
}

/* Where modules of `version` are in this archive: behind "[usr/]lib/modules/VERSION/". */
static const char *below_modules(const char *name, const char *version)
{
    size_t length = strlen(version);

    if (str_starts(name, "usr/"))
        name += 4;
    if (!str_starts(name, "lib/modules/"))
        return NULL;
    name += strlen("lib/modules/");
    return strncmp(name, version, length) == 0 && name[length] == '/' ? name + length + 1 : NULL;
}

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t n = 0; n < count; n++)
        if (strcmp(name, names[n]) == 0)
            return true;
    return false;
}

static bool want(void *context, const struct cpio_entry *entry)
{
    static const char *const files[] = {"conf/modules",
                                        "conf/conf.d/resume",
                                        "config",
                                        "config/start.sh",
                                        "etc/modules",
                                        "init",
                                        "run_all.sh",
                                        "etc/crypttab",
                                        "etc/lvm/lvm.conf",
                                        "etc/lvm/lvmlocal.conf",
                                        "etc/lvm/devices/system.devices"};
    static const char *const indexes[] = {"modules.dep", "modules.alias", "modules.softdep"};
    const struct reading *rd = context;
    const char *below = below_modules(entry->name, rd->version);

    return S_ISREG(entry->mode) &&
           (is_one_of(entry->name, files, ARRAY_SIZE(files)) ||
            (below && is_one_of(below, indexes, ARRAY_SIZE(indexes))) ||
            (ends_with(entry->name, ".link") && strstr(entry->name, "systemd/network/")) ||
            wait_is_file(entry->name));
}

static void keep_text(struct initramfs *i, const char *name, const char *text)
{
    size_t count = i->text_count * 2;

    for (size_t n = 0; n < count; n += 2) {
        if (strcmp(i->texts[n], name) == 0) {
            str_replace(&i->texts[n + 1], text);
            return;
        }
    }
    if (i->text_count == TEXTS_MAX)
        return;
    add_name(&i->texts, &count, name);
    add_name(&i->texts, &count, text);
    i->text_count = count / 2;
}

/* Some file or directory that only one program puts there. */
static enum initramfs_kind kind_of_name(const char *name)
{
    if (strcmp(name, "scripts/functions") == 0)
        return INITRAMFS_TOOLS;
    if (strstr(name, "lib/dracut/") || ends_with(name, "lib/dracut-lib.sh"))
        return INITRAMFS_DRACUT;
    if (strcmp(name, "buildconfig") == 0 || strcmp(name, "init_functions") == 0)
        return INITRAMFS_MKINITCPIO;
    if (ends_with(name, "sbin/nlplug-findfs") || strcmp(name, ".modloop") == 0)
        return INITRAMFS_MKINITFS;
    if (strcmp(name, "run_all.sh") == 0)
        return INITRAMFS_SUSE;
    return INITRAMFS_UNKNOWN;
}

static void on_directory(struct initramfs *i, const char *name)
{
    add_name(&i->directories, &i->directory_count, name);
    if (strcmp(name, "etc/systemd/network") == 0 ||
        (ends_with(name, "lib/systemd/network") && !i->link_directory))
        str_replace(&i->link_directory, name);
}

static void on_module(struct initramfs *i, const char *name, const char *module)
{
    if (!i->modules_directory)
        i->modules_directory = str_format("%.*s", (int)(module - 1 - name), name);
    add_name(&i->modules, &i->module_count, module);
}

static void on_file(struct reading *rd, const char *name, const char *data)
{
    const char *module = below_modules(name, rd->version);
    char found[MODULE_NAME_MAX];

    if (module && module_name(module, strlen(module), found) == 0)
        on_module(rd->i, name, module);
    else if (str_starts(name, "lib/") && !strchr(name + 4, '/') &&
             module_name(name, strlen(name), found) == 0)
        add_name(&rd->flat, &rd->flat_count, name + 4);
    else if (data)
        keep_text(rd->i, name, data);
}

static void on_entry(void *context, const struct cpio_entry *entry, const char *data)
{
    struct reading *rd = context;

    if (rd->i->kind == INITRAMFS_UNKNOWN)
        rd->i->kind = kind_of_name(entry->name);
    if (S_ISDIR(entry->mode))
        on_directory(rd->i, entry->name);
    else if (S_ISLNK(entry->mode) && strcmp(entry->name, "lib") == 0)
        rd->lib_is_link = true;
    else if (S_ISREG(entry->mode))
        on_file(rd, entry->name, data);
}

static int feed(void *context, const void *data, size_t length)
{
    struct reading *rd = context;
    ssize_t n = cpio_feed(&rd->reader, data, length);

    return n < 0 ? (int)n : 0;
}

/* One archive that starts at data; how many bytes of the file it takes. */
static int read_archive(struct reading *rd, const char *data, size_t length, bool plain,
                        size_t *ret_used)
{
    const struct cpio_handler handler = {.want = want, .entry = on_entry, .context = rd};
    enum unpack_kind kind = plain ? UNPACK_NONE : unpack_kind_of(data, length);
    int r;

    cpio_reader_init(&rd->reader, &handler, plain);
    if (plain) {
        ssize_t n = cpio_feed(&rd->reader, data, length);

        r = n < 0 ? (int)n : 0;
        *ret_used = n < 0 ? 0 : (size_t)n;
    } else {
        r = unpack_stream(kind, data, length, UNPACKED_MAX, feed, rd, ret_used);
    }
    if (r == 0 && (!rd->reader.trailer_seen || rd->reader.skip > 0))
        r = -EBADMSG; /* cut short */
    cpio_reader_done(&rd->reader);
    rd->i->last = kind;
    return r;
}

/* Where modules belong when it has none. */
static char *usual_directory(const struct reading *rd)
{
    _cleanup_free_ char *path = str_format("usr/lib/modules/%s", rd->version);

    if (rd->lib_is_link || initramfs_has_directory(rd->i, path))
        return steal_ptr(path);
    return str_format("lib/modules/%s", rd->version);
}

static void finish(struct reading *rd)
{
    struct initramfs *i = rd->i;
    const char *init = initramfs_text(i, "init");

    if (i->kind == INITRAMFS_UNKNOWN && init && str_starts(init, "#!/bin/nash"))
        i->kind = INITRAMFS_NASH;
    if (i->kind == INITRAMFS_DRACUT && initramfs_has_directory(i, "pre-udev"))
        i->kind = INITRAMFS_DRACUT_OLD;
    if (i->kind == INITRAMFS_NASH) {
        names_free(i->modules, i->module_count);
        i->modules = steal_ptr(rd->flat);
        i->module_count = rd->flat_count;
        rd->flat_count = 0;
        str_replace(&i->modules_directory, "lib");
    }
    if (!i->modules_directory)
        i->modules_directory = usual_directory(rd);
}

static int read_all(struct reading *rd, const char *bytes, size_t length, struct error **err)
{
    size_t at = 0, used, archives = 0;

    while (at < length) {
        int r;

        if (bytes[at] == '\0') {
            rd->i->ends_padded = true;
            at++;
            continue;
        }
        r = read_archive(rd, bytes + at, length - at,
                         length - at > 6 && memcmp(bytes + at, "07070", 5) == 0, &used);
        if (r == -EOPNOTSUPP)
            return error_set(err, EOPNOTSUPP,
                             "the initramfs of kernel %s is compressed with %s, which this program "
                             "cannot read; choose another compression in the source and rebuild it",
                             rd->version, unpack_kind_name(rd->i->last));
        if (r < 0)
            return error_set(err, EBADMSG,
                             "the initramfs of kernel %s is damaged or of an unknown kind at byte "
                             "%zu; rebuild it in the source",
                             rd->version, at);
        rd->i->ends_padded = false;
        at += used;
        archives++;
    }
    return archives > 0
               ? 0
               : error_set(err, EBADMSG, "the initramfs of kernel %s is empty", rd->version);
}

int initramfs_read(const void *data, size_t length, const char *version, struct initramfs **ret,
                   struct error **err)
{
    _cleanup_initramfs_ struct initramfs *i = mem_new(1, sizeof(*i));
    struct reading rd = {.i = i, .version = version};
    int r = read_all(&rd, data, length, err);

    if (r == 0) {
        finish(&rd);
        *ret = steal_ptr(i);
    }
    names_free(rd.flat, rd.flat_count);
    return r;
}

struct initramfs *initramfs_free(struct initramfs *i)
{
    if (!i)
        return NULL;
    names_free(i->modules, i->module_count);
    names_free(i->directories, i->directory_count);
    names_free(i->texts, i->text_count * 2);
    free(i->modules_directory);
    free(i->link_directory);
    free(i);
    return NULL;
}

bool initramfs_has_module(const struct initramfs *i, const char *name)
{
    char found[MODULE_NAME_MAX];

    for (size_t n = 0; n < i->module_count; n++)
        if (module_name(i->modules[n], strlen(i->modules[n]), found) == 0 &&
            strcmp(found, name) == 0)
            return true;
    return false;
}

bool initramfs_has_directory(const struct initramfs *i, const char *name)
{
    for (size_t n = 0; n < i->directory_count; n++)
        if (strcmp(i->directories[n], name) == 0)
            return true;
    return false;
}

const char *initramfs_text(const struct initramfs *i, const char *name)
{
    for (size_t n = 0; n < i->text_count; n++)
        if (strcmp(i->texts[2 * n], name) == 0)
            return i->texts[2 * n + 1];
    return NULL;
}

const char *initramfs_module_text(const struct initramfs *i, const char *name)
{
    _cleanup_free_ char *path = str_format("%s/%s", i->modules_directory, name);

    return initramfs_text(i, path);
}

static void add_parents(struct initramfs *i, struct cpio_writer *w, const char *name)
{
    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        _cleanup_free_ char *parent = str_format("%.*s", (int)(slash - name), name);

        if (initramfs_has_directory(i, parent))
            continue;
        cpio_add_directory(w, parent);
        add_name(&i->directories, &i->directory_count, parent);
    }
}

void initramfs_add_file(struct initramfs *i, struct cpio_writer *w, const char *name,
                        const void *data, size_t length)
{
    add_parents(i, w, name);
    cpio_add_file(w, name, data, length);
}

void initramfs_add_program(struct initramfs *i, struct cpio_writer *w, const char *name,
                           const void *data, size_t length)
{
    add_parents(i, w, name);
    cpio_add_program(w, name, data, length);
}

int initramfs_appendix(const struct initramfs *i, uint64_t size, const struct cpio_writer *w,
                       char **ret_data, size_t *ret_length)
{
    _cleanup_buffer_ struct buffer out = {0};

    if (i->last == UNPACK_LZ4 && !i->ends_padded)
        return unpack_pack_lz4(w->out.data, w->out.length, ret_data, ret_length);
    buffer_add_zeros(&out, (size_t)(round_up(size, 4) - size));
    buffer_add(&out, w->out.data, w->out.length);
    *ret_length = out.length;
    *ret_data = buffer_steal(&out);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/initramfs.h"

#include <string.h>
#include <sys/stat.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/modules.h"

#define UNPACKED_MAX ((uint64_t)2 << 30)
#define NAMES_MAX 100000

struct reading {
    struct initramfs *i;
    struct cpio_reader reader;
    const char *version;
    bool lib_is_link;
};

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

static bool ends_with(const char *s, const char *end)
{
    size_t a = strlen(s), b = strlen(end);

    return a >= b && strcmp(s + a - b, end) == 0;
}

static bool is_link_file(const char *name)
{
    return ends_with(name, ".link") && strstr(name, "systemd/network/");
}

static bool want(void *context, const struct cpio_entry *entry)
{
    return S_ISREG(entry->mode) &&
           (strcmp(entry->name, "conf/modules") == 0 ||
            strcmp(entry->name, "conf/conf.d/resume") == 0 || is_link_file(entry->name));
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

static void on_directory(struct initramfs *i, const char *name)
{
    add_name(&i->directories, &i->directory_count, name);
    if (strcmp(name, "etc/systemd/network") == 0 ||
        (ends_with(name, "lib/systemd/network") && !i->link_directory))
        str_replace(&i->link_directory, name);
}

static void on_entry(void *context, const struct cpio_entry *entry, const char *data)
{
    struct reading *rd = context;
    struct initramfs *i = rd->i;
    const char *module = below_modules(entry->name, rd->version);
    char name[MODULE_NAME_MAX];

    if (S_ISDIR(entry->mode)) {
        on_directory(i, entry->name);
    } else if (S_ISLNK(entry->mode) && strcmp(entry->name, "lib") == 0) {
        rd->lib_is_link = true;
    } else if (!S_ISREG(entry->mode)) {
        return;
    } else if (module && module_name(module, strlen(module), name) == 0) {
        if (i->module_count == 0) {
            free(i->modules_directory);
            i->modules_directory = str_format("%.*s", (int)(module - 1 - entry->name), entry->name);
        }
        add_name(&i->modules, &i->module_count, module);
    } else if (strcmp(entry->name, "conf/modules") == 0) {
        str_replace(&i->conf_modules, data ? data : "");
    } else if (strcmp(entry->name, "conf/conf.d/resume") == 0) {
        str_replace(&i->conf_resume, data);
    } else if (strcmp(entry->name, "scripts/functions") == 0) {
        i->is_initramfs_tools = true;
    } else if (data && is_link_file(entry->name)) {
        size_t n = i->link_count * 2;

        add_name(&i->links, &n, entry->name);
        add_name(&i->links, &n, data);
        i->link_count = n / 2;
    }
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
    if (r == 0 && !rd->reader.trailer_seen)
        r = -EBADMSG; /* cut short */
    cpio_reader_done(&rd->reader);
    rd->i->last = kind;
    return r;
}

int initramfs_read(const void *data, size_t length, const char *version, struct initramfs **ret,
                   struct error **err)
{
    _cleanup_initramfs_ struct initramfs *i = mem_new(1, sizeof(*i));
    struct reading rd = {.i = i, .version = version};
    const char *bytes = data;
    size_t at = 0, used, archives = 0;

    i->conf_modules = str_dup("");
    while (at < length) {
        int r;

        if (bytes[at] == '\0') {
            i->ends_padded = true;
            at++;
            continue;
        }
        r = read_archive(&rd, bytes + at, length - at,
                         length - at > 6 && memcmp(bytes + at, "07070", 5) == 0, &used);
        if (r < 0)
            return error_set(err, EBADMSG,
                             "the initramfs of kernel %s is damaged or of an unknown kind at byte "
                             "%zu; rebuild it in the source (update-initramfs -u -k %s)",
                             version, at, version);
        i->ends_padded = false;
        at += used;
        archives++;
    }
    if (archives == 0)
        return error_set(err, EBADMSG, "the initramfs of kernel %s is empty", version);
    if (!i->modules_directory)
        i->modules_directory =
            str_format("%slib/modules/%s", rd.lib_is_link ? "usr/" : "", version);
    *ret = steal_ptr(i);
    return 0;
}

static void names_free(char **names, size_t count)
{
    for (size_t n = 0; n < count; n++)
        free(names[n]);
    free(names);
}

struct initramfs *initramfs_free(struct initramfs *i)
{
    if (!i)
        return NULL;
    names_free(i->modules, i->module_count);
    names_free(i->directories, i->directory_count);
    names_free(i->links, i->link_count * 2);
    free(i->modules_directory);
    free(i->link_directory);
    free(i->conf_modules);
    free(i->conf_resume);
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

static bool has_directory(const struct initramfs *i, const char *name)
{
    for (size_t n = 0; n < i->directory_count; n++)
        if (strcmp(i->directories[n], name) == 0)
            return true;
    return false;
}

void initramfs_add_file(struct initramfs *i, struct cpio_writer *w, const char *name,
                        const void *data, size_t length)
{
    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        _cleanup_free_ char *parent = str_format("%.*s", (int)(slash - name), name);

        if (has_directory(i, parent))
            continue;
        cpio_add_directory(w, parent);
        add_name(&i->directories, &i->directory_count, parent);
    }
    cpio_add_file(w, name, data, length);
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/rebuild.h"

#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/wordlist.h"

#define WHY "the guest's own next rebuild of its initramfs must keep the drivers"

struct setting {
    const struct tree *tree;
    const char *const *names;
    size_t count;
    struct plan *plan;
};

enum initramfs_kind rebuild_kind(const struct tree *tree)
{
    static const struct {
        const char *path;
        enum initramfs_kind kind;
    } marks[] = {
        {"/usr/sbin/update-initramfs", INITRAMFS_TOOLS},
        {"/usr/bin/mkinitcpio", INITRAMFS_MKINITCPIO},
        {"/sbin/mkinitcpio", INITRAMFS_MKINITCPIO},
        {"/sbin/mkinitfs", INITRAMFS_MKINITFS},
        {"/usr/sbin/mkinitfs", INITRAMFS_MKINITFS},
        {"/usr/bin/dracut", INITRAMFS_DRACUT},
        {"/usr/sbin/dracut", INITRAMFS_DRACUT},
        {"/sbin/dracut", INITRAMFS_DRACUT_OLD},
        {"/lib/mkinitrd", INITRAMFS_SUSE}, /* its scripts; Red Hat has the other two as well */
        {"/etc/modprobe.conf", INITRAMFS_NASH},
    };

    for (size_t n = 0; n < ARRAY_SIZE(marks); n++)
        if (tree_exists(tree, marks[n].path))
            return marks[n].kind;
    return INITRAMFS_UNKNOWN;
}

static void write_file(const struct setting *s, const char *path, struct buffer *text,
                       const char *names)
{
    size_t length = text->length;

    plan_edit(s->plan, EDIT_WRITE, "initramfs", path, buffer_steal(text), length,
              str_format("names %s", names), str_dup(WHY));
}

/* A list of words in a file; the block says who wrote it. */
static int set_initramfs_tools(const struct setting *s, struct error **err)
{
    static const char path[] = "/etc/initramfs-tools/modules";
    _cleanup_buffer_ struct buffer out = {0}, lines = {0}, names = {0};
    _cleanup_free_ char *text = NULL;
    int r = plan_text(s->plan, s->tree, path, &text, err);

    if (r < 0)
        return r;
    for (size_t n = 0; n < s->count; n++) {
        if (text && wordlist_has_line(text, s->names[n]))
            continue;
        buffer_printf(&lines, "%s\n", s->names[n]);
        buffer_printf(&names, "%s%s", names.length ? " " : "", s->names[n]);
    }
    if (names.length == 0)
        return 0;
    buffer_add_text(&out, text ? text : "");
    if (out.length > 0 && out.data[out.length - 1] != '\n')
        buffer_add_text(&out, "\n");
    buffer_printf(&out,
                  "# begin slipway-morph: drivers of the virtio platform\n%s"
                  "# end slipway-morph\n",
                  lines.data);
    write_file(s, path, &out, names.data);
    return 0;
}

static int set_dracut(const struct setting *s, struct error **err)
{
    static const char path[] = "/etc/dracut.conf.d/10-slipway.conf";
    _cleanup_buffer_ struct buffer out = {0}, names = {0};
    _cleanup_free_ char *text = NULL;
    int r = plan_text(s->plan, s->tree, path, &text, err);

    if (r < 0)
        return r;
    for (size_t n = 0; n < s->count; n++)
        buffer_printf(&names, "%s%s", n ? " " : "", s->names[n]);
    buffer_printf(&out,
                  "# written by slipway-morph: drivers of the virtio platform\n"
                  "add_drivers+=\" %s \"\n",
                  names.data);
    if (!text || strcmp(text, out.data) != 0)
        write_file(s, path, &out, names.data);
    return 0;
}

/* A list of words in a shell file.  A file without that list gets it at its end, between `before`
 * and `after` (NULL: it stays). */
static int set_list(const struct setting *s, const char *path, const char *key,
                    const char *const *words, size_t count, const char *before, const char *after,
                    struct error **err)
{
    _cleanup_buffer_ struct buffer out = {0}, added = {0};
    _cleanup_free_ char *text = NULL;
    int r = plan_text(s->plan, s->tree, path, &text, err);

    if (r <= 0)
        return r;
    r = wordlist_add(text, key, words, count, &out, &added);
    if (r == -EINVAL)
        plan_warn(s->plan, "initramfs",
                  "%s in %s is no plain list: add virtio_pci and virtio_blk to it by hand", key,
                  path);
    if (r == -ENOENT && before) {
        for (size_t n = 0; n < count; n++)
            buffer_printf(&added, "%s%s", n ? " " : "", words[n]);
        if (out.length > 0 && out.data[out.length - 1] != '\n')
            buffer_add_text(&out, "\n");
        buffer_printf(&out, "%s%s%s\n", before, added.data, after);
    }
    if (added.length > 0)
        write_file(s, path, &out, added.data);
    return 0;
}

static int set_mkinitfs(const struct setting *s, struct error **err)
{
    static const char *const features[] = {"virtio", "scsi"};

    return set_list(s, "/etc/mkinitfs/mkinitfs.conf", "features", features, ARRAY_SIZE(features),
                    NULL, NULL, err);
}

/* "alias scsi_hostadapterN MODULE": mkinitrd takes in all of them. */
static int set_modprobe_conf(const struct setting *s, struct error **err)
{
    static const char path[] = "/etc/modprobe.conf", key[] = "alias scsi_hostadapter";
    _cleanup_buffer_ struct buffer out = {0}, names = {0};
    _cleanup_free_ char *text = NULL;
    int r = plan_text(s->plan, s->tree, path, &text, err);
    unsigned used = 0;

    if (r < 0)
        return r;
    buffer_add_text(&out, text ? text : "");
    if (out.length > 0 && out.data[out.length - 1] != '\n')
        buffer_add_text(&out, "\n");
    for (const char *at = text; at && (at = strstr(at, key)); at += strlen(key))
        used++;
    for (size_t n = 0; n < s->count; n++) {
        _cleanup_free_ char *end = str_format(" %s\n", s->names[n]);
        char number[16] = "";

        /* A network card has an alias of its own; sd_mod comes with each adapter. */
        if (strcmp(s->names[n], "virtio_net") == 0 || strcmp(s->names[n], "sd_mod") == 0 ||
            (out.data && strstr(out.data, end)))
            continue;
        if (used > 0)
            snprintf(number, sizeof(number), "%u", used);
        buffer_printf(&out, "%s%s%s", key, number, end);
        buffer_printf(&names, "%s%s", names.length ? " " : "", s->names[n]);
        used++;
    }
    if (names.length > 0)
        write_file(s, path, &out, names.data);
    return 0;
}

int rebuild_configure(const struct tree *tree, enum initramfs_kind kind, const char *const *names,
                      size_t count, struct plan *plan, struct error **err)
{
    const struct setting s = {.tree = tree, .names = names, .count = count, .plan = plan};

    switch (kind) {
    case INITRAMFS_TOOLS:
        return set_initramfs_tools(&s, err);
    case INITRAMFS_DRACUT:
    case INITRAMFS_DRACUT_OLD:
        return set_dracut(&s, err);
    case INITRAMFS_MKINITCPIO:
        return set_list(&s, "/etc/mkinitcpio.conf", "MODULES", names, count, "MODULES=(", ")", err);
    case INITRAMFS_MKINITFS:
        return set_mkinitfs(&s, err);
    case INITRAMFS_SUSE:
        return set_list(&s, "/etc/sysconfig/kernel", "INITRD_MODULES", names, count,
                        "INITRD_MODULES=\"", "\"", err);
    case INITRAMFS_NASH:
        return set_modprobe_conf(&s, err);
    case INITRAMFS_UNKNOWN:
        break;
    }
    return 0;
}

/* The first of these that the guest has, or NULL. */
static const char *program(const struct tree *tree, const char *const *paths, size_t count)
{
    for (size_t n = 0; n < count; n++)
        if (tree_exists(tree, paths[n]))
            return paths[n];
    return NULL;
}

static void add_words(struct buffer *words, const char *const *list, size_t count)
{
    for (size_t n = 0; n < count; n++)
        buffer_add(words, list[n], strlen(list[n]) + 1);
}

#define PROGRAM(tree, ...)                                                                         \
    program(tree, (const char *const[]){__VA_ARGS__},                                              \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
#define WORDS(...)                                                                                 \
    add_words(words, (const char *const[]){__VA_ARGS__},                                           \
              sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

int rebuild_command(const struct tree *tree, const char *version, const char *image,
                    const char *path, struct buffer *words)
{
    const char *name;

    switch (rebuild_kind(tree)) {
    case INITRAMFS_TOOLS:
        name = PROGRAM(tree, "/usr/sbin/update-initramfs");
        if (name)
            WORDS(name, "-u", "-k", version);
        break;
    case INITRAMFS_DRACUT:
    case INITRAMFS_DRACUT_OLD:
        name = PROGRAM(tree, "/usr/bin/dracut", "/usr/sbin/dracut", "/sbin/dracut");
        if (name)
            WORDS(name, "-f", path, version);
        break;
    case INITRAMFS_MKINITCPIO:
        name = PROGRAM(tree, "/usr/bin/mkinitcpio", "/sbin/mkinitcpio");
        if (name)
            WORDS(name, "-k", version, "-g", path);
        break;
    case INITRAMFS_MKINITFS:
        name = PROGRAM(tree, "/sbin/mkinitfs", "/usr/sbin/mkinitfs");
        if (name)
            WORDS(name, "-o", path, version);
        break;
    case INITRAMFS_SUSE:
        name = PROGRAM(tree, "/sbin/mkinitrd");
        if (name)
            WORDS(name, "-k", image, "-i", path);
        break;
    case INITRAMFS_NASH:
        name = PROGRAM(tree, "/sbin/mkinitrd");
        if (name)
            WORDS(name, "-f", "--with=virtio_pci", "--with=virtio_blk", path, version);
        break;
    default:
        return -ENOENT;
    }
    return name ? 0 : -ENOENT;
}

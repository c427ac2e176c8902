/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/loadlist.h"

#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/wordlist.h"

struct list {
    struct initramfs *i;
    const char *const *names;
    size_t count;
    struct cpio_writer *w;
};

static void put(const struct list *l, const char *name, const struct buffer *text)
{
    initramfs_add_file(l->i, l->w, name, text->data, text->length);
}

/* A file with a name on each line, after what it holds already. */
static int add_lines(const struct list *l, const char *file)
{
    _cleanup_buffer_ struct buffer out = {0};
    const char *old = initramfs_text(l->i, file);

    buffer_add_text(&out, old ? old : "");
    if (out.length > 0 && out.data[out.length - 1] != '\n')
        buffer_add_text(&out, "\n");
    for (size_t n = 0; n < l->count; n++)
        if (!old || !wordlist_has_line(old, l->names[n]))
            buffer_printf(&out, "%s\n", l->names[n]);
    put(l, file, &out);
    return 0;
}

static void add_names(const struct list *l, const char *separator, struct buffer *out)
{
    for (size_t n = 0; n < l->count; n++)
        buffer_printf(out, "%s%s", n ? separator : "", l->names[n]);
}

static int add_dracut(const struct list *l)
{
    _cleanup_buffer_ struct buffer out = {0};

    buffer_add_text(&out, "rd.driver.pre=");
    add_names(l, ",", &out);
    buffer_add_text(&out, "\n");
    put(l, "etc/cmdline.d/90-slipway.conf", &out);
    return 0;
}

static int add_dracut_old(const struct list *l)
{
    _cleanup_buffer_ struct buffer out = {0};

    for (size_t n = 0; n < l->count; n++)
        buffer_printf(&out, "modprobe %s 2>/dev/null\n", l->names[n]);
    initramfs_add_program(l->i, l->w, "pre-udev/90-slipway.sh", out.data, out.length);
    return 0;
}

static int add_mkinitcpio(const struct list *l)
{
    _cleanup_buffer_ struct buffer out = {0};
    const char *config = initramfs_text(l->i, "config");

    if (initramfs_has_directory(l->i, "etc/modules-load.d"))
        add_lines(l, "etc/modules-load.d/slipway.conf");
    buffer_add_text(&out, config ? config : "");
    if (out.length > 0 && out.data[out.length - 1] != '\n')
        buffer_add_text(&out, "\n");
    buffer_add_text(&out, "MODULES=\"$MODULES ");
    add_names(l, " ", &out);
    buffer_add_text(&out, "\"\n");
    put(l, "config", &out);
    return 0;
}

/* Puts the names in front of those in  RESOLVED_INITRD_MODULES='…'.  How often. */
static size_t change_resolved(const struct list *l, const char *file)
{
    static const char key[] = "RESOLVED_INITRD_MODULES='";
    _cleanup_buffer_ struct buffer out = {0};
    const char *text = initramfs_text(l->i, file), *at;
    size_t found = 0;

    for (; text && (at = strstr(text, key)); text = at, found++) {
        at += strlen(key);
        buffer_add(&out, text, (size_t)(at - text));
        add_names(l, " ", &out);
        buffer_add_text(&out, " ");
    }
    if (found == 0)
        return 0;
    buffer_add_text(&out, text);
    initramfs_add_program(l->i, l->w, file, out.data, out.length);
    return found;
}

static int add_suse(const struct list *l)
{
    if (change_resolved(l, "run_all.sh") == 0)
        return -ENOTSUP;
    change_resolved(l, "config/start.sh");
    return 0;
}

static bool is_command(const char *line, const char *word)
{
    size_t n = strlen(word);

    line += strspn(line, " \t");
    return strncmp(line, word, n) == 0 && strchr(" \t\r\n", line[n]);
}

/* What looks for the root disk, or for parts of it: the drivers must be there by then. */
static bool needs_disks(const char *line)
{
    static const char *const words[] = {"mkrootdev", "lvm",     "resume",      "dm",
                                        "mkdmnod",   "rmparts", "raidautorun", "stabilized"};

    for (size_t n = 0; n < ARRAY_SIZE(words); n++)
        if (is_command(line, words[n]))
            return true;
    return false;
}

/* The end of the line behind which insmod lines fit: the last insmod or mkblkdevs before the disks
 * are needed.  NULL when there is none. */
static const char *nash_place(const char *text)
{
    const char *place = NULL;

    while (*text) {
        const char *next = text + strcspn(text, "\n");

        next += *next == '\n';
        if (place && needs_disks(text))
            break;
        if (is_command(text, "insmod") || is_command(text, "mkblkdevs"))
            place = next;
        text = next;
    }
    return place;
}

static int add_nash(const struct list *l)
{
    _cleanup_buffer_ struct buffer out = {0};
    const char *init = initramfs_text(l->i, "init");
    const char *place = init ? nash_place(init) : NULL;

    if (!place)
        return -ENOTSUP;
    buffer_add(&out, init, (size_t)(place - init));
    for (size_t n = 0; n < l->count; n++)
        buffer_printf(&out, "echo \"Loading %s.ko module\"\ninsmod /lib/%s.ko \n", l->names[n],
                      l->names[n]);
    buffer_add_text(&out, "mkblkdevs\n");
    buffer_add_text(&out, place);
    initramfs_add_program(l->i, l->w, "init", out.data, out.length);
    return 0;
}

int loadlist_add(struct initramfs *i, const char *const *names, size_t count, struct cpio_writer *w)
{
    const struct list l = {.i = i, .names = names, .count = count, .w = w};

    switch (i->kind) {
    case INITRAMFS_TOOLS:
        return add_lines(&l, "conf/modules");
    case INITRAMFS_DRACUT:
        return add_dracut(&l);
    case INITRAMFS_DRACUT_OLD:
        return add_dracut_old(&l);
    case INITRAMFS_MKINITCPIO:
        return add_mkinitcpio(&l);
    case INITRAMFS_MKINITFS:
        return add_lines(&l, "etc/modules");
    case INITRAMFS_SUSE:
        return add_suse(&l);
    case INITRAMFS_NASH:
        return add_nash(&l);
    case INITRAMFS_UNKNOWN:
        break;
    }
    return -ENOTSUP;
}

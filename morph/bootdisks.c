/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole disk has no name that moves with its content, so where there must be one it is virtio's,
 * by the order of the disks.
 */
#include "morph/bootdisks.h"

#include <string.h>

#include "base/str.h"
#include "morph/bootmenu.h"
#include "morph/buffer.h"
#include "morph/fstab.h"

/* What the disk is called on virtio: GRUB legacy has no other way to be told. */
static char *virtio_name(const struct volume_list *volumes, const char *device)
{
    struct source_name name;

    if (!source_name_parse(device, &name))
        return NULL;
    if (name.disk < 0 && volumes->disks == 1)
        name.disk = 0;
    if (name.disk < 0 || name.disk > 25 || str_starts(device, "/dev/vd"))
        return NULL;
    return name.partition ? str_format("/dev/vd%c%d", 'a' + name.disk, name.partition)
                          : str_format("/dev/vd%c", 'a' + name.disk);
}

/*
 * GRUB 2: a line that names a source disk becomes a comment, as grub-install stops at a disk that
 * does not exist, and finds the disks by itself where the map says nothing.  GRUB legacy needs the
 * map and gets the new names.
 */
static int rewrite_device_map(struct facts *facts, struct plan *plan, const char *path, bool legacy,
                              struct error **err)
{
    _cleanup_buffer_ struct buffer out = {0}, what = {0};
    _cleanup_free_ char *text = NULL;
    struct fstab_line line;
    const char *cursor;
    size_t length;
    int r = plan_text(plan, &facts->tree, path, &text, err);

    if (r <= 0)
        return r;
    cursor = text;
    while (fstab_next(&cursor, &line)) {
        _cleanup_free_ char *device = fstab_field(&line, 1);
        _cleanup_free_ char *value = legacy ? virtio_name(&facts->volumes, device) : NULL;
        struct source_name name;

        if (value)
            buffer_printf(&what, "%s%s is now %s", what.length ? ", " : "", device, value);
        else if (!legacy && source_name_parse(device, &name)) {
            buffer_add_text(&out, "# ");
            buffer_printf(&what, "%s%s is commented out", what.length ? ", " : "", device);
        }
        fstab_copy(&out, &line, 1, value, cursor);
    }
    if (what.length == 0)
        return 0;
    length = out.length;
    plan_edit(plan, EDIT_WRITE, "bootconfig", path, buffer_steal(&out), length, buffer_steal(&what),
              str_dup(legacy ? "GRUB's shell finds its disks by this list only"
                             : "grub-install stops at a disk that does not exist and finds disks "
                               "by itself when the map is silent"));
    return 0;
}

/* SUSE installs GRUB 2 again at updates, on the devices that this file lists, one a line. */
static int rewrite_install_device(struct facts *facts, struct plan *plan, struct error **err)
{
    static const char path[] = "/etc/default/grub_installdevice";
    _cleanup_buffer_ struct buffer out = {0}, what = {0};
    _cleanup_free_ char *text = NULL;
    struct fstab_line line;
    const char *cursor, *why;
    size_t length;
    int r = plan_text(plan, &facts->tree, path, &text, err);

    if (r <= 0)
        return r;
    cursor = text;
    while (fstab_next(&cursor, &line)) {
        _cleanup_free_ char *device = fstab_field(&line, 0);
        _cleanup_free_ char *value = NULL;
        struct source_name name;

        if (source_name_parse(device, &name))
            value = name.partition
                        ? volume_lasting_name(&facts->volumes, device, NULL, VOLUME_PATH, &why)
                        : virtio_name(&facts->volumes, device);
        if (value)
            buffer_printf(&what, "%s%s is now %s", what.length ? ", " : "", device, value);
        fstab_copy(&out, &line, 0, value, cursor);
    }
    if (what.length == 0)
        return 0;
    length = out.length;
    plan_edit(plan, EDIT_WRITE, "bootconfig", path, buffer_steal(&out), length, buffer_steal(&what),
              str_dup("an update of the boot loader installs it on the devices listed here"));
    return 0;
}

/* "/dev/sda, /dev/sdb" with virtio's names, owned; NULL when nothing is to be changed. */
static char *virtio_names(const struct volume_list *volumes, const char *list, size_t length)
{
    _cleanup_buffer_ struct buffer out = {0};
    bool changed = false;

    for (size_t at = 0; at < length;) {
        size_t n = 0;

        while (at + n < length && !strchr(", ", list[at + n]))
            n++;
        _cleanup_free_ char *device = str_format("%.*s", (int)n, list + at);
        _cleanup_free_ char *value = virtio_name(volumes, device);

        buffer_add_text(&out, value ? value : device);
        changed |= value != NULL;
        at += n;
        while (at < length && strchr(", ", list[at]))
            buffer_add(&out, list + at++, 1);
    }
    return changed ? buffer_steal(&out) : NULL;
}

/*
 * Debian and Ubuntu: an update of grub-pc stops when the disk that was chosen at installation is
 * not there.  The answers are stanzas of "Name: ..." and "Value: ..." lines.
 */
static int rewrite_debconf(struct facts *facts, struct plan *plan, struct error **err)
{
    static const char path[] = "/var/cache/debconf/config.dat";
    _cleanup_buffer_ struct buffer out = {0}, what = {0};
    _cleanup_free_ char *text = NULL;
    struct menuline line;
    const char *cursor;
    bool here = false;
    size_t length;
    int r = tree_exists(&facts->tree, path) ? plan_text(plan, &facts->tree, path, &text, NULL) : 0;

    if (r <= 0)
        return 0; /* not needed to boot, so never a reason to refuse */
    for (cursor = text; menuline_next(&cursor, &line);) {
        const char *value = menuline_after(&line, "Value:", &length);
        _cleanup_free_ char *changed =
            here && value ? virtio_names(&facts->volumes, value, length) : NULL;

        if (line.length == 0)
            here = false;
        else if (line.length == strlen("Name: grub-pc/install_devices") &&
                 str_starts(line.text, "Name: grub-pc/install_devices"))
            here = true;
        if (changed) {
            buffer_add(&out, line.raw, (size_t)(value - line.raw));
            buffer_add_text(&out, changed);
            buffer_add(&out, value + length, (size_t)(cursor - value - length));
            buffer_printf(&what, "GRUB is installed on %s at updates", changed);
        } else {
            buffer_add(&out, line.raw, (size_t)(cursor - line.raw));
        }
    }
    if (what.length == 0)
        return 0;
    length = out.length;
    plan_edit(plan, EDIT_WRITE, "bootconfig", path, buffer_steal(&out), length, buffer_steal(&what),
              str_dup("an update of grub-pc stops at a disk that does not exist"));
    return 0;
}

int bootdisks_rewrite(struct facts *facts, struct plan *plan, struct error **err)
{
    bool legacy = tree_exists(&facts->tree, "/boot/grub/menu.lst") ||
                  tree_exists(&facts->tree, "/boot/grub/grub.conf");
    int r = rewrite_device_map(facts, plan, "/boot/grub/device.map", legacy, err);

    if (r >= 0)
        r = rewrite_device_map(facts, plan, "/boot/grub2/device.map", false, err);
    if (r >= 0)
        r = rewrite_install_device(facts, plan, err);
    return r < 0 ? r : rewrite_debconf(facts, plan, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LVM and MD find their disks by content, unless they were told which disks to look at:
 *
 *   /etc/lvm/devices/system.devices   (RHEL 9 makes it) lists the disks by their serial numbers or
 *       names.  A disk that is not in it does not exist for LVM.  Without the file all disks count;
 *       "vgimportdevices -a" makes it anew on the destination.
 *   filter and global_filter in lvm.conf
 *   DEVICE in mdadm.conf
 */
#include <string.h>
#include <strings.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/aside.h"
#include "morph/bootmenu.h"
#include "morph/change.h"
#include "morph/lvmconf.h"

#define DEVICES "/etc/lvm/devices"
#define CHANGE "lvm"

/* Every devices file: lvm.conf may name another than system.devices. */
static int move_devices(struct facts *facts, struct plan *plan, struct error **err)
{
    _cleanup_names_ char **names = NULL;
    int r = tree_list(&facts->tree, DEVICES, &names, err);

    for (char **n = names; r >= 0 && *n; n++) {
        _cleanup_free_ char *path = str_format(DEVICES "/%s", *n), *text = NULL;
        const char *dot = strrchr(*n, '.');

        if (!dot || strcmp(dot, ".devices") != 0 || tree_kind(&facts->tree, path) != TREE_FILE)
            continue;
        r = plan_text(plan, &facts->tree, path, &text, err);
        if (r > 0 && strstr(text, "IDTYPE="))
            r = aside_move(facts, plan, CHANGE, path,
                           str_dup("moved aside: without it LVM looks at all disks"),
                           "it lists the disks of the source by their serial numbers and names, "
                           "and LVM sees no other disk (vgimportdevices -a makes it anew)",
                           err);
    }
    return r;
}

static int change_filters(struct facts *facts, struct plan *plan, const char *path,
                          struct error **err)
{
    _cleanup_buffer_ struct buffer out = {0}, what = {0};
    _cleanup_free_ char *text = NULL;
    size_t length;
    int r = plan_text(plan, &facts->tree, path, &text, err);

    if (r <= 0 || lvmconf_admit(text, &out, &what) == 0)
        return r;
    length = out.length;
    plan_edit(plan, EDIT_WRITE, CHANGE, path, buffer_steal(&out), length,
              str_format("%s accepts virtio's disks, too", what.data),
              str_dup("the filter accepts the source's disks by name, and LVM sees no other disk"));
    return 0;
}

/* Does a DEVICE line name disks of the source, and nothing that finds others? */
static bool names_source(const struct menuline *line)
{
    static const char *const words[] = {"/dev/sd", "/dev/hd", "/dev/xvd", "/dev/nvme", "by-"};
    size_t length;
    const char *rest = menuline_after(line, "DEVICE", &length);

    if (!rest || menuline_has(rest, length, "partitions") || menuline_has(rest, length, "/dev/vd"))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (menuline_has(rest, length, words[i]))
            return true;
    return false;
}

static int change_mdadm(struct facts *facts, struct plan *plan, const char *path,
                        struct error **err)
{
    _cleanup_buffer_ struct buffer out = {0};
    _cleanup_free_ char *text = NULL;
    struct menuline line;
    const char *cursor;
    size_t length, count = 0;
    int r = plan_text(plan, &facts->tree, path, &text, err);

    if (r <= 0)
        return r;
    for (cursor = text; menuline_next(&cursor, &line);) {
        if (names_source(&line)) {
            buffer_printf(&out, "DEVICE partitions\n# was: %.*s\n", (int)line.length, line.text);
            count++;
        } else {
            if (menuline_after(&line, "ARRAY", &length) &&
                menuline_has(line.text, line.length, "devices=/dev/"))
                plan_warn(plan, CHANGE, "%s names the disks of an array (devices=): '%.*s'", path,
                          (int)MIN(line.length, (size_t)120), line.text);
            buffer_add(&out, line.raw, (size_t)(cursor - line.raw));
        }
    }
    if (count == 0)
        return 0;
    length = out.length;
    plan_edit(plan, EDIT_WRITE, CHANGE, path, buffer_steal(&out), length,
              str_dup("arrays are looked for on all partitions"),
              str_dup("the disks named there do not exist on virtio"));
    return 0;
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    static const char *const lvm[] = {"/etc/lvm/lvm.conf", "/etc/lvm/lvmlocal.conf"};
    static const char *const md[] = {"/etc/mdadm.conf", "/etc/mdadm/mdadm.conf"};
    int r = move_devices(facts, plan, err);

    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(lvm); i++)
        r = change_filters(facts, plan, lvm[i], err);
    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(md); i++)
        r = change_mdadm(facts, plan, md[i], err);
    return r < 0 ? r : 0;
}

static const char *describe(void)
{
    return "LVM and MD look at the destination's disks";
}

const struct change_ops change_linux_lvm = {
    .name = CHANGE,
    .applies = facts_is_linux,
    .apply = apply,
    .describe = describe,
};

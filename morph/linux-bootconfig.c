/* SPDX-License-Identifier: Apache-2.0 */
/* GRUB's files: root= and resume= by UUID; device.map without disks that no longer exist. */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/bootline.h"
#include "morph/change.h"
#include "morph/fstab.h"

#define DEVICE_MAP "/boot/grub/device.map"

struct rewrite {
    struct plan *plan;
    const struct facts *facts;
    const char *path;
    struct buffer what;
};

static char *replace_device(void *context, const char *device)
{
    struct rewrite *rw = context;
    const struct volume *volume;
    struct source_name name;
    const char *why;

    if (!source_name_parse(device, &name))
        return NULL;
    volume = volume_of_source_name(&rw->facts->volumes, device, NULL, &why);
    if (!volume) {
        plan_warn(rw->plan, "bootconfig", "%s keeps '%s': %s", rw->path, device, why);
        return NULL;
    }
    if (!rw->what.data || !strstr(rw->what.data, device))
        buffer_printf(&rw->what, "%s%s is now UUID=%s", rw->what.length ? ", " : "", device,
                      volume->uuid);
    return str_format("UUID=%s", volume->uuid);
}

static int rewrite_file(struct facts *facts, struct plan *plan, const char *path,
                        struct error **err)
{
    struct rewrite rw = {.plan = plan, .facts = facts, .path = path};
    _cleanup_buffer_ struct buffer out = {0};
    _cleanup_free_ char *text = NULL;
    size_t length;
    int r = tree_text(&facts->tree, path, &text, err);

    if (r > 0 && bootline_rewrite(text, &out, replace_device, &rw) > 0) {
        length = out.length;
        plan_edit(plan, EDIT_WRITE, "bootconfig", path, buffer_steal(&out), length,
                  buffer_steal(&rw.what),
                  str_dup("the kernel must find its root by what is on the disk, not by the name "
                          "the source's controller gave it"));
    }
    buffer_done(&rw.what);
    return r < 0 ? r : 0;
}

/* A device.map line that names a source disk becomes a comment: grub-install stops at a disk that
 * does not exist, and finds the disks by itself where the map says nothing. */
static int rewrite_device_map(struct facts *facts, struct plan *plan, struct error **err)
{
    _cleanup_buffer_ struct buffer out = {0};
    _cleanup_free_ char *text = NULL;
    struct fstab_line line;
    const char *cursor;
    size_t count = 0, length;
    int r = tree_text(&facts->tree, DEVICE_MAP, &text, err);

    if (r <= 0)
        return r;
    cursor = text;
    while (fstab_next(&cursor, &line)) {
        _cleanup_free_ char *device = fstab_field(&line, 1);
        struct source_name name;

        if (source_name_parse(device, &name)) {
            buffer_add_text(&out, "# ");
            count++;
        }
        fstab_copy(&out, &line, 0, NULL, cursor);
    }
    if (count == 0)
        return 0;
    length = out.length;
    plan_edit(plan, EDIT_WRITE, "bootconfig", DEVICE_MAP, buffer_steal(&out), length,
              str_format("%zu disk%s of the source commented out", count, count == 1 ? "" : "s"),
              str_dup("grub-install stops at a disk that does not exist and finds disks by itself "
                      "when the map is silent"));
    return 0;
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    static const char *const files[] = {"/boot/grub/grub.cfg", "/boot/grub/custom.cfg",
                                        "/etc/default/grub", "/etc/grub.d/40_custom"};
    _cleanup_names_ char **names = NULL;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(files); i++)
        r = rewrite_file(facts, plan, files[i], err);
    if (r >= 0)
        r = tree_list(&facts->tree, "/etc/default/grub.d", &names, err);
    for (char **n = names; r >= 0 && n && *n; n++) {
        _cleanup_free_ char *path = str_format("/etc/default/grub.d/%s", *n);

        r = rewrite_file(facts, plan, path, err);
    }
    return r < 0 ? r : rewrite_device_map(facts, plan, err);
}

static const char *describe(void)
{
    return "GRUB's configuration names root and resume by UUID";
}

const struct change_ops change_linux_bootconfig = {
    .name = "bootconfig",
    .applies = facts_is_linux,
    .apply = apply,
    .describe = describe,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* /etc/fstab, /etc/crypttab and the resume device: source device names become UUIDs. */
#include <string.h>

#include "base/str.h"
#include "morph/change.h"
#include "morph/fstab.h"

#define RESUME_DIRECTORY "/etc/initramfs-tools/conf.d"

static const char why_names[] =
    "device names of the source's hardware do not exist on virtio; a UUID moves with the data";

/* "UUID=…" for a source name, NULL (with a warning) when it must stay. */
static char *uuid_spec(struct plan *plan, const struct facts *facts, const char *path,
                       const char *device, const char *type)
{
    const struct volume *volume;
    struct source_name name;
    const char *why;

    if (!source_name_parse(device, &name))
        return NULL;
    volume = volume_of_source_name(&facts->volumes, device, type, &why);
    if (!volume) {
        plan_warn(plan, "fstab", "%s keeps '%s': %s", path, device, why);
        return NULL;
    }
    return str_format("UUID=%s", volume->uuid);
}

/* Rewrites field `field` of each line; type_field < 0: the line does not tell a type. */
static int rewrite_table(struct facts *facts, struct plan *plan, const char *path, size_t field,
                         int type_field, struct error **err)
{
    _cleanup_buffer_ struct buffer out = {0}, what = {0};
    _cleanup_free_ char *text = NULL;
    struct fstab_line line;
    const char *cursor;
    size_t length;
    int r = tree_text(&facts->tree, path, &text, err);

    if (r <= 0)
        return r;
    cursor = text;
    while (fstab_next(&cursor, &line)) {
        _cleanup_free_ char *device = fstab_field(&line, field);
        _cleanup_free_ char *type = fstab_field(&line, type_field < 0 ? field : (size_t)type_field);
        _cleanup_free_ char *value =
            uuid_spec(plan, facts, path, device, type_field < 0 ? NULL : type);

        if (value)
            buffer_printf(&what, "%s%s is now %s", what.length ? ", " : "", device, value);
        fstab_copy(&out, &line, field, value, cursor);
    }
    if (what.length == 0)
        return 0;
    length = out.length;
    plan_edit(plan, EDIT_WRITE, "fstab", path, buffer_steal(&out), length, buffer_steal(&what),
              str_dup(why_names));
    return 0;
}

/* RESUME=/dev/sda5 in one file of initramfs-tools. */
static int rewrite_resume(struct facts *facts, struct plan *plan, const char *path,
                          struct error **err)
{
    _cleanup_free_ char *text = NULL, *device = NULL, *value = NULL;
    const char *at;
    char *changed;
    int r = tree_text(&facts->tree, path, &text, err);

    if (r <= 0)
        return r;
    at = str_starts(text, "RESUME=") ? text : strstr(text, "\nRESUME=");
    if (!at)
        return 0;
    at = strchr(at, '=') + 1;
    device = str_format("%.*s", (int)strcspn(at, " \t\r\n#"), at);
    value = uuid_spec(plan, facts, path, device, "swap");
    if (!value)
        return 0;
    changed = str_format("%.*s%s%s", (int)(at - text), text, value, at + strlen(device));
    plan_edit(plan, EDIT_WRITE, "fstab", path, changed, strlen(changed),
              str_format("RESUME=%s is now RESUME=%s", device, value), str_dup(why_names));
    return 0;
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    _cleanup_names_ char **names = NULL;
    int r = rewrite_table(facts, plan, "/etc/fstab", 0, 2, err);

    if (r >= 0)
        r = rewrite_table(facts, plan, "/etc/crypttab", 1, -1, err);
    if (r >= 0)
        r = tree_list(&facts->tree, RESUME_DIRECTORY, &names, err);
    for (char **n = names; r >= 0 && n && *n; n++) {
        _cleanup_free_ char *path = str_format(RESUME_DIRECTORY "/%s", *n);

        r = rewrite_resume(facts, plan, path, err);
    }
    return r < 0 ? r : 0;
}

static const char *describe(void)
{
    return "fstab, crypttab and the resume device name filesystems by UUID";
}

const struct change_ops change_linux_fstab = {
    .name = "fstab",
    .applies = facts_is_linux,
    .apply = apply,
    .describe = describe,
};

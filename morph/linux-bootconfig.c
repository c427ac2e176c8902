/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices on kernel command lines, in all files that boot loaders read and from which the guest
 * writes those anew.  What is named by UUID, label or logical volume, and GRUB's own names (hd0,0),
 * mean the same on the destination and stay.
 */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/bootdisks.h"
#include "morph/bootfile.h"
#include "morph/change.h"
#include "morph/fstab.h"

static const char why_devices[] =
    "the kernel must find its root by what is on the disk, not by the name the source's controller "
    "gave it";

struct rewrite {
    struct plan *plan;
    const struct facts *facts;
    const char *path;
    const char *fstab; /* or NULL */
    enum volume_form form;
    struct buffer what;
};

/* Field `field` of the fstab line whose mount point is `directory`, or NULL. */
static char *mounted_at(const char *fstab, const char *directory, size_t field)
{
    struct fstab_line line;

    while (fstab && fstab_next(&fstab, &line)) {
        _cleanup_free_ char *point = fstab_field(&line, 1);

        if (strcmp(point, directory) == 0)
            return fstab_field(&line, field);
    }
    return NULL;
}

/* The type that fstab (or the word) says is there. */
static char *type_behind(const struct rewrite *rw, const char *key)
{
    if (strcmp(key, "root") == 0 || strcmp(key, "real_root") == 0)
        return mounted_at(rw->fstab, "/", 2);
    if (strcmp(key, "boot") == 0)
        return mounted_at(rw->fstab, "/boot", 2);
    if (strcmp(key, "mount.usr") == 0)
        return mounted_at(rw->fstab, "/usr", 2);
    if (strcmp(key, "resume") == 0 || strcmp(key, "real_resume") == 0)
        return str_dup("swap");
    if (str_starts(key, "crypt") || strcmp(key, "source") == 0)
        return str_dup("crypto_LUKS");
    return NULL;
}

static char *replace_device(void *context, const char *key, const char *device)
{
    struct rewrite *rw = context;
    _cleanup_free_ char *type = type_behind(rw, key);
    struct source_name name;
    const char *why;
    char *value;

    if (!source_name_parse(device, &name))
        return NULL;
    value = volume_lasting_name(&rw->facts->volumes, device, type, rw->form, &why);
    if (!value && strcmp(key, "root") == 0) { /* fstab names the same filesystem */
        value = mounted_at(rw->fstab, "/", 0);
        if (value && !str_starts(value, "UUID=")) {
            free(value);
            value = NULL;
        }
    }
    if (!value)
        plan_warn(rw->plan, "bootconfig", "%s keeps '%s=%s': %s", rw->path, key, device, why);
    else if (!rw->what.data || !strstr(rw->what.data, device))
        buffer_printf(&rw->what, "%s%s is now %s", rw->what.length ? ", " : "", device, value);
    return value;
}

static int rewrite_file(struct rewrite *rw, const struct bootfile *file, struct error **err)
{
    _cleanup_buffer_ struct buffer out = {0};
    _cleanup_free_ char *text = NULL;
    int r = plan_text(rw->plan, &rw->facts->tree, file->path, &text, err);

    rw->path = file->path;
    if (r > 0 && bootline_rewrite(file->form, text, &out, replace_device, rw) > 0)
        bootfile_write(rw->plan, "bootconfig", file, text, &out, buffer_steal(&rw->what),
                       why_devices);
    buffer_done(&rw->what);
    return r;
}

/* Without any initramfs the kernel itself looks for the root, and it knows no UUIDs of content. */
static bool boots_without_initramfs(const struct facts *facts)
{
    for (size_t i = 0; i < facts->kernel_count; i++)
        if (facts->kernels[i].initramfs[0] || facts->kernels[i].unified)
            return false;
    return facts->kernel_count > 0;
}

static int rewrite_lines(struct facts *facts, struct plan *plan, struct error **err)
{
    struct rewrite rw = {.plan = plan,
                         .facts = facts,
                         .form = boots_without_initramfs(facts) ? VOLUME_PARTITION : VOLUME_SPEC};
    _cleanup_free_ char *fstab = NULL;
    struct bootfile_list files;
    int r = plan_text(plan, &facts->tree, "/etc/fstab", &fstab, err);

    if (r >= 0)
        r = bootfile_list(&facts->tree, &files, err);
    if (r < 0)
        return r;
    rw.fstab = fstab;
    for (size_t i = 0; r >= 0 && i < files.count; i++)
        r = rewrite_file(&rw, &files.items[i], err);
    bootfile_list_done(&files);
    return r;
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    int r = rewrite_lines(facts, plan, err);

    return r < 0 ? r : bootdisks_rewrite(facts, plan, err);
}

static const char *describe(void)
{
    return "kernel command lines name root and resume by UUID";
}

const struct change_ops change_linux_bootconfig = {
    .name = "bootconfig",
    .applies = facts_is_linux,
    .apply = apply,
    .describe = describe,
};

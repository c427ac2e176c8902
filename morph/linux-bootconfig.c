/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices on kernel command lines, in all files that boot loaders read and from which the guest
 * writes those anew; and GRUB's list of disks.  What is named by UUID, label or logical volume, and
 * GRUB's own names (hd0,0), mean the same on the destination and stay.
 */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
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

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    bool legacy = tree_exists(&facts->tree, "/boot/grub/menu.lst") ||
                  tree_exists(&facts->tree, "/boot/grub/grub.conf");
    int r = rewrite_lines(facts, plan, err);

    if (r >= 0)
        r = rewrite_device_map(facts, plan, "/boot/grub/device.map", legacy, err);
    if (r >= 0)
        r = rewrite_device_map(facts, plan, "/boot/grub2/device.map", false, err);
    if (r >= 0)
        r = rewrite_install_device(facts, plan, err);
    return r < 0 ? r : 0;
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

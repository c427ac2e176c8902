/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel that boots by default, when the one that would cannot have virtio drivers and the
 * change "initramfs" chose another (facts.wanted_kernel): the default of every boot loader that the
 * guest has, and of the file from which its own tools make that.
 */
#include <string.h>

#include "base/str.h"
#include "morph/bootfile.h"
#include "morph/bootmenu.h"
#include "morph/change.h"
#include "morph/grubenv.h"

struct choice {
    struct facts *facts;
    struct plan *plan;
    struct bootfile_list files;
    struct bootmenu_kernel kernel;
    char *entry; /* GRUB 2's name of it, once one was found */
    bool saved;  /* GRUB takes it from the environment block */
    bool done;   /* some boot loader has it as its default now */
};

static int text_of(const struct choice *c, const char *path, char **ret_text, struct error **err)
{
    return plan_text(c->plan, &c->facts->tree, path, ret_text, err);
}

/* Plans out as the new text; takes out's bytes. */
static void write_text(struct choice *c, const struct bootfile *file, const char *old,
                       struct buffer *out, const char *entry)
{
    bootfile_write(c->plan, "bootdefault", file, old, out,
                   str_format("the default is '%s', kernel %s", entry, c->kernel.version),
                   "the kernel that would boot has no drivers for the destination's disks");
}

/* What GRUB calls an entry of the Boot Loader Specification: its file without ".conf". */
static char *entry_name(const char *path)
{
    const char *base = strrchr(path, '/') + 1;

    return str_format("%.*s", (int)(strlen(base) - strlen(".conf")), base);
}

/* systemd-boot: `default` in loader.conf beside the folder of entries. */
static int set_loader(struct choice *c, const struct bootfile *entry, struct error **err)
{
    size_t folder = (size_t)(strrchr(entry->path, '/') - entry->path) - strlen("/entries");
    _cleanup_free_ char *path = str_format("%.*s/loader.conf", (int)folder, entry->path);
    _cleanup_free_ char *add = str_format("default %s", strrchr(entry->path, '/') + 1);
    struct bootfile file = {.path = path, .form = BOOTLINE_ENTRY, .live = true};
    _cleanup_buffer_ struct buffer out = {0};
    _cleanup_free_ char *text = NULL;
    int r = text_of(c, path, &text, err);

    if (r <= 0)
        return r; /* these entries are GRUB's */
    c->done = true;
    if (bootmenu_setting(text, "default", strrchr(add, ' ') + 1, add, &out) > 0)
        write_text(c, &file, text, &out, strrchr(add, ' ') + 1);
    return 0;
}

/* The entry with the kernel: for GRUB by its name, for systemd-boot at once. */
static int look_at_entry(struct choice *c, const struct bootfile *file, struct error **err)
{
    _cleanup_free_ char *text = NULL;
    int r = text_of(c, file->path, &text, err);

    if (r <= 0 || menuline_has(file->path, strlen(file->path), "rescue") ||
        !bootmenu_entry_is(text, &c->kernel))
        return r < 0 ? r : 0;
    if (!c->entry)
        c->entry = entry_name(file->path);
    return set_loader(c, file, err);
}

static int look_at_grub(struct choice *c, const struct bootfile *file, struct error **err)
{
    _cleanup_free_ char *text = NULL, *entry = NULL;
    int r = text_of(c, file->path, &text, err);

    if (r <= 0)
        return r;
    c->saved |= bootmenu_grub_saves(text);
    entry = bootmenu_grub_find(text, &c->kernel);
    if (entry && !menuline_has(text, strlen(text), "blscfg")) {
        free(c->entry);
        c->entry = steal_ptr(entry);
    }
    return 0;
}

/* saved_entry, when there is an environment block to hold it. */
static int set_environment(struct choice *c, bool *set, struct error **err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < c->files.count; i++) {
        const struct bootfile *file = &c->files.items[i];
        _cleanup_free_ char *text = NULL, *old = NULL;
        _cleanup_buffer_ struct buffer out = {0};

        if (file->form != BOOTLINE_ENV)
            continue;
        r = text_of(c, file->path, &text, err);
        if (r <= 0 || !grubenv_is_valid(text))
            continue;
        old = grubenv_get(text, "saved_entry");
        *set = true;
        if (old && strcmp(old, c->entry) == 0)
            continue;
        if (grubenv_set(text, "saved_entry", c->entry, &out))
            write_text(c, file, text, &out, c->entry);
        else
            *set = false;
    }
    return r;
}

static int set_grub_file(struct choice *c, const struct bootfile *file, struct error **err)
{
    _cleanup_buffer_ struct buffer out = {0};
    _cleanup_free_ char *text = NULL;
    int r = text_of(c, file->path, &text, err);

    if (r > 0 && file->live && bootmenu_grub_set(text, c->entry, &out) > 0)
        write_text(c, file, text, &out, c->entry);
    return r;
}

/* GRUB_DEFAULT=saved stays: the environment block says it. */
static int set_defaults(struct choice *c, struct error **err)
{
    struct bootfile file = {.path = (char *)"/etc/default/grub", .form = BOOTLINE_SHELL};
    _cleanup_free_ char *value = str_format("\"%s\"", c->entry), *text = NULL;
    _cleanup_free_ char *add = str_format("GRUB_DEFAULT=%s", value);
    _cleanup_buffer_ struct buffer out = {0};
    int r = text_of(c, file.path, &text, err);

    if (r > 0 && bootmenu_setting(text, "GRUB_DEFAULT", value, add, &out) > 0)
        write_text(c, &file, text, &out, c->entry);
    return r;
}

static int set_grub(struct choice *c, struct error **err)
{
    bool in_environment = false;
    int r = c->saved ? set_environment(c, &in_environment, err) : 0;

    for (size_t i = 0; r >= 0 && !in_environment && i < c->files.count; i++)
        if (c->files.items[i].form == BOOTLINE_GRUB)
            r = set_grub_file(c, &c->files.items[i], err);
    if (r >= 0 && !in_environment)
        r = set_defaults(c, err);
    c->done |= r >= 0;
    return r;
}

static int set_legacy(struct choice *c, const struct bootfile *file, struct error **err)
{
    _cleanup_buffer_ struct buffer out = {0};
    _cleanup_free_ char *text = NULL, *number = NULL;
    int r = text_of(c, file->path, &text, err), entry;

    if (r <= 0)
        return r;
    entry = bootmenu_legacy_find(text, &c->kernel);
    c->done |= entry >= 0;
    number = str_format("%d", entry);
    if (entry >= 0 && bootmenu_legacy_set(text, entry, &out) > 0)
        write_text(c, file, text, &out, number);
    return 0;
}

/* Alpine makes extlinux.conf anew from update-extlinux.conf, which calls the entry by its flavor,
 * as the label does. */
static int set_update_extlinux(struct choice *c, const char *label, struct error **err)
{
    struct bootfile file = {.path = (char *)"/etc/update-extlinux.conf", .form = BOOTLINE_SHELL};
    _cleanup_buffer_ struct buffer out = {0};
    _cleanup_free_ char *text = NULL;
    int r = text_of(c, file.path, &text, err);

    if (r > 0 && bootmenu_setting(text, "default", label, NULL, &out) > 0)
        write_text(c, &file, text, &out, label);
    return r;
}

static int set_extlinux(struct choice *c, const struct bootfile *file, struct error **err)
{
    _cleanup_buffer_ struct buffer out = {0};
    _cleanup_free_ char *text = NULL, *label = NULL;
    int r = text_of(c, file->path, &text, err);

    if (r <= 0 || !(label = bootmenu_extlinux_find(text, &c->kernel)))
        return r < 0 ? r : 0;
    c->done = true;
    if (bootmenu_extlinux_set(text, label, &out) > 0)
        write_text(c, file, text, &out, label);
    return set_update_extlinux(c, label, err);
}

static int look(struct choice *c, const struct bootfile *file, struct error **err)
{
    if (!file->live)
        return 0;
    switch (file->form) {
    case BOOTLINE_ENTRY:
        return look_at_entry(c, file, err);
    case BOOTLINE_GRUB:
        return look_at_grub(c, file, err);
    case BOOTLINE_LEGACY:
        return set_legacy(c, file, err);
    case BOOTLINE_EXTLINUX:
        return set_extlinux(c, file, err);
    default:
        return 0;
    }
}

static const struct kernel *wanted(const struct facts *facts)
{
    for (size_t i = 0; facts->wanted_kernel && i < facts->kernel_count; i++)
        if (strcmp(facts->kernels[i].version, facts->wanted_kernel) == 0)
            return &facts->kernels[i];
    return NULL;
}

static int choose(struct choice *c, struct error **err)
{
    bool grub = false;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < c->files.count; i++) {
        grub |= c->files.items[i].form == BOOTLINE_GRUB && c->files.items[i].live;
        r = look(c, &c->files.items[i], err);
    }
    if (r >= 0 && grub && c->entry)
        r = set_grub(c, err);
    if (r >= 0 && !c->done)
        plan_warn(c->plan, "bootdefault",
                  "no boot menu of the guest has an entry for kernel %s, which has to boot instead "
                  "of the newest: make it the default in the source",
                  c->kernel.version);
    return r;
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    const struct kernel *kernel = wanted(facts);
    struct choice c = {.facts = facts, .plan = plan};
    int r;

    if (!kernel)
        return 0;
    c.kernel = (struct bootmenu_kernel){.image = kernel->image, .version = kernel->version};
    r = bootfile_list(&facts->tree, &c.files, err);
    if (r >= 0)
        r = choose(&c, err);
    bootfile_list_done(&c.files);
    free(c.entry);
    return r < 0 ? r : 0;
}

static const char *describe(void)
{
    return "a kernel that has the drivers boots by default";
}

const struct change_ops change_linux_bootdefault = {
    .name = "bootdefault",
    .applies = facts_is_linux,
    .apply = apply,
    .describe = describe,
};

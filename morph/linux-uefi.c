/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A boot loader where UEFI firmware looks without being told.
 *
 * Installers put the loader into EFI/VENDOR and an entry into the firmware's variables.  Those stay
 * in the source, so the destination's firmware tries only EFI/BOOT/BOOTX64.EFI (BOOTAA64.EFI,
 * BOOTIA32.EFI).  Where that is missing, copies of the vendor's loader are put there.  What starts
 * what:
 *
 *   shim      fbx64.efi beside it, when that is there: it makes the boot entries anew from
 *             EFI/VENDOR/BOOTX64.CSV and starts the first; else grubx64.efi (SUSE: grub.efi) beside
 *             it, and mmx64.efi (MokManager.efi) when keys are to be enrolled
 *   grub      its own configuration in EFI/VENDOR or /boot, which is built into it; some look for
 *             grub.cfg beside them first, so a short one that only leads on is copied, too
 *   systemd-boot, rEFInd
 *             configuration at fixed places
 */
#include <string.h>
#include <strings.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/change.h"
#include "morph/esp.h"

#define LOADER_MAX ((size_t)16 << 20)
#define LEAD_ON_MAX 1024

/* Names of one architecture's files; the alternatives are older or SUSE's. */
struct names {
    const char *fallback;
    const char *shim[2], *grub[2], *keys[2], *entries[2], *csv[1];
    const char *others[3]; /* loaders that need nothing beside them */
};

static const struct names architectures[] = {
    {"BOOTX64.EFI",
     {"shimx64.efi", "shim.efi"},
     {"grubx64.efi", "grub.efi"},
     {"mmx64.efi", "MokManager.efi"},
     {"fbx64.efi", "fallback.efi"},
     {"BOOTX64.CSV"},
     {"systemd-bootx64.efi", "refind_x64.efi", "elilo.efi"}},
    {"BOOTAA64.EFI",
     {"shimaa64.efi", "shim.efi"},
     {"grubaa64.efi", "grub.efi"},
     {"mmaa64.efi", "MokManager.efi"},
     {"fbaa64.efi", "fallback.efi"},
     {"BOOTAA64.CSV"},
     {"systemd-bootaa64.efi", "refind_aa64.efi", NULL}},
    {"BOOTIA32.EFI",
     {"shimia32.efi", NULL},
     {"grubia32.efi", NULL},
     {"mmia32.efi", NULL},
     {"fbia32.efi", NULL},
     {"BOOTIA32.CSV"},
     {"systemd-bootia32.efi", "refind_ia32.efi", NULL}},
};

struct uefi {
    struct facts *facts;
    struct plan *plan;
    struct esp esp;
    bool starts; /* firmware finds a loader, now or when the plan is carried out */
};

static char *first_of(const struct uefi *u, const char *directory, const char *const *names,
                      size_t count)
{
    char *path = NULL;

    for (size_t i = 0; !path && i < count && names[i]; i++)
        path = esp_file(&u->facts->tree, directory, names[i]);
    return path;
}

#define FIRST_OF(u, directory, names) first_of(u, directory, names, ARRAY_SIZE(names))

static const char *base_name(const char *path)
{
    return strrchr(path, '/') + 1;
}

/* Plans a copy below EFI/BOOT unless something is there. */
static int copy(struct uefi *u, const char *from, const char *to, struct error **err)
{
    _cleanup_free_ char *there = esp_file(&u->facts->tree, u->esp.fallback, to);
    _cleanup_free_ char *path = str_format("%s/%s", u->esp.fallback, to);
    size_t length;
    char *data;
    int r;

    if (there)
        return 0;
    r = tree_read(&u->facts->tree, from, LOADER_MAX, &data, &length, err);
    if (r < 0)
        return r == -ENOENT ? error_set(err, ENOENT, "%s is no regular file", from) : r;
    plan_edit(u->plan, EDIT_WRITE, "uefi", path, data, length,
              str_format("a copy of EFI%s", from + strlen(u->esp.efi)),
              str_dup("the firmware's boot entries stay in the source, and without them only "
                      "EFI/BOOT is looked at"));
    return 0;
}

/* grub.cfg of the vendor when it only leads on to the real one. */
static int copy_lead_on(struct uefi *u, const char *directory, struct error **err)
{
    _cleanup_free_ char *path = esp_file(&u->facts->tree, directory, "grub.cfg");
    _cleanup_free_ char *text = NULL;
    int r = path ? tree_text(&u->facts->tree, path, &text, err) : 0;

    if (r <= 0 || strlen(text) > LEAD_ON_MAX || strstr(text, "menuentry") ||
        (!strstr(text, "configfile") && !strstr(text, "source")))
        return r < 0 ? r : 0;
    return copy(u, path, "grub.cfg", err);
}

/* GRUB, and what shim wants beside it. */
static int copy_helpers(struct uefi *u, const struct names *names, const char *directory,
                        const char *grub, struct error **err)
{
    _cleanup_free_ char *keys = FIRST_OF(u, directory, names->keys);
    _cleanup_free_ char *entries = FIRST_OF(u, directory, names->entries);
    _cleanup_free_ char *csv = FIRST_OF(u, directory, names->csv);
    int r = copy(u, grub, base_name(grub), err);

    if (r >= 0 && keys)
        r = copy(u, keys, base_name(keys), err);
    if (r >= 0 && entries && csv)
        r = copy(u, entries, base_name(entries), err);
    return r < 0 ? r : copy_lead_on(u, directory, err);
}

/* The loader of one vendor's directory.  1 when it has one for this architecture. */
static int take_from(struct uefi *u, const struct names *names, const char *directory,
                     struct error **err)
{
    _cleanup_free_ char *shim = FIRST_OF(u, directory, names->shim);
    _cleanup_free_ char *grub = FIRST_OF(u, directory, names->grub);
    _cleanup_free_ char *other = FIRST_OF(u, directory, names->others);
    const char *loader = shim && grub ? shim : grub ? grub : other;
    int r;

    if (!loader)
        return 0;
    r = copy(u, loader, names->fallback, err);
    if (r >= 0 && loader == shim)
        r = copy_helpers(u, names, directory, grub, err);
    else if (r >= 0 && loader == grub)
        r = copy_lead_on(u, directory, err);
    return r < 0 ? r : 1;
}

/* How well a directory's name fits the guest: 0 not to be used, higher is better. */
static int fitness(const struct facts *facts, const char *name)
{
    size_t n = strlen(name);

    if (strcasecmp(name, "BOOT") == 0 || strcasecmp(name, "Microsoft") == 0)
        return 0;
    if (strcasecmp(name, facts->os.id) == 0)
        return 4;
    if (strncasecmp(name, facts->os.id, n) == 0 || /* opensuse of opensuse-leap */
        (facts->family == FAMILY_REDHAT && strcasecmp(name, "redhat") == 0) ||
        (facts->family == FAMILY_DEBIAN && strcasecmp(name, "debian") == 0))
        return 3;
    return strcasecmp(name, "systemd") == 0 ? 2 : 1;
}

static int take_best(struct uefi *u, const struct names *names, struct error **err)
{
    int r = 0;

    for (int wanted = 4; r == 0 && wanted > 0; wanted--)
        for (char **name = u->esp.names; r == 0 && *name; name++) {
            _cleanup_free_ char *directory = str_format("%s/%s", u->esp.efi, *name);

            if (fitness(u->facts, *name) == wanted &&
                tree_kind(&u->facts->tree, directory) == TREE_DIR)
                r = take_from(u, names, directory, err);
        }
    return r;
}

static int read_loader(const struct uefi *u, const char *path, char **ret_data, size_t *ret_length,
                       struct error **err)
{
    int r = path ? tree_read(&u->facts->tree, path, LOADER_MAX, ret_data, ret_length, err) : 0;

    return r < 0 && r != -ENOENT ? r : 0;
}

static bool says_shim(const char *data, size_t length)
{
    static const char mark[] = "UEFI SHIM";

    return data && memmem(data, length, mark, sizeof(mark) - 1) != NULL;
}

/* Shim alone does not boot: a BOOTX64.EFI that is shim gets what it starts. */
static int complete_shim(struct uefi *u, const struct names *names, struct error **err)
{
    _cleanup_free_ char *grub = FIRST_OF(u, u->esp.fallback, names->grub);
    _cleanup_free_ char *entries = FIRST_OF(u, u->esp.fallback, names->entries);
    int r = 0;

    if (grub || entries)
        return 0;
    for (int wanted = 4; r == 0 && wanted > 0; wanted--)
        for (char **name = u->esp.names; r == 0 && *name; name++) {
            _cleanup_free_ char *directory = str_format("%s/%s", u->esp.efi, *name);
            _cleanup_free_ char *other =
                fitness(u->facts, *name) == wanted ? FIRST_OF(u, directory, names->grub) : NULL;

            if (other) {
                r = copy_helpers(u, names, directory, other, err);
                return r < 0 ? r : 0;
            }
        }
    plan_warn(u->plan, "uefi", "%s/%s is shim, and there is no GRUB that it could start",
              u->esp.fallback, names->fallback);
    return 0;
}

/* What is at the place where firmware looks: Windows' loader there would start Windows. */
static int look_at_fallback(struct uefi *u, const struct names *names, const char *path,
                            struct error **err)
{
    _cleanup_free_ char *windows = str_format("%s/Microsoft/Boot", u->esp.efi);
    _cleanup_free_ char *manager = esp_file(&u->facts->tree, windows, "bootmgfw.efi");
    _cleanup_free_ char *data = NULL, *other = NULL;
    size_t length = 0, other_length = 0;
    int r = read_loader(u, path, &data, &length, err);

    if (r == 0)
        r = read_loader(u, manager, &other, &other_length, err);
    if (r < 0)
        return r;
    u->starts = true;
    if (data && other && length == other_length && memcmp(data, other, length) == 0)
        plan_warn(u->plan, "uefi",
                  "%s is the loader of Windows, which shares the disk: the firmware will start "
                  "that one",
                  path);
    if (says_shim(data, length)) {
        u->facts->secure_boot |= esp_is_signed(data, length);
        return complete_shim(u, names, err);
    }
    return 0;
}

static int change_architecture(struct uefi *u, const struct names *names, struct error **err)
{
    _cleanup_free_ char *there = esp_file(&u->facts->tree, u->esp.fallback, names->fallback);
    _cleanup_free_ char *path = str_format("%s/%s", u->esp.fallback, names->fallback);
    const struct edit *e;
    int r;

    if (there)
        return look_at_fallback(u, names, there, err);
    r = take_best(u, names, err);
    if (r <= 0)
        return r;
    u->starts = true;
    e = plan_find(u->plan, path);
    if (e && says_shim(e->data, e->length))
        u->facts->secure_boot |= esp_is_signed(e->data, e->length);
    return 0;
}

/* SUSE's loaders are called the same on ARM. */
static bool is_arm(const struct tree *tree)
{
    return tree_exists(tree, "/lib/ld-linux-aarch64.so.1") ||
           tree_exists(tree, "/lib/ld-musl-aarch64.so.1");
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    struct uefi u = {.facts = facts, .plan = plan};
    int r = esp_find(&facts->tree, &u.esp, err);

    if (r <= 0)
        return r;
    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(architectures); i++)
        if (is_arm(&facts->tree) == (strcmp(architectures[i].fallback, "BOOTAA64.EFI") == 0))
            r = change_architecture(&u, &architectures[i], err);
    if (r >= 0 && u.starts)
        facts->firmware = facts->firmware == FIRMWARE_BIOS || facts->firmware == FIRMWARE_BOTH
                              ? FIRMWARE_BOTH
                              : FIRMWARE_UEFI;
    else if (r >= 0 && facts->firmware != FIRMWARE_BIOS)
        plan_warn(plan, "uefi",
                  "no boot loader was found in %s: the firmware may not find one to start",
                  u.esp.efi);
    esp_done(&u.esp);
    return r < 0 ? r : 0;
}

static const char *describe(void)
{
    return "the boot loader is where firmware without boot entries looks";
}

const struct change_ops change_linux_uefi = {
    .name = "uefi",
    .applies = facts_is_linux,
    .apply = apply,
    .describe = describe,
};

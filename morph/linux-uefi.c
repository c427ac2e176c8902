/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A boot loader where UEFI firmware looks without being told.
 *
 * Installing Debian puts the loader into EFI/debian and an entry into the firmware's variables.
 * The variables stay in the source, so the destination's firmware tries only EFI/BOOT/BOOTX64.EFI.
 * When that is not there, copies of Debian's signed loader are put there: shim starts the grub that
 * is beside it, and Debian's grub finds its own configuration in EFI/debian.
 */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/change.h"

#define DEBIAN "/boot/efi/EFI/debian"
#define FALLBACK "/boot/efi/EFI/BOOT"
#define LOADER_MAX ((size_t)16 << 20)

static bool applies(const struct facts *facts)
{
    return facts_is_linux(facts) && tree_kind(&facts->tree, DEBIAN) == TREE_DIR;
}

/* 1 when the file was there and its copy is planned. */
static int copy(struct facts *facts, struct plan *plan, const char *from, const char *to,
                struct error **err)
{
    _cleanup_free_ char *source = str_format(DEBIAN "/%s", from);
    _cleanup_free_ char *path = str_format(FALLBACK "/%s", to);
    size_t length;
    char *data;
    int r;

    if (tree_exists(&facts->tree, path))
        return 0;
    r = tree_read(&facts->tree, source, LOADER_MAX, &data, &length, err);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    plan_edit(plan, EDIT_WRITE, "uefi", path, data, length,
              str_format("a copy of EFI/debian/%s", from),
              str_dup("the firmware's boot entries stay in the source, and without them only "
                      "EFI/BOOT is looked at"));
    return 1;
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    static const char *const helpers[] = {"grubx64.efi", "mmx64.efi"};
    int r;

    if (tree_exists(&facts->tree, FALLBACK "/BOOTX64.EFI"))
        return 0;
    r = copy(facts, plan, "shimx64.efi", "BOOTX64.EFI", err);
    for (size_t i = 0; r > 0 && i < ARRAY_SIZE(helpers); i++) {
        int helper = copy(facts, plan, helpers[i], helpers[i], err);

        if (helper < 0)
            return helper;
    }
    if (r == 0) /* no shim: a guest without Secure Boot */
        r = copy(facts, plan, "grubx64.efi", "BOOTX64.EFI", err);
    if (r == 0)
        plan_warn(plan, "uefi",
                  "no boot loader was found in " DEBIAN ": the firmware may not find one to start");
    return r < 0 ? r : 0;
}

static const char *describe(void)
{
    return "the boot loader is where firmware without boot entries looks";
}

const struct change_ops change_linux_uefi = {
    .name = "uefi",
    .applies = applies,
    .apply = apply,
    .describe = describe,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firmware's boot entries stay in the source: the destination's firmware looks for
 * EFI/Boot/bootx64.efi only.  Windows puts a copy of its boot manager there when it is installed;
 * where that is missing, this makes it.
 */
#include "base/str.h"
#include "morph/change.h"
#include "morph/windows.h"
#include "morph/winpath.h"

#define CHANGE "uefi"
#define LOADER_MAX ((size_t)32 << 20)

static const char *fallback_name(enum windows_arch arch)
{
    static const char *const names[] = {"bootia32.efi", "bootx64.efi", "bootaa64.efi"};

    return names[arch];
}

static bool applies(const struct facts *facts)
{
    return facts_is_windows(facts) && facts->windows->esp;
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    const struct windows *w = facts->windows;
    _cleanup_free_ char *wanted = str_format("%s/EFI/Microsoft/Boot/bootmgfw.efi", w->esp);
    _cleanup_free_ char *place = str_format("%s/EFI/Boot/%s", w->esp, fallback_name(w->arch));
    _cleanup_free_ char *fallback = winpath_resolve(&facts->tree, place), *manager = NULL;
    char *data;
    size_t length;
    int r;

    if (tree_exists(&facts->tree, fallback))
        return 0;
    manager = winpath_find(&facts->tree, wanted);
    r = manager ? tree_read(&facts->tree, manager, LOADER_MAX, &data, &length, err) : -ENOENT;
    if (r == -ENOENT) {
        plan_warn(plan, CHANGE,
                  "the EFI system partition has no boot manager of Windows: the firmware will not "
                  "find what to start");
        return 0;
    }
    if (r == 0)
        plan_edit(plan, EDIT_WRITE, CHANGE, fallback, data, length,
                  str_format("the EFI system partition (which is shown at %s) has Windows's boot "
                             "manager as EFI/Boot/%s",
                             w->esp, fallback_name(w->arch)),
                  str_dup("the firmware's boot entries stay in the source, and without them only "
                          "EFI/Boot is looked at"));
    return r;
}

static const char *describe(void)
{
    return "the firmware finds Windows's boot manager without being told";
}

const struct change_ops change_windows_uefi = {
    .name = CHANGE,
    .applies = applies,
    .apply = apply,
    .describe = describe,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What virt-v2v-in-place has changed just now, for the report: the hives, and the files in the
 * places where it puts some.  It says nothing about that itself.
 */
#include <string.h>

#include "base/str.h"
#include "morph/change.h"
#include "morph/sha256.h"
#include "morph/windows.h"
#include "morph/winpath.h"

#define CHANGE "virt-v2v"
#define FILE_MAX ((size_t)128 << 20)
#define WHY "virt-v2v-in-place gives the guest its drivers"

static struct edit *add(struct plan *plan, const char *path, const char *what)
{
    return plan_edit(plan, EDIT_DONE, CHANGE, path, NULL, 0, str_dup(what), str_dup(WHY));
}

static void add_hive(struct plan *plan, const char *path, const char *before, const char *after)
{
    struct edit *e;

    if (strcmp(before, after) == 0)
        return;
    e = add(plan, path, "the registry has services for the drivers and for a first boot");
    snprintf(e->before, sizeof(e->before), "%s", before);
    snprintf(e->after, sizeof(e->after), "%s", after);
}

/* The files of a directory that it makes; those below it as well, one level deep. */
static int add_files(const struct facts *facts, struct plan *plan, const char *directory,
                     unsigned depth, struct error **err)
{
    _cleanup_names_ char **names = NULL;
    int r = tree_list(&facts->tree, directory, &names, err);

    for (char **n = names; r == 0 && n && *n; n++) {
        _cleanup_free_ char *path = str_format("%s/%s", directory, *n), *data = NULL;
        enum tree_kind kind = tree_kind(&facts->tree, path);
        size_t length;

        if (kind == TREE_DIR && depth > 0)
            r = add_files(facts, plan, path, depth - 1, err);
        else if (kind == TREE_FILE)
            r = tree_read(&facts->tree, path, FILE_MAX, &data, &length, err);
        if (r == 0 && data)
            sha256_hex(data, length, NULL, 0, add(plan, path, "the file is there")->after);
    }
    return r;
}

static bool applies(const struct facts *facts)
{
    return facts_is_windows(facts) && facts->windows->by_v2v && *facts->windows->v2v.system;
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    const struct windows *w = facts->windows;
    _cleanup_free_ char *drivers = windows_path(facts, "Drivers/VirtIO");
    _cleanup_free_ char *firstboot =
        winpath_resolve(&facts->tree, "/Program Files/Guestfs/Firstboot");
    int r;

    add_hive(plan, w->system_path, w->v2v.system, w->hash.system);
    add_hive(plan, w->software_path, w->v2v.software, w->hash.software);
    r = add_files(facts, plan, drivers, 0, err);
    if (r == 0)
        r = add_files(facts, plan, firstboot, 1, err);
    return r;
}

static const char *describe(void)
{
    return "what virt-v2v-in-place has changed is in the report";
}

const struct change_ops change_windows_v2v = {
    .name = CHANGE,
    .applies = applies,
    .apply = apply,
    .describe = describe,
};

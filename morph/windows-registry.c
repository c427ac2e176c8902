/* SPDX-License-Identifier: Apache-2.0 */
/* The last change of Windows: what the others have set in the registry becomes the hives' files. */
#include "base/str.h"
#include "morph/change.h"
#include "morph/windows.h"

#define CHANGE "registry"

static int write_hive(struct facts *facts, struct plan *plan, struct hive *hive, const char *path,
                      const struct buffer *what, struct error **err)
{
    char *data;
    size_t length;
    int r;

    if (!hive_is_changed(hive))
        return 0;
    if (hive_is_unfinished(hive))
        plan_warn(plan, CHANGE,
                  "%s was copied while Windows was writing it: what is only in its logs is lost in "
                  "this copy; shut the guest down for the final one",
                  path);
    r = hive_commit(hive, &data, &length, err);
    if (r < 0)
        return r;
    plan_edit(plan, EDIT_WRITE, CHANGE, path, data, length,
              str_dup(what->length ? what->data : "its keys are as they have to be"),
              str_dup("Windows reads its drivers and services there when it starts"));
    return 0;
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    struct windows *w = facts->windows;
    int r = write_hive(facts, plan, w->software, w->software_path, &w->software_what, err);

    return r < 0 ? r : write_hive(facts, plan, w->system, w->system_path, &w->system_what, err);
}

static const char *describe(void)
{
    return "the registry has what the other changes need";
}

const struct change_ops change_windows_registry = {
    .name = CHANGE,
    .applies = facts_is_windows,
    .apply = apply,
    .describe = describe,
};

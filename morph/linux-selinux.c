/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SELinux contexts of what is new; the last change, as it looks at the edits of all others.  A file
 * that is written anew keeps its inode, and its context with it.  The appliance has no policy, so
 * what it makes has no context at all, and an enforcing guest would not let its services read that.
 * A relabel of the whole guest takes minutes of downtime; it is the way only where the policy does
 * not tell.
 */
#include <string.h>

#include "base/str.h"
#include "morph/change.h"
#include "morph/selinux.h"

#define CHANGE "selinux"
#define AUTORELABEL "/.autorelabel"

/* What there will be at the edit's path that is not there now; TREE_NONE when nothing. */
static enum tree_kind makes(const struct facts *facts, const struct edit *e)
{
    switch (e->kind) {
    case EDIT_WRITE:
        return tree_exists(&facts->tree, e->path) ? TREE_NONE : TREE_FILE;
    case EDIT_RUN:
        return TREE_FILE;
    case EDIT_LINK:
        return TREE_LINK;
    case EDIT_DIRECTORY:
        return tree_exists(&facts->tree, e->path) ? TREE_NONE : TREE_DIR;
    default:
        return TREE_NONE;
    }
}

static bool is_planned(const struct plan *plan, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++)
        if (plan->edits[i].kind == EDIT_DIRECTORY && strcmp(plan->edits[i].path, path) == 0)
            return true;
    return false;
}

/* Directories above plan->edits[index] that are missing become edits before it; returns how many.
 */
static size_t add_directories(const struct facts *facts, struct plan *plan, size_t index)
{
    _cleanup_free_ char *path = str_dup(plan->edits[index].path);
    const char *change = plan->edits[index].change;
    size_t added = 0;

    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (!tree_exists(&facts->tree, path) && !is_planned(plan, index + added, path)) {
            plan_edit_at(plan, index + added, EDIT_DIRECTORY, change, path, NULL, 0,
                         str_dup("a directory"), str_dup("what comes next is in it"));
            added++;
        }
        *slash = '/';
    }
    return added;
}

/* Labels all that is new; false when the policy does not tell for something. */
static bool label_all(const struct facts *facts, struct plan *plan, struct selinux *policy)
{
    bool all = true;

    for (size_t i = 0; i < plan->edit_count; i++) {
        if (makes(facts, &plan->edits[i]) != TREE_NONE)
            i += add_directories(facts, plan, i);
    }
    for (size_t i = 0; i < plan->edit_count; i++) {
        struct edit *e = &plan->edits[i];
        enum tree_kind kind = makes(facts, e);

        if (kind == TREE_NONE)
            continue;
        free(e->label);
        e->label = selinux_label(policy, e->path, kind);
        if (!e->label) {
            plan_note(plan, CHANGE, "the guest's SELinux policy has no context for %s", e->path);
            all = false;
        }
    }
    return all;
}

static bool makes_anything(const struct facts *facts, const struct plan *plan)
{
    for (size_t i = 0; i < plan->edit_count; i++)
        if (makes(facts, &plan->edits[i]) != TREE_NONE)
            return true;
    return false;
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    _cleanup_selinux_ struct selinux *policy = NULL;
    int r;

    if (!makes_anything(facts, plan))
        return 0;
    r = selinux_open(&facts->tree, &policy, err);
    if (r <= 0 || (policy && label_all(facts, plan, policy)))
        return r < 0 ? r : 0;
    plan_warn(plan, CHANGE,
              "the guest's SELinux policy does not tell the contexts of all new files: its first "
              "boot labels all files anew, which takes minutes, and starts again");
    if (!tree_exists(&facts->tree, AUTORELABEL))
        plan_edit(plan, EDIT_WRITE, CHANGE, AUTORELABEL, str_dup(""), 0,
                  str_dup("the guest's first boot labels all its files"),
                  str_dup("new files have no SELinux context that its policy knows"));
    return 0;
}

static const char *describe(void)
{
    return "what is new in the guest has the SELinux context its policy gives";
}

const struct change_ops change_linux_selinux = {
    .name = CHANGE,
    .applies = facts_is_linux,
    .apply = apply,
    .describe = describe,
};

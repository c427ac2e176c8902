/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/apply.h"

#include <string.h>

#include "base/str.h"
#include "morph/sha256.h"

#define MADE_MAX ((size_t)768 << 20)

/* A program of the guest does not label what it makes: the appliance has no policy. */
static int run_and_label(struct guest *guest, const struct edit *edit, struct error **err)
{
    struct tree tree = guest_tree(guest);
    int r = guest_run(guest, edit->data, edit->length, err);

    if (r == 0 && edit->label && tree_exists(&tree, edit->path))
        r = guest_label(guest, edit->path, edit->label, err);
    return r;
}

static int apply_edit(struct guest *guest, const struct edit *edit, struct error **err)
{
    const struct guest_new as = {
        .mode = edit->mode, .uid = edit->uid, .gid = edit->gid, .label = edit->label};

    switch (edit->kind) {
    case EDIT_WRITE:
        return guest_write(guest, edit->path, edit->data, edit->length, &as, err);
    case EDIT_DIRECTORY:
        return guest_directory(guest, edit->path, &as, err);
    case EDIT_APPEND:
        return guest_append(guest, edit->path, edit->offset, edit->data, edit->length, err);
    case EDIT_LINK:
        return guest_link(guest, edit->path, edit->data, &as, err);
    case EDIT_REMOVE:
        return guest_remove_link(guest, edit->path, err);
    case EDIT_DELETE:
        return guest_delete(guest, edit->path, err);
    case EDIT_RUN:
        return run_and_label(guest, edit, err);
    case EDIT_DONE:
        return 0;
    }
    return -EINVAL;
}

int apply_plan(struct guest *guest, const struct plan *plan, const struct report *report,
               struct error **err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < plan->edit_count; i++) {
        r = apply_edit(guest, &plan->edits[i], err);
        if (r == 0)
            report_edit(report, &plan->edits[i]);
    }
    return r;
}

/* What a program of the guest has made. */
static int hash_made(const struct tree *tree, struct edit *edit, struct error **err)
{
    _cleanup_free_ char *data = NULL;
    size_t length;
    int r = tree_read(tree, edit->path, MADE_MAX, &data, &length, err);

    if (r == -ENOENT || (r == 0 && length == 0))
        return error_set(err, EIO, "the guest's own program did not make %s", edit->path);
    if (r == 0)
        sha256_hex(data, length, NULL, 0, edit->after);
    return r;
}

static bool link_is(const struct tree *tree, const char *path, const char *wanted)
{
    _cleanup_free_ char *target = NULL;

    return tree_readlink(tree, path, &target) == 0 && strcmp(target, wanted) == 0;
}

static int check_content(struct guest *guest, struct edit *edit, struct error **err)
{
    struct tree tree = guest_tree(guest);
    bool right = false;

    switch (edit->kind) {
    case EDIT_WRITE:
    case EDIT_APPEND:
        return guest_check_bytes(guest, edit->path, edit->offset, edit->data, edit->length, err);
    case EDIT_RUN:
        return hash_made(&tree, edit, err);
    case EDIT_LINK:
        right = link_is(&tree, edit->path, edit->data);
        break;
    case EDIT_DONE:
        right = tree_kind(&tree, edit->path) == TREE_FILE;
        break;
    case EDIT_DIRECTORY:
        right = tree_kind(&tree, edit->path) == TREE_DIR;
        break;
    case EDIT_REMOVE:
    case EDIT_DELETE:
        right = tree_kind(&tree, edit->path) == TREE_NONE;
        break;
    }
    return right ? 0 : error_set(err, EIO, "%s is not as it was made", edit->path);
}

static int check_edit(struct guest *guest, struct edit *edit, struct error **err)
{
    int r = check_content(guest, edit, err);

    return r == 0 && edit->label ? guest_check_label(guest, edit->path, edit->label, err) : r;
}

int apply_verify(struct guest *guest, struct plan *plan, struct error **err)
{
    int r = guest_mount_again(guest, err);

    for (size_t i = 0; r == 0 && i < plan->edit_count; i++)
        r = check_edit(guest, &plan->edits[i], err);
    return r;
}

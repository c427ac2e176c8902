/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/windows-edit.h"

#include <string.h>

#include "base/str.h"

#define MODE 0755

/* The directories above `below` that are new are made with a mode that lets only administrators
 * change them: what is in there runs with all rights at the first boot. */
static void make_directories(struct facts *facts, struct plan *plan, const char *change,
                             const char *below)
{
    for (const char *slash = strchr(below, '/'); slash; slash = strchr(slash + 1, '/')) {
        _cleanup_free_ char *name = str_format("%.*s", (int)(slash - below), below);
        _cleanup_free_ char *path = windows_path(facts, name);

        if (tree_exists(&facts->tree, path) || plan_find(plan, path))
            continue;
        plan_edit(plan, EDIT_DIRECTORY, change, path, NULL, 0,
                  str_format("%s is there, for administrators only to change", path),
                  str_dup("what the first boot needs is in it"))
            ->mode = MODE;
    }
}

int windows_put(struct facts *facts, struct plan *plan, const char *change, const char *below,
                const void *data, size_t length, char *what, char *why, struct error **err)
{
    _cleanup_free_ char *path = windows_path(facts, below), *old = NULL;
    _cleanup_free_ char *what_kept = what, *why_kept = why;
    size_t old_length = 0;
    char *copy;
    int r = tree_read(&facts->tree, path, length, &old, &old_length, NULL);

    if (r < 0 && r != -ENOENT && r != -EFBIG)
        return error_set_errno(err, -r, "cannot read %s in the guest", path);
    if (r == 0 && old_length == length && memcmp(old, data, length) == 0)
        return 0;
    copy = mem_new(length + 1, 1);
    if (length > 0)
        memcpy(copy, data, length);
    make_directories(facts, plan, change, below);
    plan_edit(plan, EDIT_WRITE, change, path, copy, length, steal_ptr(what_kept),
              steal_ptr(why_kept))
        ->mode = MODE;
    return 1;
}

int windows_put_text(struct facts *facts, struct plan *plan, const char *change, const char *below,
                     const char *text, char *what, char *why, struct error **err)
{
    _cleanup_buffer_ struct buffer lines = {0};

    for (; *text; text++) {
        if (*text == '\n')
            buffer_add(&lines, "\r", 1);
        buffer_add(&lines, text, 1);
    }
    return windows_put(facts, plan, change, below, lines.data ? lines.data : "", lines.length, what,
                       why, err);
}

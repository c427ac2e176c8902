/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/aside.h"

#include "base/str.h"

#define ASIDE_MAX ((size_t)4 << 20)

int aside_move(const struct facts *facts, struct plan *plan, const char *change, const char *path,
               char *what, const char *why, struct error **err)
{
    _cleanup_free_ char *sentence = what, *copy = str_format(ASIDE "%s", path), *data = NULL;
    size_t length;
    int r = tree_kind(&facts->tree, path) == TREE_FILE
                ? tree_read(&facts->tree, path, ASIDE_MAX, &data, &length, err)
                : -ENOENT;

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    plan_edit(plan, EDIT_WRITE, change, copy, steal_ptr(data), length,
              str_format("a copy of %s", path), str_dup("nothing that was there is lost"))
        ->mode = 0600;
    plan_edit(plan, EDIT_DELETE, change, path, NULL, 0, steal_ptr(sentence), str_dup(why));
    return 0;
}

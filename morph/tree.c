/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/tree.h"

#include <string.h>

int tree_text(const struct tree *t, const char *path, char **ret_text, struct error **err)
{
    _cleanup_free_ char *text = NULL;
    size_t length;
    int r = tree_read(t, path, TREE_TEXT_MAX, &text, &length, err);

    if (r == -ENOENT) {
        *ret_text = NULL;
        return 0;
    }
    if (r < 0)
        return r;
    if (memchr(text, '\0', length))
        return error_set(err, EBADMSG,
                         "the guest's file %s holds NUL bytes and is no text; repair it in the "
                         "source and sync again",
                         path);
    *ret_text = steal_ptr(text);
    return 1;
}

void tree_names_free(char **names)
{
    for (char **n = names; n && *n; n++)
        free(*n);
    free(names);
}

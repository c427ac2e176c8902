/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/winpath.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

/* directory + "/" + name as the guest has it, or NULL. */
static char *find_one(const struct tree *tree, const char *directory, const char *name)
{
    _cleanup_free_ char *exact = str_format("%s/%s", directory, name);
    _cleanup_names_ char **names = NULL;

    if (tree_exists(tree, exact))
        return steal_ptr(exact);
    if (tree_list(tree, *directory ? directory : "/", &names, NULL) < 0)
        return NULL;
    for (char **n = names; *n; n++)
        if (strcasecmp(*n, name) == 0)
            return str_format("%s/%s", directory, *n);
    return NULL;
}

/* Follows path as far as it goes; *ret_rest is what was not found ("" when all was). */
static char *follow(const struct tree *tree, const char *path, const char **ret_rest)
{
    char *found = str_dup("");

    while (*path) {
        size_t n;
        char *next;

        path += strspn(path, "/");
        n = strcspn(path, "/");
        if (n == 0)
            break;
        _cleanup_free_ char *name = str_format("%.*s", (int)n, path);
        next = find_one(tree, found, name);
        if (!next)
            break;
        free(found);
        found = next;
        path += n;
    }
    *ret_rest = path;
    return found;
}

char *winpath_find(const struct tree *tree, const char *path)
{
    const char *rest;
    char *found = follow(tree, path, &rest);

    if (!*rest && *found)
        return found;
    free(found);
    return NULL;
}

char *winpath_resolve(const struct tree *tree, const char *path)
{
    const char *rest;
    _cleanup_free_ char *found = follow(tree, path, &rest);

    return *rest ? str_format("%s/%s", found, rest + (*rest == '/')) : steal_ptr(found);
}

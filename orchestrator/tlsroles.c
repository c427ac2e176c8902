/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/tlsroles.h"

#include <stdlib.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"

#define FILE_BYTES_MAX (1 << 20)
#define SPACE " \t\r"

struct line {
    char *name;
    enum access_role role;
};

struct tlsroles {
    struct line *lines;
    size_t count;
};

struct tlsroles *tlsroles_free(struct tlsroles *roles)
{
    for (size_t i = 0; roles && i < roles->count; i++)
        free(roles->lines[i].name);
    if (roles)
        free(roles->lines);
    free(roles);
    return NULL;
}

static bool role_from_name(const char *name, enum access_role *ret_role)
{
    *ret_role = strcmp(name, "write") == 0 ? ACCESS_WRITE : ACCESS_READ;
    return *ret_role == ACCESS_WRITE || strcmp(name, "read") == 0;
}

/* One line, which is changed. */
static int line_take(struct tlsroles *roles, char *text, const char *path, size_t number,
                     struct error **err)
{
    struct line line = {0}, *more;
    char *rest, *name, *role;

    text[strcspn(text, "#")] = '\0';
    name = strtok_r(text, SPACE, &rest);
    role = name ? strtok_r(NULL, SPACE, &rest) : NULL;
    if (!name)
        return 0;
    if (!role || !role_from_name(role, &line.role) || strtok_r(NULL, SPACE, &rest))
        return error_set(err, EINVAL, "%s, line %zu: behind the name '%.80s' must stand read or "
                         "write, and nothing more", path, number, name);
    more = realloc(roles->lines, (roles->count + 1) * sizeof(*more));
    if (!more)
        return error_set_errno(err, ENOMEM, "cannot read %s", path);
    roles->lines = more;
    line.name = str_dup(name);
    roles->lines[roles->count++] = line;
    return 0;
}

int tlsroles_parse(const char *text, const char *path, struct tlsroles **ret_roles,
                   struct error **err)
{
    struct tlsroles *roles = mem_new(1, sizeof(*roles));
    _cleanup_free_ char *copy = str_dup(text);
    size_t number = 1;
    int r = 0;

    for (char *at = copy; r == 0 && at; number++)
        r = line_take(roles, strsep(&at, "\n"), path, number, err);
    if (r < 0)
        tlsroles_free(roles);
    else
        *ret_roles = roles;
    return r;
}

int tlsroles_load(const char *path, struct tlsroles **ret_roles, struct error **err)
{
    _cleanup_free_ char *text = NULL;
    int r = fdio_read_file(path, FILE_BYTES_MAX, &text, NULL);

    if (r < 0)
        return error_set_errno(err, -r, "cannot read the roles of certificates from %s", path);
    return tlsroles_parse(text, path, ret_roles, err);
}

int tlsroles_find(const struct tlsroles *roles, const char *name, enum access_role *ret_role)
{
    for (size_t i = 0; i < roles->count; i++)
        if (strcmp(roles->lines[i].name, name) == 0) {
            *ret_role = roles->lines[i].role;
            return (int)i;
        }
    return -1;
}

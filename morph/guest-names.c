/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which names a directory of the guest has, remembered while nothing changes.  A plan asks for
 * hundreds of files that are not there, mostly in the same few directories; each question to the
 * appliance takes two thousandths of a second where it is emulated, a whole directory hardly more.
 */
#include "morph/guest-inside.h"

#include <string.h>
#include <strings.h>

#include "base/str.h"

#define DIRECTORIES_MAX 512

struct guest_directory_names {
    char *path;
    char **names;
};

void guest_remember_names(struct guest *guest, bool on)
{
    for (size_t i = 0; i < guest->known_count; i++) {
        free(guest->known[i].path);
        tree_names_free(guest->known[i].names);
    }
    free(guest->known);
    guest->known = NULL;
    guest->known_count = 0;
    guest->remembers = on;
}

static char **add_directory(struct guest *guest, const char *path)
{
    char **names = guestfs_ls(guest->g, path);

    if (!names && guest_errno(guest) != ENOENT && guest_errno(guest) != ENOTDIR)
        return NULL;
    if (!names)
        names = mem_new(1, sizeof(char *));
    if (!guest->known)
        guest->known = mem_new(DIRECTORIES_MAX, sizeof(*guest->known));
    guest->known[guest->known_count++] =
        (struct guest_directory_names){.path = str_dup(path), .names = names};
    return names;
}

/* NULL: not to be known. */
static char **names_of(struct guest *guest, const char *path)
{
    for (size_t i = 0; i < guest->known_count; i++)
        if (strcmp(guest->known[i].path, path) == 0)
            return guest->known[i].names;
    return guest->known_count < DIRECTORIES_MAX ? add_directory(guest, path) : NULL;
}

/* Some filesystems do not mind the case of letters, so a name that differs by that may be there. */
bool guest_name_is_missing(struct guest *guest, const char *path)
{
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *parent = NULL;
    char **names;

    if (!guest->remembers || !slash || !slash[1])
        return false;
    parent = slash == path ? str_dup("/") : str_format("%.*s", (int)(slash - path), path);
    names = names_of(guest, parent);
    for (char **n = names; n && *n; n++)
        if (strcasecmp(*n, slash + 1) == 0)
            return false;
    return names != NULL;
}

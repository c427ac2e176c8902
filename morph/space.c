/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/space.h"

#include "base/align.h"

#define INODES_NEEDED 64

static int check_one(struct guest *guest, const char *directory, uint64_t needed,
                     struct error **err)
{
    struct guest_space space;
    int r = guest_space(guest, directory, &space, err);

    if (r < 0)
        return r;
    if (space.bytes < needed)
        return error_set(err, ENOSPC,
                         "the guest's filesystem for %s has %llu MiB free and needs %llu; make "
                         "room in the source and sync again",
                         directory, (unsigned long long)(space.bytes >> 20),
                         (unsigned long long)(needed >> 20) + 1);
    if (space.inodes < INODES_NEEDED)
        return error_set(err, ENOSPC,
                         "the guest's filesystem for %s has %llu free inodes and needs %d; remove "
                         "files in the source and sync again",
                         directory, (unsigned long long)space.inodes, INODES_NEEDED);
    return 0;
}

/* Edits are below these directories, of which each may be a filesystem of its own. */
static const struct {
    const char *directory, *except;
    uint64_t reserve; /* free space that must be left behind what the plan adds */
} places[] = {
    {"/", "/boot", (uint64_t)16 << 20},
    {"/boot", "/boot/efi", (uint64_t)2 << 20},
    {"/boot/efi", NULL, (uint64_t)256 << 10},
};

int space_check(struct guest *guest, const struct plan *plan, struct error **err)
{
    struct guest_space space[ARRAY_SIZE(places)];
    uint64_t needed[ARRAY_SIZE(places)];
    int r = guest_space(guest, "/", &space[0], err);

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(places); i++) {
        size_t owner = 0; /* the first place on the same filesystem */

        /* Where there is no such directory it will be made on the root filesystem. */
        if (i > 0 && guest_space(guest, places[i].directory, &space[i], NULL) < 0)
            space[i] = space[0];
        while (space[owner].id != space[i].id)
            owner++;
        needed[i] = 0;
        needed[owner] += plan_bytes(plan, places[i].directory, places[i].except);
    }
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(places); i++)
        if (needed[i] > 0)
            r = check_one(guest, places[i].directory, needed[i] + places[i].reserve, err);
    return r;
}

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

/* Each of these may be a filesystem of its own, and what must stay free there behind the plan. */
static const char *const places[] = {"/",     "/usr",  "/var",      "/root",
                                     "/home", "/boot", "/boot/efi", "/efi"};
static const uint64_t reserves[] = {
    (uint64_t)16 << 20, (uint64_t)2 << 20, (uint64_t)2 << 20,   (uint64_t)1 << 20,
    (uint64_t)1 << 20,  (uint64_t)2 << 20, (uint64_t)256 << 10, (uint64_t)256 << 10,
};

int space_check(struct guest *guest, const struct plan *plan, struct error **err)
{
    struct guest_space space[ARRAY_SIZE(places)];
    uint64_t planned[ARRAY_SIZE(places)], needed[ARRAY_SIZE(places)] = {0};
    int r = guest_space(guest, places[0], &space[0], err);

    plan_bytes(plan, places, ARRAY_SIZE(places), planned);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(places); i++) {
        size_t owner = 0; /* the first place on the same filesystem */

        if (planned[i] == 0)
            continue;
        /* Where there is no such directory it will be made on the root filesystem. */
        if (i > 0 && guest_space(guest, places[i], &space[i], NULL) < 0)
            space[i] = space[0];
        while (owner < i && (needed[owner] == 0 || space[owner].id != space[i].id))
            owner++;
        if (owner == i && space[i].id == space[0].id)
            owner = 0;
        needed[owner] += planned[i];
    }
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(places); i++)
        if (needed[i] > 0)
            r = check_one(guest, places[i], needed[i] + reserves[i], err);
    return r;
}

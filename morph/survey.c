/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libguestfs has an inspection of its own; it is not used because it reads far more than is needed
 * here, and under emulation that costs a downtime of ten seconds and more.
 */
#include "morph/survey.h"

#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/change.h"
#include "morph/inspect.h"

#define ROOTS_MAX 64

struct root {
    const struct volume *volume;
    char *mountable; /* device, or btrfsvol:DEVICE/SUBVOLUME */
    size_t found;
};

static bool is_linux_filesystem(const char *type)
{
    static const char *const types[] = {"ext2",  "ext3",     "ext4", "xfs",
                                        "btrfs", "reiserfs", "jfs",  "f2fs"};

    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

/* Looks at one candidate, mounted for the moment. */
static int look(struct guest *guest, const struct volume *volume, const char *mountable,
                struct root *root, struct error **err)
{
    struct tree tree = guest_tree(guest);

    if (guest_mount(guest, mountable, "/", "", NULL) < 0)
        return 0; /* cannot be the root of a guest that ran */
    if (inspect_is_root(&tree)) {
        root->found++;
        root->volume = volume;
        str_replace(&root->mountable, mountable);
    }
    return guest_unmount_all(guest, err);
}

static int look_at_volume(struct guest *guest, const struct volume *volume, struct root *root,
                          struct error **err)
{
    _cleanup_names_ char **subvolumes = NULL;
    size_t before = root->found;
    int r = look(guest, volume, volume->device, root, err);

    if (r < 0 || root->found > before || strcmp(volume->type, "btrfs") != 0)
        return r;
    if (guest_subvolumes(guest, volume->device, &subvolumes, NULL) < 0)
        return 0;
    for (size_t i = 0; r == 0 && subvolumes[i] && i < ROOTS_MAX; i++)
        if (!strstr(subvolumes[i], ".snapshots") && !strstr(subvolumes[i], "snapper"))
            r = look(guest, volume, subvolumes[i], root, err);
    return r;
}

static bool has_type(const struct volume_list *list, const char *type)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].type, type) == 0)
            return true;
    return false;
}

static int find_root(struct guest *guest, const char *wanted, const struct volume_list *list,
                     struct root *root, struct error **err)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct volume *v = &list->items[i];
        int r;

        if (!is_linux_filesystem(v->type) || (wanted && strcmp(wanted, v->device) != 0))
            continue;
        r = look_at_volume(guest, v, root, err);
        if (r < 0)
            return r;
    }
    if (root->found == 1)
        return 0;
    if (root->found > 1)
        return error_set(err, ENOTUNIQ,
                         "the disks hold %zu operating systems; choose one with --root DEVICE",
                         root->found);
    if (wanted)
        return error_set(err, ENOENT, "%s is not the root filesystem of a Linux guest", wanted);
    if (has_type(list, "crypto_LUKS"))
        return error_set(err, ENOENT,
                         "no Linux root filesystem was found, but an encrypted partition (LUKS): "
                         "this version cannot open it");
    if (has_type(list, "ntfs"))
        return error_set(err, ENOTSUP,
                         "no Linux root filesystem was found, but NTFS: this version does not "
                         "change Windows guests");
    return error_set(err, ENOENT,
                     "no Linux root filesystem was found on the disks; give all disks of the VM");
}

static int mount_one(struct guest *guest, const struct volume *volume, const char *mountable,
                     const char *directory, const char *options, struct error **err)
{
    int r = guest_check_filesystem(guest, volume, err);

    return r < 0 ? r : guest_mount(guest, mountable, directory, options, err);
}

static int mount_all(struct guest *guest, const struct root *root, struct facts *facts,
                     struct error **err)
{
    struct mount_list mounts;
    int r = mount_one(guest, root->volume, root->mountable, "/", "", err);

    if (r < 0)
        return r;
    facts->tree = guest_tree(guest);
    r = inspect_mounts(&facts->tree, &facts->volumes, &mounts, err);
    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < mounts.count; i++)
        r = mount_one(guest, mounts.items[i].volume, mounts.items[i].volume->device,
                      mounts.items[i].directory, mounts.items[i].options, err);
    mount_list_done(&mounts);
    return r;
}

static int check_system(struct facts *facts, struct error **err)
{
    int r = inspect_os(&facts->tree, &facts->os, err);

    if (r < 0)
        return r;
    facts->family = inspect_family(&facts->os);
    if (!facts_is_linux(facts))
        return error_set(err, ENOTSUP,
                         "the guest runs %s, which this version does not know; the families it "
                         "changes are in slipway-morph(8)",
                         facts->os.pretty);
    return inspect_kernels(&facts->tree, &facts->kernels, &facts->kernel_count, err);
}

int survey_guest(struct guest *guest, struct facts *facts, struct error **err)
{
    struct root found = {0};
    int r = guest_volumes(guest, &facts->volumes, err);

    if (r == 0 && has_type(&facts->volumes, "swsuspend"))
        r = error_set(err, EUCLEAN,
                      "the guest is hibernated (its swap holds a memory image); start it in the "
                      "source and shut it down");
    if (r == 0)
        r = find_root(guest, facts->request->root, &facts->volumes, &found, err);
    if (r == 0)
        r = mount_all(guest, &found, facts, err);
    if (r == 0)
        r = check_system(facts, err);
    free(found.mountable);
    return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What is on the guest's disks: partitions, logical volumes, filesystems. */
#include "morph/guest-inside.h"

#include <string.h>

#include "base/str.h"

#define ESP_TYPE "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" /* UEFI 2.10, table 5.7 */

/* Only what can stand in fstab without harm. */
static bool uuid_is_sane(const char *uuid)
{
    size_t n = strspn(uuid, "0123456789abcdefABCDEF-");

    return n >= 4 && n <= 64 && !uuid[n];
}

static void probe(struct guest *guest, struct volume *v)
{
    _cleanup_strings_ char **tags = guestfs_blkid(guest->g, v->device);

    for (char **t = tags; t && t[0] && t[1]; t += 2) {
        if (strcmp(t[0], "TYPE") == 0)
            str_replace(&v->type, t[1]);
        else if (strcmp(t[0], "UUID") == 0 && uuid_is_sane(t[1]))
            str_replace(&v->uuid, t[1]);
        else if (strcmp(t[0], "LABEL") == 0)
            str_replace(&v->label, t[1]);
        else if (strcmp(t[0], "PART_ENTRY_UUID") == 0)
            str_replace(&v->partuuid, t[1]);
        else if (strcmp(t[0], "PART_ENTRY_TYPE") == 0)
            v->esp = strcmp(t[1], ESP_TYPE) == 0;
    }
}

static int add_disk_volumes(struct guest *guest, struct volume_list *list, struct error **err)
{
    _cleanup_strings_ char **partitions = guestfs_list_partitions(guest->g);
    _cleanup_strings_ char **devices = guestfs_list_devices(guest->g);
    bool used[256] = {false};

    if (!partitions || !devices)
        return guest_error(guest, err, "cannot list the guest's disks");
    for (char **p = partitions; *p; p++) {
        _cleanup_free_ char *device = guestfs_part_to_dev(guest->g, *p);
        int number = guestfs_part_to_partnum(guest->g, *p);
        int disk = device ? guestfs_device_index(guest->g, device) : -1;

        if (disk < 0 || number < 1)
            continue;
        if (disk < (int)sizeof(used))
            used[disk] = true;
        probe(guest, volume_add(list, *p, disk, number));
    }
    for (int disk = 0; devices[disk] && disk < (int)sizeof(used); disk++)
        if (!used[disk])
            probe(guest, volume_add(list, devices[disk], disk, 0));
    return 0;
}

static bool has_lvm(struct guest *guest)
{
    char *lvm[] = {(char *)"lvm2", NULL};

    return guestfs_feature_available(guest->g, lvm) > 0;
}

/* Adds the logical volumes that the list does not have yet. */
static void add_logical_volumes(struct guest *guest, struct volume_list *list)
{
    _cleanup_strings_ char **lvs = has_lvm(guest) ? guestfs_lvs(guest->g) : NULL;

    for (char **d = lvs; d && *d; d++)
        if (!volume_find_device(list, *d))
            probe(guest, volume_add(list, *d, -1, 0));
}

int guest_volumes(struct guest *guest, struct volume_list *ret_list, struct error **err)
{
    struct volume_list list = {.disks = guest->disks};
    int r = add_disk_volumes(guest, &list, err);

    if (r == 0) {
        _cleanup_strings_ char **md = guestfs_list_md_devices(guest->g);

        for (char **d = md; d && *d; d++)
            probe(guest, volume_add(&list, *d, -1, 0));
        add_logical_volumes(guest, &list);
        *ret_list = list;
        return 0;
    }
    volume_list_done(&list);
    return r;
}

int guest_add_opened(struct guest *guest, struct volume_list *list, const char *outer,
                     const char *device, struct error **err)
{
    struct volume *v = volume_add(list, device, -1, 0);

    str_replace(&v->inside, outer);
    probe(guest, v);
    if (strcmp(v->type, "LVM2_member") != 0 || !has_lvm(guest))
        return 0;
    if (guestfs_lvm_scan(guest->g, 1) < 0)
        return guest_error(guest, err, "cannot find the logical volumes of an encrypted volume");
    add_logical_volumes(guest, list);
    return 0;
}

int guest_subvolumes(struct guest *guest, struct subvolume **ret_items, size_t *ret_count,
                     unsigned long long *ret_default, struct error **err)
{
    struct guestfs_btrfssubvolume_list *list = guestfs_btrfs_subvolume_list(guest->g, "/");
    int64_t id = list ? guestfs_btrfs_subvolume_get_default(guest->g, "/") : -1;
    struct subvolume *items;
    size_t count = 1;

    if (id < 0) {
        guestfs_free_btrfssubvolume_list(list);
        return guest_error(guest, err, "cannot list the subvolumes of a btrfs filesystem");
    }
    items = mem_new((size_t)list->len + 1, sizeof(*items));
    items[0] = (struct subvolume){.id = TOP_LEVEL_ID, .path = str_dup("")};
    for (uint32_t i = 0; i < list->len; i++)
        items[count++] = (struct subvolume){
            .id = list->val[i].btrfssubvolume_id,
            .path = str_dup(list->val[i].btrfssubvolume_path)};
    guestfs_free_btrfssubvolume_list(list);
    *ret_items = items;
    *ret_count = count;
    *ret_default = (unsigned long long)id;
    return 0;
}

int guest_check_filesystem(struct guest *guest, const struct volume *volume, struct error **err)
{
    _cleanup_strings_ char **facts = NULL;

    if (!str_starts(volume->type, "ext"))
        return 0;
    facts = guestfs_tune2fs_l(guest->g, volume->device);
    if (!facts)
        return guest_error(guest, err, volume->device);
    for (char **f = facts; f[0] && f[1]; f += 2)
        if (strcmp(f[0], "Filesystem state") == 0 && strcmp(f[1], "clean") != 0)
            return error_set(err, EUCLEAN,
                             "the guest's filesystem on %s (UUID %s) is marked '%s'; check it in "
                             "the source (fsck) and sync again",
                             volume->device, volume->uuid, f[1]);
    return 0;
}

/* udev puts MD devices together as partitions appear; this waits for none and finds the rest. */
static void assemble_md(struct guest *guest)
{
    char *words[] = {(char *)"mdadm -As --auto=yes --run >/dev/null 2>&1; udevadm settle", NULL};
    _cleanup_free_ char *output = NULL;

    output = guestfs_debug(guest->g, "sh", words);
}

static bool is_raid(const struct guest *guest, const char *device)
{
    _cleanup_free_ char *type = guestfs_vfs_type(guest->g, device);

    return type && strcmp(type, "linux_raid_member") == 0;
}

static bool has_raid(struct guest *guest)
{
    _cleanup_strings_ char **partitions = guestfs_list_partitions(guest->g);
    bool found = false;

    for (char **p = partitions; p && *p && !found; p++)
        found = is_raid(guest, *p);
    return found;
}

int guest_look_again(struct guest *guest, struct error **err)
{
    _cleanup_strings_ char **devices = guestfs_list_devices(guest->g);

    if (!devices)
        return guest_error(guest, err, "cannot list the guest's disks");
    for (char **d = devices; *d; d++)
        if (guestfs_blockdev_flushbufs(guest->g, *d) < 0 ||
            guestfs_blockdev_rereadpt(guest->g, *d) < 0)
            return guest_error(guest, err, "cannot read the partitions of the disks again");
    if (has_raid(guest))
        assemble_md(guest);
    if (has_lvm(guest) && guestfs_lvm_scan(guest->g, 1) < 0)
        return guest_error(guest, err, "cannot find the logical volumes of the disks");
    return 0;
}

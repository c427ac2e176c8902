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

/* The appliance's disks, in the order of --disk; they stay the same as long as it runs. */
static char **devices_of(struct guest *guest, struct error **err)
{
    if (!guest->devices)
        guest->devices = guestfs_list_devices(guest->g);
    if (!guest->devices)
        guest_error(guest, err, "cannot list the guest's disks");
    return guest->devices;
}

/* The disk and number of a partition that the appliance calls so.  Its name tells, which saves
 * programs of the appliance: each takes a tenth of a second where it is emulated. */
static void place_of(struct guest *guest, const char *partition, int *ret_disk, int *ret_number)
{
    _cleanup_free_ char *device = NULL;
    struct source_name name;

    *ret_disk = *ret_number = -1;
    if (str_starts(partition, "/dev/sd") && source_name_parse(partition, &name)) {
        *ret_disk = name.disk;
        *ret_number = name.partition;
        return;
    }
    device = guestfs_part_to_dev(guest->g, partition);
    if (device) {
        *ret_disk = guestfs_device_index(guest->g, device);
        *ret_number = guestfs_part_to_partnum(guest->g, partition);
    }
}

static int add_disk_volumes(struct guest *guest, struct volume_list *list, struct error **err)
{
    _cleanup_strings_ char **partitions = guestfs_list_partitions(guest->g);
    char **devices = devices_of(guest, err);
    bool used[256] = {false};

    if (!partitions)
        return guest_error(guest, err, "cannot list the guest's partitions");
    if (!devices)
        return -EIO;
    for (char **p = partitions; *p; p++) {
        int disk, number;

        place_of(guest, *p, &disk, &number);
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

static bool has_type(const struct volume_list *list, const char *type)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].type, type) == 0)
            return true;
    return false;
}

/* Adds the logical volumes that the list does not have yet. */
static int add_logical_volumes(struct guest *guest, struct volume_list *list, struct error **err)
{
    _cleanup_strings_ char **lvs = NULL;

    if (!has_type(list, "LVM2_member") || !has_lvm(guest))
        return 0;
    /* At its start the appliance looked for them, but then the disks may have held nothing. */
    if (guest->looked_again && guestfs_lvm_scan(guest->g, 1) < 0)
        return guest_error(guest, err, "cannot find the logical volumes of the disks");
    lvs = guestfs_lvs(guest->g);
    for (char **d = lvs; d && *d; d++)
        if (!volume_find_device(list, *d))
            probe(guest, volume_add(list, *d, -1, 0));
    return 0;
}

/* udev puts MD devices together as partitions appear; this waits for it and finds the rest. */
static void assemble_md(struct guest *guest)
{
    char *words[] = {(char *)"mdadm -As --auto=yes --run >/dev/null 2>&1; udevadm settle", NULL};
    _cleanup_free_ char *output = NULL;

    output = guestfs_debug(guest->g, "sh", words);
}

static void add_md_devices(struct guest *guest, struct volume_list *list)
{
    _cleanup_strings_ char **md = NULL;

    if (!has_type(list, "linux_raid_member"))
        return;
    if (guest->looked_again)
        assemble_md(guest);
    md = guestfs_list_md_devices(guest->g);
    for (char **d = md; d && *d; d++)
        probe(guest, volume_add(list, *d, -1, 0));
}

int guest_volumes(struct guest *guest, struct volume_list *ret_list, struct error **err)
{
    struct volume_list list = {.disks = guest->disks};
    int r = add_disk_volumes(guest, &list, err);

    if (r == 0) {
        add_md_devices(guest, &list);
        r = add_logical_volumes(guest, &list, err);
    }
    if (r < 0)
        volume_list_done(&list);
    else
        *ret_list = list;
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
    return add_logical_volumes(guest, list, err);
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

int guest_look_again(struct guest *guest, struct error **err)
{
    char **devices = devices_of(guest, err);

    if (!devices)
        return -EIO;
    guest->looked_again = true;
    for (char **d = devices; *d; d++)
        if (guestfs_blockdev_flushbufs(guest->g, *d) < 0 ||
            guestfs_blockdev_rereadpt(guest->g, *d) < 0)
            return guest_error(guest, err, "cannot read the partitions of the disks again");
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest's disks hold, and which of it a device name written inside the guest means.
 * Pure: filled by guest.c, or by hand in tests.
 *
 * A name such as /dev/sdb3 says "third partition of the second disk".  The order of the disks is
 * the order in which --disk gave them, so it can be resolved; a by-path or by-id name says nothing
 * about the order and can be resolved only when there is one disk.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"

struct volume {
    char *device;   /* appliance name: /dev/sda1, /dev/vg0/root */
    int disk;       /* index of the --disk it lies on; -1 for LVM and MD */
    int partition;  /* from 1; 0: not a partition */
    char *type;     /* as blkid says: ext4, swap, crypto_LUKS, …; "" when unknown */
    char *uuid;     /* "" when it has none */
    char *label;    /* "" when it has none */
    char *partuuid; /* "" when it has none */
};

struct volume_list {
    struct volume *items;
    size_t count;
    int disks; /* how many --disk were given */
};

/* Adds an empty volume named device; valid until the next volume_add(). */
struct volume *volume_add(struct volume_list *list, const char *device, int disk, int partition);
void volume_list_done(struct volume_list *list);

/* A device name that belongs to the source's hardware. */
struct source_name {
    int disk;      /* from 0; -1 when the name does not tell */
    int partition; /* from 1; 0: the whole disk */
};

/* True and *ret_name when `device` is such a name: /dev/sdXN, hd, vd, xvd, nvme, mmcblk,
 * /dev/disk/by-path, /dev/disk/by-id (but not dm- and lvm- ids, which move with the data). */
bool source_name_parse(const char *device, struct source_name *ret_name);

/*
 * The volume a source name means, or NULL and *ret_why (static text, a clause) when that cannot be
 * told for sure.  `type` is the filesystem type expected there (fstab's third field), or NULL.
 */
const struct volume *volume_of_source_name(const struct volume_list *list, const char *device,
                                           const char *type, const char **ret_why);

/* The volume that UUID=, LABEL=, PARTUUID=, /dev/disk/by-{uuid,label,partuuid}/, /dev/mapper/VG-LV,
 * /dev/VG/LV or a source name means; NULL when none does. */
const struct volume *volume_find(const struct volume_list *list, const char *spec);

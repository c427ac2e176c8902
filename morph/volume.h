/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest's disks hold, and which of it a device name written inside the guest means.
 * Pure: filled by guest.c, or by hand in tests.
 *
 * A name such as /dev/sdb3 says "third partition of the second disk".  The order of the disks is
 * the order in which --disk gave them, so it can be resolved.  A name from by-path, by-id or
 * multipath says nothing about the order, and one of IDE little: it is resolved when one disk only
 * has that partition with the type that is expected there.
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
    char *inside;   /* device of the encrypted volume it was opened from; "" otherwise */
    char *name;     /* what the guest calls it when it opens it (/dev/mapper/cryptroot); or "" */
    bool esp;       /* an EFI system partition, by the type in a GPT */
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

/* True and *ret_name when `device` is such a name: /dev/sdXN, hd, vd, xvd, nvme, mmcblk, cciss,
 * /dev/mapper/mpathX, /dev/disk/by-path, /dev/disk/by-id (but not dm-, lvm- and md- ids, which move
 * with the data). */
bool source_name_parse(const char *device, struct source_name *ret_name);

/*
 * The volume a source name means, or NULL and *ret_why (static text, a clause) when that cannot be
 * told for sure.  `type` is the filesystem type expected there (fstab's third field), or NULL.
 */
const struct volume *volume_of_source_name(const struct volume_list *list, const char *device,
                                           const char *type, const char **ret_why);

enum volume_form {
    VOLUME_SPEC,     /* UUID=…; a path where the name is one below /dev/disk already */
    VOLUME_PATH,     /* /dev/disk/by-uuid/…, for programs that want a path */
    VOLUME_PARTITION /* PARTUUID=…, which a kernel without initramfs understands */
};

/*
 * A name for what the source name means that does not depend on hardware: of its content (UUID), or
 * of its partition where the content has none.  NULL and *ret_why as volume_of_source_name().
 */
char *volume_lasting_name(const struct volume_list *list, const char *device, const char *type,
                          enum volume_form form, const char **ret_why);

/* The volume that UUID=, LABEL=, PARTUUID=, /dev/disk/by-{uuid,label,partuuid}/, /dev/mapper/VG-LV,
 * /dev/VG/LV or a source name means; NULL when none does. */
const struct volume *volume_find(const struct volume_list *list, const char *spec);

/* The first volume of this type, or NULL. */
const struct volume *volume_find_type(const struct volume_list *list, const char *type);

/* The volume that has this appliance name, or NULL. */
const struct volume *volume_find_device(const struct volume_list *list, const char *device);

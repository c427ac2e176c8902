/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store on disk: which disks it has (vm.json, written once), and making one (T1).
 *
 *   STORE/vm.json  STORE/super  STORE/<disk>/{map.E, dig, L<g>.data, L<g>.idx, L<g>.dig}
 */
#pragma once

#include "engine/disk.h"
#include "engine/super.h"

struct store_disk {
    char name[DISK_NAME_MAX + 1];
    char *target;
    uint64_t size; /* bytes */
    bool preseed;  /* store_create(): the target holds an old copy of the disk */
};

struct store_vm {
    uint16_t keep; /* store_create(): older generations that stay readable (engine/room.h) */
    char *name;
    uint8_t uuid[16];
    unsigned disk_count;
    struct store_disk disks[DISKS_MAX];
};

void store_vm_done(struct store_vm *vm);

/* 0, or a sentence that says which rule the name breaks. */
int store_check_disk_name(const char *name, struct error **err);

/* Parses vm.json text, which is not trusted.  where: names the file in sentences. */
int store_vm_parse(const char *text, size_t length, const char *where, struct store_vm *ret_vm,
                   struct error **err);

/* Reads STORE/vm.json. */
int store_vm_read(struct io *io, const char *store, struct store_vm *ret_vm, struct error **err);

/*
 * T1.  size 0 in vm->disks[i]: that of the existing target.  Targets that do not exist are made as
 * sparse files; a preseeded one must exist.  On failure nothing is left behind.
 */
int store_create(struct io *io, const char *store, struct store_vm *vm, struct error **err);

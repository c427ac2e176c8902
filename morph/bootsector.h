/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What BIOS would start from a disk: the code in its first sector.  Pure.
 *
 * The first 440 bytes are code.  Both GRUBs have the text "GRUB " in theirs; GRUB 2's has at 0x5c
 * (8 bytes) the number of the sector that it loads next, where GRUB legacy has its version (3.2) at
 * 0x3e and other fields.  Source: grub-core/boot/i386/pc/boot.S, grub legacy's stage1.S.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BOOTSECTOR_SIZE 512

/* From what cannot boot to what can; the best of a guest's disks counts. */
enum boot_code {
    BOOT_CODE_UNREAD,
    BOOT_CODE_NONE,   /* nothing there */
    BOOT_CODE_BROKEN, /* GRUB 2, and where the rest of it should be is nothing */
    BOOT_CODE_OTHER,  /* something: it may start a partition, or be another loader */
    BOOT_CODE_GRUB
};

/* The code in a first sector; *ret_next is the sector that it loads next, 0 when not known. */
enum boot_code bootsector_read(const unsigned char sector[BOOTSECTOR_SIZE], uint64_t *ret_next);

/* True when all bytes are zero. */
bool bootsector_is_empty(const unsigned char *bytes, unsigned count);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much of NTFS as tells whether Windows left a volume in order: the boot sector, and the flags
 * in the record of the file $Volume.  Pure; the layout is the one of the Linux NTFS documentation.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NTFS_SECTOR 512
#define NTFS_RECORD_MAX 65536

enum ntfs_kind { NTFS_NOT, NTFS_PLAIN, NTFS_BITLOCKER };

struct ntfs {
    uint64_t volume_record; /* where the record of $Volume is, bytes from the volume's start */
    size_t record_size;     /* bytes */
};

/* What a volume is, by its first NTFS_SECTOR bytes; *ret_ntfs is filled for NTFS_PLAIN. */
enum ntfs_kind ntfs_read_boot(const unsigned char *sector, struct ntfs *ret_ntfs);

/* True and *ret_flags for a sound record of $Volume.  Changes `record` (sector ends are put back
 * in their places). */
bool ntfs_read_flags(unsigned char *record, size_t length, uint16_t *ret_flags);

/* In those flags: Windows wants the volume checked before it is used. */
#define NTFS_FLAG_DIRTY 0x0001

/* The first bytes of hiberfil.sys say that Windows sleeps in it (also after "shut down" with fast
 * startup), and expects its volumes to be as it left them. */
#define NTFS_HIBERFILE_HEAD 4
bool ntfs_is_hibernated(const char head[static NTFS_HIBERFILE_HEAD]);

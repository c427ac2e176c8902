/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of fsck: what its files share. */
#pragma once

#include "engine/disk.h"
#include "engine/fsck.h"
#include "engine/pagefile.h"
#include "engine/store.h"
#include "engine/super.h"

#define SYNC_AGAIN "restore it from a backup, or make a new store and sync again"

struct fsck {
    struct io *io;
    const char *store;
    struct fsck_options options;
    json_t *findings;
    unsigned damages;
    struct store_vm vm;
    struct super super;
    uint64_t done_bytes, total_bytes;
};

enum severity { NOTE, DAMAGE };

/* Adds a finding; meaning as printf. */
void fsck_find(struct fsck *fsck, enum severity severity, const char *thing,
               const char *action, const char *meaning_fmt, ...)
    __attribute__((format(printf, 5, 6)));

#define find fsck_find /* the word of every second line here */

/* The fd, for reading, of a file that must have `size` bytes (or more, with at_least), else -1 and
 * a finding. */
int fsck_open_sized(struct fsck *fsck, const char *path, uint64_t size, bool at_least,
                    const char *action);

/* Pages with one bad slot are a note; the reading before refused those with two. */
void fsck_check_pages(struct fsck *fsck, const struct pagefile *pf, const char *path,
                      const char *what);

/* fsck-owner.c: an owner's own files, of the store and of one disk. */
void fsck_check_owner(struct fsck *fsck);
void fsck_check_owner_disk(struct fsck *fsck, const struct disk *disk,
                           const struct super_disk *super);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The superblock: the only mutable root of a store, one for all disks of the VM, so that a
 * generation and a flip are atomic over all of them.  Two slots of 4 KiB written in turn; the valid
 * slot with the highest sequence number wins.
 */
#pragma once

#include <pthread.h>
#include "engine/format.h"
#include "engine/io.h"

enum store_mode {
    MODE_INIT = 1, /* initial sync */
    MODE_MIRROR,   /* read-only, follows the source */
    MODE_OWNER_HYD,
    MODE_OWNER,    /* read-write, the truth */
    MODE_FAILBACK,
    MODE_DETACHED, /* the engine has let go of the targets */
    MODE_RETURNED,
    MODE_FAILED,
    _MODE_MAX
};

/* "init", "mirror", ...; static. */
const char *store_mode_name(enum store_mode mode);

/* The guest reads and writes the target. */
static inline bool store_mode_is_owner(enum store_mode mode)
{
    return mode == MODE_OWNER_HYD || mode == MODE_OWNER || mode == MODE_FAILBACK;
}

#define SUPER_DISK_EMPTY 1   /* the target was made by us, empty: what was not written reads zero */
#define SUPER_DISK_ALL_MISSING 2 /* owner: a map page that was never written means "all missing" */
#define SUPER_DISK_PRESEED 4   /* init: the target holds an old copy of the disk */
#define SUPER_LOCAL_CHANGES 1 /* a draft was committed: no more deltas from the source */
#define SUPER_PUSH 4          /* init: clients of the engine bring the copy, no sync does */
#define SUPER_LATCHED 2       /* owner: what the guest wrote could not be made durable once */
#define NO_GENERATION UINT64_MAX
#define KEEP_MAX (LAYERS_MAX - 1) /* room for the next generation must be left */

/* What gives way when there is no room for another generation (engine/room.h). */
enum when_full { WHEN_FULL_REVOKE, WHEN_FULL_WAIT, _WHEN_FULL_MAX };
const char *when_full_name(enum when_full when); /* "revoke", "wait"; static */

struct super_disk {
    uint64_t size;      /* bytes */
    uint64_t base_gen;  /* generation TARGET holds; NO_GENERATION in INIT */
    uint64_t folding;   /* layer being folded, 0: none (generation 0 is never a layer) */
    uint64_t map_epoch; /* number of the map file in use, 0: none */
    uint8_t layer_count;
    uint8_t flags;      /* SUPER_DISK_* */
    uint64_t layers[LAYERS_MAX + 1]; /* oldest first */
    uint8_t target_id[16];
};

struct super {
    uint64_t seq;
    uint8_t vm_uuid[16];
    enum store_mode mode;
    uint8_t flags;        /* SUPER_* */
    uint8_t clean;        /* the engine ended in order */
    uint8_t boot_id[16];
    uint64_t cur_gen;     /* last committed generation, NO_GENERATION before the first */
    char snapshot[SNAPSHOT_ID_MAX + 1]; /* identity of cur_gen's point in time */
    uint8_t live_nonce[16]; /* of the live files of owner mode */
    uint8_t token[16];      /* of the last command that had one: it takes effect once */
    uint16_t keep;          /* older generations that stay readable without a reader */
    uint8_t when_full;      /* enum when_full */
    uint64_t space_budget;  /* bytes in layers that are not folded; 0: no limit */
    uint16_t disk_count;
    struct super_disk disks[DISKS_MAX];
};

/* Encodes into 4096 bytes with checksum. */
void super_encode(const struct super *super, uint8_t slot[META_PAGE]);

/* Decodes and checks every field's range.  -EBADMSG: damaged or never written; -EPROTO: of a
 * newer format (*ret_version tells which). */
int super_decode(const uint8_t slot[META_PAGE], struct super *ret_super, uint32_t *ret_version);

/* The superblock file: reading, and the read-modify-write that commits. */
struct superfile {
    struct io *io;
    int fd;
    pthread_mutex_t lock; /* serialises updates; guards `current` against them */
    struct super current;
    bool failed; /* a write of the root failed: what is durable is unknown, nothing may follow */
};

/* Opens the file `path` of a store, which must have it; flags as io's open.  The fd or -errno. */
int superfile_open(struct io *io, const char *path, unsigned flags, struct error **err);

/* Reads both slots; fd stays the caller's.  Sentences say what is wrong with which file. */
int superfile_load(struct superfile *sf, struct io *io, int fd, const char *path,
                   struct error **err);

/* Changes a copy of the root by fn (0 or -errno to give up) and makes it durable, first in the older
 * slot (the commit point of every transition), then in the other one as well.  After a failed write
 * every later update fails with -EIO. */
int superfile_update(struct superfile *sf, int (*fn)(struct super *super, void *context),
                     void *context);

/* A copy of the current root. */
struct super superfile_get(struct superfile *sf);

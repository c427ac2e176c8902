/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One disk in the owner modes (owner-hydrating, owner, failback): the target is read and written by
 * the guest.  While hydrating, a mask per block says which 4 KiB sub-blocks of the target are not
 * yet the truth; where a missing block comes from is decided by the newest source layer whose change
 * set has it: that layer's data if it is there, else the remote source.
 *
 *   owner.c        making, ending, the flags
 *   owner-io.c     reads, writes, zero, trim, extents (T11, T14; engine.md's rules in the comments)
 *   owner-sync.c   flush by group commit, checkpoints, pruning the activity log (T12, T13)
 *   owner-begin.c  the flip's part of it (T10) and recovery (T19)
 *   owner-planes.c dirty planes
 *   hydrate.c      bringing missing blocks (T15)
 *
 * All I/O to the target in owner mode goes through the page cache (target.buffered_fd): mixing it
 * with O_DIRECT on neighbouring sub-blocks can fail an fdatasync that nothing was wrong with.
 *
 * Order per write: gate_enter → activity log → dirty bit → data → masks cleared → gate_leave.
 */
#pragma once

#include "engine/actlog.h"
#include "engine/disk.h"
#include "engine/gate.h"
#include "engine/live.h"

#define OWNER_STRIPES 1024
#define OWNER_STRIPE_BYTES (UINT64_C(1) << 20)

struct engine;
struct hydrator;

struct owner {
    struct engine *engine;
    struct disk *disk;
    struct map *map;       /* the masks, in live->missing, and the map file */
    struct live *live;
    struct actlog *log;
    struct pagefile planes_file; /* dirty planes, behind the masks in the map file */
    _Atomic uint32_t *planes_changed, *planes_durable; /* per page of it: sequence numbers */
    uint32_t plane_pages;
    pthread_mutex_t planes_lock; /* one checkpoint of the planes at a time */
    struct gate gate;
    atomic_bool complete;  /* nothing is missing: masks are not looked at any more */
    struct layer *layers[LAYERS_MAX + 1]; /* local sources of missing blocks, newest first */
    unsigned layer_count;
    struct hydrator *hydrator; /* NULL: nothing is missing */
    pthread_mutex_t stripes[OWNER_STRIPES];

    /* flush: rounds of a group commit */
    pthread_mutex_t flush_lock;
    pthread_cond_t flush_ended;
    uint64_t flush_started, flush_done; /* numbers of rounds */
    bool flush_running;
    int flush_result;      /* of the last round */

    atomic_uint guest_requests;      /* under way now */
    _Atomic uint64_t guest_last_ns;  /* when the last one began (clock_now_ns) */
};

/* ---- for exports; offsets and lengths in bytes, inside the disk; any thread; 0 or -errno ---- */

int owner_pread(struct owner *owner, void *data, uint32_t length, uint64_t offset);
int owner_pwrite(struct owner *owner, const void *data, uint32_t length, uint64_t offset,
                 unsigned flags); /* EXPORT_FUA */
int owner_zero(struct owner *owner, uint32_t length, uint64_t offset, unsigned flags);
int owner_trim(struct owner *owner, uint32_t length, uint64_t offset, unsigned flags);
int owner_flush(struct owner *owner);
int owner_cache(struct owner *owner, uint32_t length, uint64_t offset);
int owner_extents(struct owner *owner, uint64_t length, uint64_t offset,
                  int (*fn)(uint64_t, uint64_t, unsigned, void *), void *context);

/* ---- for hydration ---- */

/* Where the missing parts of a block come from.  *ret_layer and *ret_state (DATA or ZERO) for
 * OWNER_FROM_LAYER. */
enum owner_from { OWNER_HERE, OWNER_FROM_LAYER, OWNER_FROM_REMOTE };
enum owner_from owner_lookup(const struct owner *owner, uint64_t block, struct layer **ret_layer,
                             enum block_state *ret_state);

/*
 * T15 for `count` consecutive blocks whose content at the flip is `data` (whole blocks, the last one
 * of the disk may be short; NULL: zeros): under the stripe lock, writes only what is still missing,
 * then clears the masks.  digests: DIGEST_SIZE each, or NULL when they are not known.
 */
int owner_hydrate(struct owner *owner, uint64_t block, uint32_t count, const void *data,
                  const uint8_t *digests);

/* Brings what a layer has of these blocks; leaves what only the remote source has. */
int owner_hydrate_local(struct owner *owner, uint64_t block, uint32_t count);

/* Waits until nothing of the blocks is missing.  -EIO: only the source has them, and it is not
 * there. */
int owner_bring(struct owner *owner, uint64_t first_block, uint64_t last_block);

/* Bytes in blocks with a missing sub-block; those of them that only the remote source has. */
uint64_t owner_missing_bytes(const struct owner *owner);

/* ---- housekeeping ---- */

/* A flush that nobody waits for: mask pages become durable (every 5 s or 1 GiB while hydrating). */
int owner_checkpoint(struct owner *owner);
/* Dirty planes to the map file. */
int owner_checkpoint_planes(struct owner *owner);
/* Clears the activity log if the planes are durable and it would shrink: 1: done, 0: not now. */
int owner_prune(struct owner *owner);

/* ---- dirty planes, for failback ---- */

bool owner_is_dirty(const struct owner *owner, unsigned plane, uint64_t block);
/* First block >= from that is dirty in the plane, or disk->blocks. */
uint64_t owner_find_dirty(const struct owner *owner, unsigned plane, uint64_t from);
uint64_t owner_count_dirty(const struct owner *owner); /* blocks dirty in either plane */
void owner_clear_dirty(struct owner *owner, unsigned plane, uint64_t block, uint64_t count);

/* ---- life ---- */

/* What an epoch begins with. */
struct owner_begin {
    uint64_t epoch;
    const uint8_t *nonce;
    struct layer *layers[LAYERS_MAX + 1]; /* newest first: their change sets are missing, and those
                                           * of local ones (a draft's) are dirty as well */
    unsigned layer_count;
    bool all_missing;            /* flip in INIT: pages that are not written mean "all missing" */
    const struct map *initial;   /* INIT's masks; then ... */
    const uint64_t *changed;     /* ... a bit per block that changed since: missing, too; or NULL */
    const struct owner *previous; /* the epoch before, of an owner that gets more layers; or NULL */
};

/*
 * T10.4 for one disk: the target is made durable as it is, then map, activity log and live file of
 * the new epoch.  Nothing refers to them before the root does.  References to the layers are taken.
 */
int owner_create(struct engine *engine, struct disk *disk, const struct owner_begin *begin,
                 struct owner **ret_owner);

/*
 * flip-layers.c: a draft over the owner is sealed.  `layers`, by disk index, each sealed and local, of
 * generation cur_gen + 1 (NULL: this disk has none), become the newest hydration sources of a new
 * epoch by one root write, in which `change` notes what else is new (the generation).  The mode is
 * owner-hydrating then; clients may come at once.  References to the layers are taken.
 * EBUSY: a client has the owner open, or too many layers.  The caller holds the operation.
 */
struct super;
int owner_add_layers(struct engine *engine, struct layer *layers[DISKS_MAX],
                     int (*change)(struct super *super, void *context), void *context,
                     struct error **err);

enum owner_start {
    OWNER_ADOPT,      /* the live file a killed engine left */
    OWNER_AFTER_END,  /* the map file, after an end in order */
    OWNER_AFTER_LOSS, /* the map file, after a power loss: the activity log's regions are dirty */
};

/* What a mask page that was never written means. */
enum owner_absent {
    OWNER_ABSENT_LAYERS,  /* what the layers' change sets say */
    OWNER_ABSENT_MISSING, /* all missing */
    OWNER_ABSENT_HERE,    /* nothing is missing, no page counts (mode owner) */
};

/* T19 for one disk whose layers are opened.  nonce: of the live file there is (adopt) or will be. */
int owner_recover(struct engine *engine, struct disk *disk, enum owner_start start, uint64_t epoch,
                  enum owner_absent absent, const uint8_t nonce[LIVE_NONCE_SIZE],
                  struct owner **ret_owner);

/* True when the live file of the disk is there and is the one the superblock names. */
bool owner_has_live(const struct engine *engine, const struct disk *disk, uint64_t epoch,
                    const uint8_t nonce[LIVE_NONCE_SIZE]);

/* Files of an epoch; the caller frees. */
char *owner_log_path(const struct disk *disk, uint64_t epoch);
char *owner_live_path(const struct engine *engine, const struct disk *disk, uint64_t epoch);

/* T16: everything is here: checkpoint, then the caller writes the root (mode owner, no layers) and
 * calls owner_completed(), which lets go of layers and masks. */
bool owner_is_complete(const struct owner *owner); /* masks are all 0 */
void owner_completed(struct owner *owner);

/* An end in order: everything to the map file, the digests durable.  The caller then writes the root
 * (clean) and removes the live file. */
int owner_finish(struct owner *owner);

/* Unmaps, closes.  Nobody uses it any more; its hydrator is gone.  NULL is fine. */
void owner_free(struct owner *owner);

/* ---- for the files of owner itself ---- */

/* The bits a fully missing block has: fewer for the end of the disk. */
uint16_t owner_block_mask(const struct disk *disk, uint64_t block);
struct owner *owner_alloc(struct engine *engine, struct disk *disk);
/* Marks what a write will change, before it does: activity log, dirty bits.  Inside the gate. */
int owner_mark(struct owner *owner, unsigned plane, uint64_t offset, uint64_t length);
void owner_set_dirty(struct owner *owner, unsigned plane, uint64_t block);
#define KIND_PLANES 0x4c50 /* "PL": pages of them */
uint32_t owner_plane_pages(const struct disk *disk); /* of the planes in the map file */
int owner_planes_attach(struct owner *owner, uint64_t epoch);
/* adopt: pages that differ from the live planes are to be written; else they are read into plane 0. */
int owner_planes_load(struct owner *owner, bool adopt);
/* A write or sync of ours failed: nothing may follow; remembered in the root as well. -EIO. */
int owner_fail(struct owner *owner);

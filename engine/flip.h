/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From mirror (or initial sync) to owner: T10, and out of the way: T18.
 *
 * A warm flip folds what can be folded; local layers (sealed drafts) become hydration sources that
 * are brought before it returns.  An instant flip takes what is here at this moment, also in the
 * middle of the initial sync or of a delta; the rest is fetched from the source while the VM runs.
 */
#pragma once

#include "engine/sync.h"
#include "engine/owner.h"
#include "engine/vm.h"

struct flip_request {
    uint64_t grace_ns;     /* for readers of the mirror */
    bool older;            /* warm: to `generation`, which is retained; newer ones are discarded */
    uint64_t generation;
    bool instant;
    /* instant: where the final point in time is read from; every disk, as for a sync.  bitmap: the
     * changes since `since`; without one everything is fetched again (unless nothing changed). */
    const struct sync_source *sources;
    unsigned source_count;
    const char *snapshot;  /* identity of the final point in time */
    const char *since;     /* which snapshot the bitmaps begin at; NULL: the current generation's */
    const uint8_t *token;  /* 16 bytes, or NULL */
};

/* After success the mode is owner, or owner-hydrating (instant, and something is missing).  After a
 * failure that is not the store's own, everything is as before. */
int engine_flip(struct engine *engine, const struct flip_request *request, progress_fn *progress,
                void *context, struct error **err);
int engine_detach(struct engine *engine, uint64_t grace_ns, const uint8_t *token,
                  struct error **err);

/* ---- for flip.c, flip-instant.c and what else begins an epoch ---- */

/* What an instant flip found out about one disk. */
struct flip_disk {
    struct disk *disk;
    struct reader *reader;
    struct layer *top;   /* the partial layer, or NULL; ours until the root names it */
    uint64_t *changed;   /* INIT: a bit per block, or NULL */
};

struct flip {
    struct engine *engine;
    const struct flip_request *request;
    bool initial;        /* out of INIT */
    uint64_t gen;        /* warm: the one that becomes the owner */
    char snapshot[SNAPSHOT_ID_MAX + 1]; /* older: what is known of its identity */
    bool fresh;          /* INIT without anything that counts: all is missing */
    unsigned disk_count;
    struct flip_disk disks[DISKS_MAX];
};

/* flip-instant.c: opens the sources and makes the change sets durable (T10.1); flip_done() is owed
 * in any case. */
int flip_prepare(struct flip *flip, struct error **err);
void flip_done(struct flip *flip);

/* Readers of the mirror must not see guest writes through the target: after `grace` their reads
 * fail.  Waits for reads under way. */
void flip_end_readers(struct engine *engine, uint64_t grace_ns);

/*
 * T10.4 and T10.5 for all disks: new epochs over `begins` (epoch and nonce are filled in here), then
 * one root: mode owner-hydrating, or owner when nothing is missing, with the layers of `begins`.
 * change: what else the root is to say, or NULL.  The owners are published; the fold is held off
 * meanwhile by the caller (fold_lock).
 */
int flip_commit(struct engine *engine, struct owner_begin begins[DISKS_MAX],
                int (*change)(struct super *super, void *context), void *context,
                struct error **err);

/* T16, when every disk is complete: root mode owner, layers and source let go.  1: done. */
int flip_complete(struct engine *engine);

/* Brings everything that layers have; for epochs without a remote source. */
int flip_hydrate_local(struct engine *engine, progress_fn *progress, void *context,
                       struct error **err);

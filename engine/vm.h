/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of struct engine, for the engine's own files.
 *
 * Locks, in the order they are taken:
 *   engine->epoch_lock  the epoch of owner mode (keeper, drafts over an owner, failback, detach)
 *   engine->fold_lock   one folder at a time (the fold thread or a flip)
 *   engine->lock        views, layer lists, generation, exports, operation in progress
 *   superfile.lock      the root (inside superfile_update)
 * On their own: engine->limit_lock (held across one small file), limits->lock and yield->lock
 * (arithmetic only; taken inside any other).
 * No lock is held across source I/O.  engine->lock is not held across local I/O.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include "engine/disk.h"
#include "engine/engine.h"
#include "engine/limit.h"
#include "engine/reader.h"
#include "engine/super.h"
#include "engine/view.h"
#include "engine/writer.h"
#include "engine/yield.h"

struct diff;
struct draft;
struct load;
struct sync;
struct verify;
struct ctlserver;
struct owner;
struct failback;

struct engine {
    struct io *io;
    char *store;
    char *control_path;
    char *vm_name;
    struct engine_options options;
    const struct reader_factory *readers; /* how sources are read; tests replace it */
    const struct writer_factory *writers; /* how failback writes; tests replace it */
    uint64_t fence_ns;
    int super_fd;
    struct superfile super;
    unsigned disk_count;
    struct disk disks[DISKS_MAX];

    pthread_mutex_t lock;
    pthread_cond_t changed;     /* anything below changed */
    struct view *views;         /* live views */
    struct view *latest;        /* published; NULL before generation 0 and in owner mode */
    uint64_t cur_gen;
    _Atomic enum store_mode mode; /* changed under the lock, after what it promises */
    const char *operation;      /* exclusive operation in progress, or NULL */
    struct sync *sync;          /* running sync, for status, joining and cancelling */
    struct verify *verify;      /* running verify or manifest, for cancelling */
    struct diff *diffs;         /* running ones, for cancelling */
    struct draft *drafts;       /* oldest first */
    struct load *load;          /* the open push, or NULL */
    uint16_t keep;              /* the policy of engine/room.h */
    enum when_full when_full;
    uint64_t space_budget;
    uint64_t revoke_grace_ns;
    uint64_t revoked_count, revoked_gen; /* pins that had to go so far; the last one's generation */
    uint64_t fold_goal;         /* a flip folds all up to it; NO_GENERATION: what is not kept */
    bool folding;               /* the fold thread is at work */
    int fold_error;             /* of its last attempt, 0 or -errno */
    bool flipping;              /* no new pins, no new drafts */
    bool returning;             /* no new clients of an owner: the final pass of failback runs */
    struct failback *failback;  /* running failback, for status and cancelling */
    atomic_bool failed;         /* latched: a root write or fdatasync failed */
    uint64_t owner_opens;       /* read-write exports opened so far */
    unsigned open_exports;
    struct export *exports;     /* list of open ones */

    char *live_folder;          /* of live files, in memory */
    pthread_mutex_t epoch_lock; /* an epoch of owner mode is ended, begun, or looked after */
    pthread_mutex_t keeper_lock;
    pthread_cond_t keeper_wake;
    pthread_t keeper_thread;
    bool keeper_started;
    bool started;               /* threads may be made */

    pthread_mutex_t fold_lock;
    atomic_bool fold_yield;     /* the fold thread lets go of fold_lock soon */
    pthread_t fold_thread;
    bool fold_started;
    atomic_bool stopping;

    struct ctlserver *control;

    struct limits *limits;      /* of background work; never NULL */
    pthread_mutex_t limit_lock; /* one change of the limits, with its file, at a time */
    struct yield yield;         /* who uses the disks while background work goes on */
};

/* engine_open() with the I/O and the readers given: for tests. */
int engine_open_with(const struct engine_options *options, struct io *io,
                     const struct reader_factory *readers, struct engine **ret_engine,
                     struct error **err);

struct disk *engine_disk(struct engine *engine, const char *name); /* NULL: no such disk */

/* Marks the engine failed (no more changes until restart and a look by the operator). */
void engine_fail(struct engine *engine);

/* EIO when the engine has failed, EPERM when `name` does not fit the mode, with a sentence.
 * `modes`: bit 1 << mode allowed. */
int engine_check_mode_locked(const struct engine *engine, const char *name, unsigned modes,
                             struct error **err);

/* Begins an exclusive operation; EBUSY, or as engine_check_mode_locked(). */
int engine_operation_begin(struct engine *engine, const char *name, unsigned modes,
                           struct error **err);
void engine_operation_end(struct engine *engine);

/* Makes and publishes the latest view from engine->cur_gen and the disks' layers. */
int engine_publish_locked(struct engine *engine);

/* Long verbs report through this; done/total in bytes.  A negative result is ignored. */
struct progress_report {
    const char *phase; /* "map", "copy", "seal", "fold" */
    uint64_t done_bytes, total_bytes;
    uint64_t written_bytes, same_bytes; /* copy: stored; here already and left alone */
};
typedef void progress_fn(const struct progress_report *report, void *context);

/* Reads STORE/limits.json into effect.  verbs-limit.c. */
int engine_limits_open(struct engine *engine, struct error **err);

/*
 * Changes limits durably (STORE/limits.json), then in effect: of one disk, or of the VM with disk
 * NULL.  rates: an object with some of the four names of limitfile.h; NULL changes nothing.
 */
int engine_limit(struct engine *engine, struct disk *disk, const void *rates, struct error **err);

/* The limits as status and the verb tell them; a new json_t reference. */
void *engine_limits_json(struct engine *engine);

/* status.c: the status object (docs/FORMATS.md), a new json_t reference. */
void *engine_status(struct engine *engine);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bulk loop: fetches the wanted blocks of one disk from its source and puts them into the
 * target (initial sync) or a layer (delta).
 *
 * struct pull is one disk's work, shared by several pullers; struct puller is one connection with
 * its own ring and buffers, a step machine that owns no thread: the product runs each in a thread,
 * the model test calls the steps itself.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include "engine/limit.h"
#include "engine/reader.h"
#include "engine/ring.h"
#include "engine/view.h"

#define PULL_CHUNK (UINT64_C(1) << 20) /* bytes of one request at most */
#define PULL_DEPTH 8                   /* of them per puller */
#define PULL_SMALL (UINT64_C(2) * BLOCK_SIZE) /* scattered blocks make small requests ... */
#define PULL_SMALL_DEPTH 24                   /* ... so more of them are kept in flight */

struct pull {
    struct disk *disk;
    struct layer *layer;  /* NULL: into the target, by disk->map */
    struct view *compare; /* not NULL: blocks equal to this view are left out of the layer */
    bool compare_bytes;   /* ... by their bytes, not by the digests that were kept */
    bool preseed;         /* into the target: blocks that it holds already are not written */
    bool allocate_ahead;  /* reserve space in front of the writes */
    struct limits *limits; /* NULL: none */

    pthread_mutex_t lock;
    uint64_t cursor;      /* next block to look at; guarded by lock */
    uint64_t allocated_to; /* bytes; guarded by lock */
    int error;            /* first failure, positive errno; guarded by lock */
    char error_text[512];

    atomic_bool stop;
    _Atomic uint64_t read_bytes;    /* fetched from the source */
    _Atomic uint64_t written_bytes; /* written to target or layer */
    _Atomic uint64_t zero_bytes;    /* found or known to be zero */
    _Atomic uint64_t same_bytes;    /* compared and equal */
    _Atomic uint64_t done_bytes;    /* of the wanted ones, finished */
    _Atomic uint64_t read_ns;       /* what a read of the source takes, of the last ones; 0: none */
};

void pull_init(struct pull *pull, struct disk *disk, struct layer *layer, struct view *compare);
void pull_done(struct pull *pull);

/* Remembers the first failure and stops all pullers.  Returns -code. */
int pull_fail(struct pull *pull, int code, const char *text);

enum pull_step {
    PULL_DONE, /* nothing left to do for this puller */
    PULL_MORE, /* call again */
    PULL_WAIT, /* call puller_wait(), then again: for I/O, or until a limit lets it go on */
};

struct puller;

/* reader stays the caller's.  ring kind as ring_new chooses. */
int puller_new(struct pull *pull, struct reader *reader, struct puller **ret_puller);
void puller_free(struct puller *puller); /* waits for what is in flight */

/* enum pull_step, or -errno after pull_fail(). */
int puller_step(struct puller *puller);
int puller_wait(struct puller *puller);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer: the changed blocks of one disk between two generations, in a sparse file at the same
 * offsets as on the disk, plus an index.
 *
 * Index: one state per block, two bits:
 *     0 UNCHANGED   not in the change set
 *     1 PENDING     in the change set, not here yet
 *     2 DATA        in the change set, bytes are in the data file
 *     3 ZERO        in the change set, reads as zero
 * so the change set is state != 0 and the loaded set is state >= 2; one page write covers both, and
 * pages of unchanged regions are neither written nor held in memory.
 *
 * Files: STEM.data (blocks), STEM.idx (page pair 0: header; pairs 1..: states), STEM.dig (16 bytes
 * per block).  A layer that no superblock lists does not exist for readers.
 *
 * States are changed by any thread (atomically); checkpoint, seal and load by one thread at a time.
 */
#pragma once

#include <stdatomic.h>
#include "engine/digest.h"
#include "engine/format.h"
#include "engine/pagefile.h"

enum block_state { BLOCK_UNCHANGED = 0, BLOCK_PENDING = 1, BLOCK_DATA = 2, BLOCK_ZERO = 3 };
enum layer_phase {
    LAYER_LOADING = 1,
    LAYER_SEALED = 2,
    LAYER_PARTIAL = 3, /* immutable; what is pending comes from the remote source (owner mode) */
};

#define LAYER_PAGE_BLOCKS (PAGE_PAYLOAD * 4)

struct layer {
    struct io *io;
    char *stem;         /* path without suffix */
    atomic_int refs;
    uint64_t gen;       /* generation it leads to */
    uint64_t disk_size; /* bytes */
    uint64_t blocks;
    enum layer_phase phase;
    uint64_t data_bytes; /* sealed: in blocks with data; immutable then */
    bool compare;       /* pending blocks are to be compared, not only copied */
    bool local;         /* changes made here (a draft), that the source does not have */
    bool push;          /* clients bring the blocks: the change set grows while it is loaded */
    char snapshot[SNAPSHOT_ID_MAX + 1];
    int data_fd;  /* O_DIRECT where possible: bulk writes, fold */
    int read_fd;  /* page cache: views, drafts */
    int index_fd;
    int digest_fd;
    uint32_t page_count;
    _Atomic(uint8_t *) *pages; /* PAGE_PAYLOAD bytes each, NULL: all unchanged */
    atomic_bool *dirty;        /* page differs from the index file */
    struct pagefile header, states;
};

struct layer_params {
    uint64_t gen;
    uint64_t disk_size;
    const char *snapshot;
    bool compare;
    bool push;
};

/* Makes the three files.  Nothing is durable before layer_begin(). */
int layer_create(struct io *io, const char *stem, const struct layer_params *params,
                 struct layer **ret_layer);

/* T4: all state pages, durable, with their folder entry; then the header LOADING. */
int layer_begin(struct layer *layer, const char *folder);

/* T5: what is loaded so far becomes durable. */
int layer_checkpoint(struct layer *layer);

/* T6: durable and immutable.  No block may be PENDING. */
int layer_seal(struct layer *layer);

/* T10: the same with pending blocks, whose content is that of `snapshot` at the source. */
int layer_seal_partial(struct layer *layer, const char *snapshot);

/* After a seal that failed: the next one writes all state pages again. */
void layer_dirty_all(struct layer *layer);

/* Opens an existing layer.  disk_size must agree; -EBADMSG when damaged. */
int layer_open(struct io *io, const char *stem, uint64_t disk_size, struct layer **ret_layer);

/* layer_open() that opens the files for reading only and changes nothing: for a look from outside. */
int layer_inspect(struct io *io, const char *stem, uint64_t disk_size, struct layer **ret_layer);

struct layer *layer_ref(struct layer *layer);
void layer_unref(struct layer *layer); /* the last one closes the files */

/* Removes the files of a stem; missing ones are fine. */
int layer_unlink(struct io *io, const char *stem);

/* Renames the files (a draft becomes generation gen); after a failure they have their old names,
 * if that can be done.  The header is rewritten by layer_seal. */
int layer_rename(struct layer *layer, const char *stem, uint64_t gen, const char *snapshot);

enum block_state layer_state(const struct layer *layer, uint64_t block);
int layer_set_state(struct layer *layer, uint64_t block, enum block_state state); /* -ENOMEM */

/* First block >= from whose state is in the set (bit 1 << state), or layer->blocks. */
uint64_t layer_find(const struct layer *layer, uint64_t from, unsigned state_set);

/* Blocks per state, for status and space checks. */
void layer_count(const struct layer *layer, uint64_t counts[4]);

/* Digest of `count` blocks from `block` on, DIGEST_SIZE bytes each. */
int layer_write_digests(struct layer *layer, uint64_t block, const uint8_t *digests, size_t count);

#define LAYER_IN_SET ((1u << BLOCK_PENDING) | (1u << BLOCK_DATA) | (1u << BLOCK_ZERO))

/* SPDX-License-Identifier: Apache-2.0 */
/* An owner and a source in memory for the tests of the hydrator, which link against them. */
#pragma once

#include "engine/hydrate-inside.h"

#define BLOCKS 64
#define SIZE (BLOCKS * BLOCK_SIZE - 1024)
#define ZERO_FIRST 8 /* blocks 8..11 of the source are zero */
#define ZERO_END 12
#define READS_MAX 256

/* ---- the owner ---- */

extern struct engine engine;
extern struct disk disk;
extern struct map map;
extern struct owner owner;
extern _Atomic uint16_t missing[BLOCKS];
extern bool in_layer[BLOCKS];
extern int hydrate_error;      /* what owner_hydrate() says */
extern unsigned hydrate_calls, zero_calls, local_calls;
extern uint8_t target[BLOCKS]; /* first byte of each block */

/* ---- the source ---- */

struct lab_source {
    bool refuse;      /* no connection */
    atomic_bool hold; /* answers nothing */
    bool gone;        /* connections fail */
    bool allocation;
    uint64_t size;
    int bad_block;    /* reads of it fail with EIO; -1: none */
    char uri[64];     /* of the last open */
    unsigned opens, open_now;
    const char *told; /* the hydrator is told this place of its source while a connection opens */
    bool cancelled;   /* what the one who opens was told then */
    unsigned fetched[BLOCKS];    /* how often each block was answered */
    uint64_t order[READS_MAX];   /* first blocks of the requests as they came */
    uint32_t lengths[READS_MAX]; /* in blocks */
    unsigned requests;
};

extern struct lab_source source;
extern struct hydrator *h; /* the test's */
extern const struct reader_factory lab;

/* What the blocks of the source consist of. */
uint8_t source_byte(uint64_t block);

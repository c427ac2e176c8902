/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inodes the kernel knows, and those that are open.  One per disk and generation: what a
 * generation holds never changes, so whatever the kernel caches of its inode is right for ever, and a
 * new generation is another inode under the same name.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum node_kind {
    NODE_ROOT,
    NODE_ABOUT,      /* /.slipwayfs.json */
    NODE_VM,         /* /<vm> */
    NODE_STATUS,     /* /<vm>/status.json */
    NODE_GENERATION, /* /<vm>/@<generation> */
    NODE_DRAFTS,     /* /<vm>/draft */
    NODE_DRAFT,      /* /<vm>/draft/<name> */
    NODE_DISK,       /* <disk>.raw of any of these */
};

struct disk;

struct node {
    struct node *next;     /* in its chain */
    char *key;             /* what it is, unique */
    uint64_t number;       /* st_ino */
    enum node_kind kind;
    char *vm, *draft;      /* NULL: none */
    uint64_t generation;
    char *disk;            /* name */
    bool writable;         /* of a draft or an owner: changes, so nothing of it is cached */
    uint64_t size;         /* bytes */
    uint64_t lookups;      /* of the kernel; under the table's lock, like all below */
    unsigned opens;
    struct disk *open;     /* its connection while opens > 0 */
    char *digest;          /* of a generation; NULL: not asked yet */
    uint64_t blocks;       /* allocated, of 512 bytes */
    uint64_t blocks_ns;    /* when that was asked; 0: never */
};

struct nodes;

struct nodes *nodes_new(void);
void nodes_free(struct nodes *nodes);
struct node *nodes_root(struct nodes *nodes);

/*
 * The node of that kind; made when there is none, with `lookups` one higher.  vm, draft, disk: copied,
 * NULL when the kind has none.  Belongs to the table until the kernel forgets it.
 */
struct node *nodes_get(struct nodes *nodes, enum node_kind kind, const char *vm, const char *draft,
                       bool writable, uint64_t generation, const char *disk, uint64_t size);

/* The kernel's forget: it may be gone after that. */
void nodes_forget(struct nodes *nodes, struct node *node, uint64_t lookups);

/* Keeps the node while it is open, whatever the kernel forgets; and the end of that. */
void nodes_opened(struct nodes *nodes, struct node *node);
void nodes_closed(struct nodes *nodes, struct node *node);

/* At the end, when no request comes any more: calls fn for every disk that is open still. */
void nodes_end(struct nodes *nodes, void (*fn)(struct disk *disk));

/* Guards `open`, `opens` and the blocks. */
pthread_mutex_t *nodes_lock(struct nodes *nodes);

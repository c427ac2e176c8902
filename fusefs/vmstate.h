/* SPDX-License-Identifier: Apache-2.0 */
/* What there is of one VM at a moment: the answer of its engine, as the file system needs it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

struct vm_disk {
    char *name;
    uint64_t size; /* bytes */
};

struct vm_state {
    char *text;            /* the whole answer, as JSON for people */
    bool running;          /* an engine answered; else all below is empty */
    bool mirror, owner;    /* what <disk>.raw is; neither: there is none */
    uint64_t generation;   /* the latest; of a mirror */
    char *mode, *snapshot; /* in the engine's words */
    size_t disk_count, retained_count, draft_count;
    struct vm_disk *disks;
    uint64_t *retained; /* generations that can be opened */
    char **drafts;      /* names */
};

/*
 * Asks the engine of the store.  Without one the state says that none is running.  ENOENT: there is
 * no such store; EIO: the answer makes no sense.
 */
int vm_state_get(const char *store, struct vm_state **ret_state, struct error **err);
void vm_state_free(struct vm_state *state); /* NULL is fine */

/* The digest of a generation of a disk, as hex digits, owned by the caller; NULL: there is none to be
 * had.  May take seconds for a large disk. */
char *vm_digest(const char *store, const char *disk, uint64_t generation);

/* What an engine said: for tests.  EIO: it makes no sense. */
int vm_state_parse(const char *json, struct vm_state **ret_state, struct error **err);

/* The disk of that name, the state's own, or NULL; whether it has that generation or draft. */
const struct vm_disk *vm_state_disk(const struct vm_state *state, const char *name);
bool vm_state_retains(const struct vm_state *state, uint64_t generation);
bool vm_state_has_draft(const struct vm_state *state, const char *name);

static inline void vm_state_freep(struct vm_state **s)
{
    vm_state_free(*s);
}
#define _cleanup_vm_state_ _cleanup_(vm_state_freep)

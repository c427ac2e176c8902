/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The weave: the owner of a small VM, over the simulated disk, with several actors at once, whose
 * steps are interleaved as a seed says; crashes at any step, also in the recovery; and what must be
 * true afterwards.
 *
 *   baton.c    whose turn it is
 *   history.c  what the guest may see
 *   begin.c    how the store comes to its flip
 *   actors.c   what the actors do
 *   failback.c a pass of failback
 *   world.c    beginning, crash, recovery, and the checks
 *   run.c      the command line
 */
#pragma once

#include "engine/owner.h"
#include "engine/vm.h"
#include "tests/model/memsource.h"
#include "tests/model/sim.h"
#include "tests/weave/history.h"

#define WEAVE_PROFILES 3
#define WEAVE_STORE "/store/vm"

enum life_end { END_KILL, END_POWER, END_ORDER, _END_MAX };

struct weave_disk {
    struct owner *owner;
    struct history history;
    uint8_t *flip;        /* what the disk held at the flip */
    uint8_t *destination; /* what failback has sent */
    bool sending;         /* a pass of failback runs */
    uint16_t *durable;    /* masks that need never be fetched again after a power loss */
    uint16_t *at_death;   /* masks when the process was killed */
};

struct world {
    uint64_t seed;
    struct random random;
    struct sim *sim;
    struct memsource *source;
    struct engine *engine;
    struct weave_disk disks[MEM_DISKS];
    int point;            /* of the source, at the flip */
    unsigned profile;     /* which things the actors do mostly */
    bool overlap;         /* the guest writes where it is writing already */
    bool trouble;         /* I/O errors */
    unsigned syncs_failed; /* before this life */
    unsigned ops_left;    /* of this life */
    uint64_t die_at;      /* the turn in which the process dies; 0: not in the middle */
    bool dead;
    char failure[512];    /* empty: all is well */
};

extern bool weave_verbose;

void weave_fail(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void weave_tell(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The mask of a block as the owner has it now. */
uint16_t weave_missing(const struct owner *owner, uint64_t block);

/* begin.c: a store that has just been flipped, in one of many ways. */
void begin_owner(struct world *world);

/* actors.c: one actor; ends when the life's operations are used up or the process is dead. */
void actor_run(void *world);

/* failback.c: one pass over a disk, to d->destination; window_blocks: between flushes of that. */
int weave_pass(struct world *world, struct weave_disk *disk, uint32_t window_blocks);

/* unseen.c: a race detector does not look into the disk. */
void weave_unseen(struct io *io);

/* world.c: the engine of a new process; and the end of one, by a kill or a power loss. */
int world_open(struct world *world, struct error **err);
void world_fall(struct world *world, enum life_end how);

/* world.c: one run of a seed.  False: world_failure() says why. */
bool world_run(uint64_t seed, char *why, size_t size);
/* Called in every turn. */
void world_turn(void *world);

struct weave_tally {
    uint64_t runs, lives, turns, operations, kills, power_losses, recoveries_disturbed;
};
extern struct weave_tally weave_tally;

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/weave/weave.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/align.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "engine/flip.h"
#include "engine/hydrate.h"
#include "tests/model/fixture.h"
#include "tests/weave/baton.h"

#define LIVES_MAX 5
#define ACTORS 4

bool weave_verbose;
struct weave_tally weave_tally;

static unsigned below(struct world *w, unsigned n)
{
    return random_below(&w->random, n);
}

void weave_fail(struct world *w, const char *format, ...)
{
    va_list args;

    if (w->failure[0])
        return;
    va_start(args, format);
    vsnprintf(w->failure, sizeof(w->failure), format, args);
    va_end(args);
    weave_tell(w, "FAILED: %s", w->failure);
}

void weave_tell(struct world *w, const char *format, ...)
{
    va_list args;

    if (!weave_verbose)
        return;
    printf("%6" PRIu64 "  ", baton_turns());
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

uint16_t weave_missing(const struct owner *o, uint64_t block)
{
    return atomic_load(&o->complete) ? 0 : atomic_load(&o->map->missing[block]);
}

static void tell_masks(struct world *w, const char *when)
{
    for (unsigned i = 0; weave_verbose && i < MEM_DISKS; i++) {
        struct owner *o = w->disks[i].owner;
        char text[128] = "";

        for (uint64_t b = 0; o && b < o->disk->blocks; b++)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), " %04x",
                     weave_missing(o, b));
        weave_tell(w, "disk %u: %s, missing:%s", i, when, text);
    }
}

/* ---- death ---- */

static void note_masks(struct world *w)
{
    for (unsigned i = 0; i < MEM_DISKS; i++) {
        struct weave_disk *d = &w->disks[i];

        for (uint64_t b = 0; d->owner && b < d->owner->disk->blocks; b++)
            d->at_death[b] = weave_missing(d->owner, b);
    }
}

static void die(struct world *w)
{
    tell_masks(w, "the process dies");
    note_masks(w);
    sim_die(w->sim);
    w->dead = true;
}

void world_turn(void *context)
{
    struct world *w = context;

    if (!w->dead && w->die_at && baton_turns() >= w->die_at)
        die(w);
}

/* ---- a life ---- */

static void live(struct world *w)
{
    unsigned actors = 1 + below(w, ACTORS);

    w->ops_left = 1 + below(w, 60);
    w->die_at = below(w, 4) ? baton_turns() + 1 + below(w, 40u << below(w, 6)) : 0;
    w->dead = false;
    w->syncs_failed = sim_syncs_failed(w->sim);
    w->overlap = below(w, 4) == 0;
    w->profile = below(w, WEAVE_PROFILES);
    for (unsigned i = 0; i < MEM_DISKS; i++)
        w->disks[i].sending = false;
    sim_set_fault(w->sim, SIM_NO_FAULT, 0);
    if (w->trouble && below(w, 3) == 0)
        sim_set_fault(w->sim, below(w, 2) ? SIM_EIO : SIM_ENOSPC, 1 + below(w, 100));
    else if (w->trouble && below(w, 2))
        sim_set_fault(w->sim, SIM_SYNC_EIO, 1 + below(w, 12));
    for (unsigned i = 0; i < actors; i++)
        baton_hand(actor_run, w);
    weave_tally.lives++;
    if (!baton_run(world_turn, w)) {
        printf("FAILED with seed %" PRIu64 ": nobody can go on\n", w->seed);
        fflush(stdout);
        _exit(1);
    }
}

/* ---- what must be true after a recovery ---- */

/* What the origin of a missing block says it holds. */
static void read_origin(struct world *w, struct weave_disk *d, uint64_t block, uint8_t *bytes)
{
    uint32_t length = disk_block_length(d->owner->disk, block);
    enum block_state state = 0;
    struct layer *l = NULL;

    memset(bytes, 0, length);
    switch (owner_lookup(d->owner, block, &l, &state)) {
    case OWNER_FROM_LAYER:
        if (state == BLOCK_DATA && io_read(sim_io(w->sim), l->read_fd, bytes, length,
                                           block * BLOCK_SIZE) < 0)
            weave_fail(w, "a layer cannot be read");
        break;
    case OWNER_FROM_REMOTE:
        memcpy(bytes, w->source->points[w->point][d - w->disks] + block * BLOCK_SIZE, length);
        break;
    case OWNER_HERE:
        break;
    }
}

/* All of the disk as the guest would see it. */
static uint8_t *look(struct world *w, struct weave_disk *d)
{
    struct disk *disk = d->owner->disk;
    uint8_t *bytes = mem_new(disk->blocks, BLOCK_SIZE), origin[BLOCK_SIZE];
    uint64_t size;

    memcpy(bytes, sim_file(w->sim, disk->target_path, &size), disk->size);
    for (uint64_t b = 0; b < disk->blocks; b++) {
        uint16_t missing = weave_missing(d->owner, b);

        if (missing)
            read_origin(w, d, b, origin);
        for (unsigned s = 0; s < SUB_BLOCKS; s++)
            if (missing >> s & 1)
                memcpy(bytes + b * BLOCK_SIZE + s * SUB_BLOCK_SIZE, origin + s * SUB_BLOCK_SIZE,
                       SUB_BLOCK_SIZE);
    }
    return bytes;
}

static void check_masks(struct world *w, unsigned index, enum life_end how)
{
    struct weave_disk *d = &w->disks[index];

    for (uint64_t b = 0; b < d->owner->disk->blocks; b++) {
        uint16_t now = weave_missing(d->owner, b);
        uint16_t was = how == END_POWER ? d->durable[b] : d->at_death[b];

        if (now & ~was)
            weave_fail(w, "disk %u: block %" PRIu64 " is to be fetched again (%04x, was %04x)",
                       index, b, now, was);
        if (how != END_KILL)
            d->durable[b] = now;
    }
}

static void check_dirty(struct world *w, unsigned index, const uint8_t *bytes)
{
    struct weave_disk *d = &w->disks[index];

    for (uint64_t b = 0; b < d->owner->disk->blocks; b++)
        if (memcmp(bytes + b * BLOCK_SIZE, d->destination + b * BLOCK_SIZE,
                   disk_block_length(d->owner->disk, b)) != 0 &&
            !owner_is_dirty(d->owner, 0, b) && !owner_is_dirty(d->owner, 1, b))
            weave_fail(w, "disk %u: block %" PRIu64 " was changed and does not count as dirty",
                       index, b);
}

static void check_recovered(struct world *w, unsigned index, enum life_end how)
{
    struct weave_disk *d = &w->disks[index];
    _cleanup_free_ uint8_t *bytes = look(w, d);
    int64_t bad = history_recovered(&d->history, bytes, how == END_POWER);

    if (bad >= 0) {
        char text[64];

        history_describe(history_value(bytes + bad * HISTORY_SECTOR), text, sizeof(text));
        weave_tell(w, "mask %04x, was durable %04x", weave_missing(d->owner, (uint64_t)bad / 128),
                   d->durable[bad / 128]);
        weave_fail(w, "disk %u: sector %" PRId64 " holds %s after a %s", index, bad, text,
                   how == END_POWER ? "power loss" : how == END_KILL ? "kill" : "restart");
    }
    check_masks(w, index, how);
    check_dirty(w, index, bytes);
}

/* ---- recovery ---- */

int world_open(struct world *w, struct error **err)
{
    struct engine_options options = {.store = WEAVE_STORE, .fence_ns = 1,
                                     .live_folder = "/run/vm"};
    int r = engine_open_with(&options, sim_io(w->sim), &memsource_readers, &w->engine, err);

    /* After a failed fdatasync the engine wants to hear that somebody has seen to it. */
    if (r == -EUCLEAN && w->trouble) {
        error_free(steal_ptr(*err));
        options.accept_loss = true;
        r = engine_open_with(&options, sim_io(w->sim), &memsource_readers, &w->engine, err);
    }
    for (unsigned i = 0; i < MEM_DISKS; i++)
        w->disks[i].owner = r == 0 ? w->engine->disks[i].owner : NULL;
    return r;
}

static void close_engine(struct world *w)
{
    engine_close(steal_ptr(w->engine));
    for (unsigned i = 0; i < MEM_DISKS; i++)
        w->disks[i].owner = NULL;
}

void world_fall(struct world *w, enum life_end how)
{
    close_engine(w);
    if (how == END_POWER)
        sim_power_loss(w->sim, below(w, _SIM_LOSS_MAX));
    else
        sim_kill(w->sim);
}

/* The recovery dies as well.  What a kill leaves may be lost to the power, not the other way round. */
static void stumble(struct world *w, enum life_end *how)
{
    struct error *err = NULL;
    bool power;

    sim_set_fault(w->sim, SIM_CRASH, 1 + below(w, 80));
    if (world_open(w, &err) < 0 && !sim_fault_hit(w->sim))
        weave_fail(w, "the store cannot be opened: %s", error_text(err));
    error_free(err);
    weave_tally.recoveries_disturbed++;
    sim_die(w->sim);
    power = below(w, 2);
    if (power)
        *how = END_POWER;
    weave_tell(w, "the recovery dies%s", power ? ", the power is lost" : "");
    world_fall(w, power ? END_POWER : END_KILL);
}

/* Then everything is durable. */
static void end_in_order(struct world *w)
{
    weave_tell(w, "the engine ends in order");
    sim_set_fault(w->sim, SIM_NO_FAULT, 0);
    note_masks(w);
    for (unsigned i = 0; i < MEM_DISKS; i++) {
        struct weave_disk *d = &w->disks[i];

        history_flushed(&d->history, history_now(&d->history));
        memcpy(d->durable, d->at_death, d->owner->disk->blocks * sizeof(*d->durable));
    }
}

static void end_life(struct world *w)
{
    enum life_end how = below(w, 5) < 2 ? END_KILL : END_POWER;
    struct error *err = NULL;

    if (!w->dead && !w->engine->failed && below(w, 4) == 0)
        how = END_ORDER;
    else if (!w->dead)
        die(w);
    if (how == END_ORDER)
        end_in_order(w);
    world_fall(w, how);
    weave_tally.kills += how == END_KILL;
    weave_tally.power_losses += how == END_POWER;
    weave_tell(w, "%s", how == END_POWER ? "the power is lost" : "a new process begins");
    for (unsigned n = below(w, 3); n > 0 && below(w, 2) && !w->failure[0]; n--)
        stumble(w, &how);
    sim_set_fault(w->sim, SIM_NO_FAULT, 0);
    if (!w->failure[0] && world_open(w, &err) < 0)
        weave_fail(w, "after a %s: %s", how == END_POWER ? "power loss" : "kill",
                   error_text(err));
    error_free(err);
    tell_masks(w, "recovered");
    for (unsigned i = 0; i < MEM_DISKS && !w->failure[0]; i++)
        check_recovered(w, i, how);
}

/* ---- a run ---- */

static void disk_begin(struct world *w, unsigned index)
{
    struct weave_disk *d = &w->disks[index];
    struct disk *disk = &w->engine->disks[index];
    uint64_t blocks = disk->blocks;
    _cleanup_free_ uint8_t *bytes = NULL;

    d->owner = disk->owner;
    d->flip = w->source->points[w->point][index];
    d->destination = mem_new(blocks, BLOCK_SIZE);
    memcpy(d->destination, d->flip, disk->size);
    history_init(&d->history, d->flip, disk->size);
    d->durable = mem_new(blocks, sizeof(*d->durable));
    d->at_death = mem_new(blocks, sizeof(*d->at_death));
    for (uint64_t b = 0; b < blocks; b++)
        d->durable[b] = weave_missing(d->owner, b);
    bytes = look(w, d);
    if (memcmp(bytes, d->flip, disk->size) != 0)
        weave_fail(w, "disk %u is not what the source held at the flip", index);
}

static void disk_end(struct weave_disk *d)
{
    history_done(&d->history);
    free(d->destination);
    free(d->durable);
    free(d->at_death);
}

/* Everything can be brought, and then the target is the disk. */
static void finish(struct world *w)
{
    for (unsigned i = 0; i < MEM_DISKS && !w->failure[0]; i++) {
        struct weave_disk *d = &w->disks[i];
        struct disk *disk = d->owner->disk;
        _cleanup_free_ uint8_t *bytes = mem_new(1, disk->size);
        const uint8_t *target;
        uint64_t size;

        if (owner_pread(d->owner, bytes, (uint32_t)disk->size, 0) < 0)
            weave_fail(w, "disk %u cannot be read", i);
        else if (history_check_read(&d->history, 0, d->history.sectors, bytes,
                                    history_now(&d->history)) >= 0)
            weave_fail(w, "disk %u is not what it was after the recovery", i);
        if (!owner_is_complete(d->owner))
            weave_fail(w, "disk %u: something is still missing after all was read", i);
        target = sim_file(w->sim, disk->target_path, &size);
        if (memcmp(target, bytes, disk->size) != 0)
            weave_fail(w, "disk %u: the target is not what was read", i);
    }
    if (!w->failure[0] && flip_complete(w->engine) < 0)
        weave_fail(w, "the owner cannot be completed");
    if (!w->failure[0] && w->engine->mode != MODE_OWNER)
        weave_fail(w, "nothing is missing, and the mode is %s", store_mode_name(w->engine->mode));
}

bool world_run(uint64_t seed, char *why, size_t size)
{
    struct fixture *f = fixture_new();
    struct world *w = mem_new(1, sizeof(*w));

    *w = (struct world){.seed = seed, .random.state = seed * 3 + 7, .sim = f->sim,
                        .source = f->source, .engine = f->engine};
    f->source->random.state = seed;
    sim_seed(w->sim, seed);
    begin_owner(w);
    baton_begin(seed);
    sim_set_yield(w->sim, baton_yield);
    weave_unseen(sim_io(w->sim));
    w->trouble = below(w, 6) == 0;
    for (unsigned i = 0; i < MEM_DISKS && !w->failure[0]; i++)
        disk_begin(w, i);
    for (unsigned n = 1 + below(w, LIVES_MAX); n > 0 && !w->failure[0]; n--) {
        live(w);
        if (!w->failure[0])
            end_life(w);
    }
    if (!w->failure[0])
        finish(w);
    sim_set_yield(w->sim, NULL);
    weave_tally.runs++;
    weave_tally.turns += baton_turns();
    snprintf(why, size, "%s", w->failure);
    baton_end();
    for (unsigned i = 0; i < MEM_DISKS; i++)
        disk_end(&w->disks[i]);
    f->engine = steal_ptr(w->engine);
    fixture_free(f);
    free(w);
    return !why[0];
}

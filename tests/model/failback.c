/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model test of failback (T17): passes, one step at a time, between the guest's writes, which may
 * be half done, hydration, flushes, checkpoints, pruning of the activity log, failures of the
 * destination, and crashes of both sides at any I/O call.  In the end, with the guest gone, what is
 * left is sent, the destination loses what it has not flushed, and both sides must be the same.
 *
 *     model-failback random SEED COUNT      model-failback planted COUNT
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/failback-pass.h"
#include "engine/flip.h"
#include "engine/lock.h"
#include "engine/plant.h"
#include "tests/model/fixture.h"
#include "tests/model/memdest.h"

#ifdef SLIPWAY_PLANTED_BUGS
enum plant plant_active;
#endif

#define LATE 3
#define ACTIONS 80

/* A guest's write that is registered and marked, and whose data come later. */
struct late {
    bool active;
    struct owner *owner;
    struct gate_pass pass;
    uint64_t offset;
    uint32_t length;
    uint8_t value;
};

struct world {
    uint64_t seed;
    struct random random;
    struct fixture *f;
    struct memdest *dest;
    struct failback_pass *passes[MEM_DISKS];
    struct writer *writers[MEM_DISKS];
    struct late late[LATE];
    unsigned idle_turns;
    char failure[256];
};

static struct world *world;
static struct {
    uint64_t runs, steps, kills, losses, destination_crashes;
} tally;

static unsigned below(unsigned n)
{
    return random_below(&world->random, n);
}

static void __attribute__((format(printf, 1, 2))) fail(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    if (!world->failure[0])
        vsnprintf(world->failure, sizeof(world->failure), format, ap);
    va_end(ap);
}

static struct owner *owner_of(unsigned disk)
{
    return world->f->engine->disks[disk].owner;
}

/* ---- the guest ---- */

static void end_late(struct late *l)
{
    uint8_t *bytes = mem_new(1, l->length);
    struct target *t = &l->owner->disk->target;

    memset(bytes, l->value, l->length);
    io_write(t->io, t->buffered_fd, bytes, l->length, l->offset, false);
    gate_leave(&l->owner->gate, l->pass);
    l->active = false;
    free(bytes);
}

/* Somebody waits for the guest's writes: one of them ends. */
static void guest_turn(void)
{
    for (unsigned i = 0; i < LATE; i++)
        if (world->late[i].active) {
            end_late(&world->late[i]);
            world->idle_turns = 0;
            return;
        }
    if (++world->idle_turns > 1000000)
        abort(); /* it waits for nothing */
}

static const struct lock_hook hook = {.yield = guest_turn};

static bool is_here(const struct owner *o, uint64_t offset, uint32_t length)
{
    for (uint64_t b = offset / BLOCK_SIZE; b <= (offset + length - 1) / BLOCK_SIZE; b++)
        if (!atomic_load(&o->complete) && atomic_load(&o->map->missing[b]))
            return false;
    return true;
}

static void choose_range(const struct owner *o, uint64_t *ret_offset, uint32_t *ret_length)
{
    uint32_t unit = below(2) ? 4096 : 512;
    uint32_t units = (uint32_t)(o->disk->size / unit), first = below(units);

    *ret_offset = (uint64_t)first * unit;
    *ret_length = unit * (1 + below(MIN(units - first, below(4) ? 4u : 200u)));
}

static void guest_write(unsigned disk)
{
    struct owner *o = owner_of(disk);
    uint8_t *bytes;
    uint64_t offset;
    uint32_t length;

    choose_range(o, &offset, &length);
    bytes = mem_new(1, length);
    memset(bytes, (int)(1 + below(255)), length);
    if (below(5))
        owner_pwrite(o, bytes, length, offset, 0);
    else
        owner_zero(o, length, offset, 0);
    free(bytes);
}

static void guest_begins(unsigned disk)
{
    struct owner *o = owner_of(disk);
    struct late *l = &world->late[below(LATE)];

    if (l->active)
        return;
    choose_range(o, &l->offset, &l->length);
    if (!is_here(o, l->offset, l->length))
        return;
    l->owner = o;
    l->value = (uint8_t)(1 + below(255));
    l->pass = gate_enter(&o->gate);
    if (owner_mark(o, l->pass.plane, l->offset, l->length) < 0) {
        gate_leave(&o->gate, l->pass);
        return;
    }
    l->active = true;
}

/* ---- failback ---- */

static void drop_pass(unsigned disk)
{
    writer_close(steal_ptr(world->writers[disk]));
    failback_pass_free(steal_ptr(world->passes[disk]));
}

static void begin_pass(unsigned disk)
{
    struct pass_options options = {.owner = owner_of(disk), .window_blocks = 1 + below(6)};
    char uri[16];

    snprintf(uri, sizeof(uri), "dest:%u", disk);
    if (memdest_writers.open(uri, 0, NULL, NULL, &world->writers[disk], NULL) < 0)
        return;
    options.writer = world->writers[disk];
    if (failback_pass_new(&options, &world->passes[disk]) < 0)
        abort();
}

static int step_pass(unsigned disk)
{
    int r;

    if (!world->passes[disk])
        begin_pass(disk);
    if (!world->passes[disk])
        return -ECONNREFUSED;
    r = failback_pass_step(world->passes[disk], NULL);
    if (r == PASS_WAIT)
        failback_pass_wait(world->passes[disk]);
    if (r == PASS_DONE || r < 0)
        drop_pass(disk);
    return r;
}

static void destination_crashes(void)
{
    for (unsigned d = 0; d < MEM_DISKS; d++)
        drop_pass(d);
    memdest_crash(world->dest);
    tally.destination_crashes++;
}

/* ---- crashes of ours ---- */

static void restart(bool power)
{
    struct error *err = NULL;

    for (unsigned d = 0; d < MEM_DISKS; d++)
        drop_pass(d);
    memset(world->late, 0, sizeof(world->late)); /* never acknowledged */
    sim_die(world->f->sim);
    engine_close(steal_ptr(world->f->engine));
    if (power)
        sim_power_loss(world->f->sim, (enum sim_loss)below(_SIM_LOSS_MAX));
    sim_set_fault(world->f->sim, SIM_NO_FAULT, 0);
    if (fixture_restart(world->f, &err) < 0)
        fail("the engine does not start: %s", error_text(err));
    error_free(err);
    tally.kills += !power;
    tally.losses += power;
}

/* ---- one run ---- */

static void flip_now(int point)
{
    static const char *const names[MEM_DISKS] = {"sda", "sdb"};
    struct error *err = NULL;
    char uris[MEM_DISKS][16], bitmap[16], since[16], snapshot[16];
    struct sync_source sources[MEM_DISKS];
    struct flip_request q = {.instant = below(4) > 0, .sources = sources, .snapshot = snapshot,
                             .source_count = MEM_DISKS, .since = since};
    int last = point;

    if (q.instant)
        last = (int)memsource_point(world->f->source);
    snprintf(bitmap, sizeof(bitmap), "since:%d", point);
    snprintf(since, sizeof(since), "p%d", point);
    snprintf(snapshot, sizeof(snapshot), "p%d", last);
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        snprintf(uris[d], sizeof(uris[d]), "mem:%d/%u", last, d);
        sources[d] = (struct sync_source){names[d], uris[d], bitmap};
        memdest_put(world->dest, d, fixture_bytes(world->f, last, d));
    }
    if (engine_flip(world->f->engine, &q, NULL, NULL, &err) < 0)
        fail("the flip failed: %s", error_text(err));
    error_free(err);
}

static void begin(void)
{
    struct error *err = NULL;
    int point = fixture_sync(world->f, -1, &err);

    for (unsigned n = below(3); point >= 0 && n > 0; n--) {
        memsource_write(world->f->source, random_next(&world->random));
        point = fixture_sync(world->f, point, &err);
    }
    if (point < 0)
        fail("a sync failed: %s", error_text(err));
    error_free(err);
    for (unsigned n = below(6); n > 0; n--)
        memsource_write(world->f->source, random_next(&world->random));
    if (!world->failure[0])
        flip_now(point);
}

static void hydrate_some(unsigned disk)
{
    struct owner *o = owner_of(disk);

    if (!owner_is_complete(o))
        owner_bring(o, below((unsigned)o->disk->blocks), o->disk->blocks - 1);
}

static void act(void)
{
    unsigned disk = below(MEM_DISKS);

    switch (below(24)) {
    case 0 ... 3:
        guest_write(disk);
        break;
    case 4 ... 5:
        guest_begins(disk);
        break;
    case 6:
        guest_turn();
        break;
    case 7:
        owner_flush(owner_of(disk));
        break;
    case 8:
        hydrate_some(disk);
        break;
    case 9 ... 10:
        owner_prune(owner_of(disk));
        break;
    case 11:
        owner_checkpoint_planes(owner_of(disk));
        break;
    case 12:
        flip_complete(world->f->engine);
        break;
    case 13:
        if (below(3) == 0)
            drop_pass(disk); /* cancelled */
        break;
    case 14:
        if (below(3) == 0)
            destination_crashes();
        else
            world->dest->fail_at = 1 + below(12);
        break;
    case 15:
        if (below(3) == 0)
            sim_set_fault(world->f->sim, SIM_CRASH, 1 + below(30));
        break;
    case 16:
        if (below(2) == 0)
            restart(below(2));
        break;
    default:
        for (unsigned n = 1 + below(8); n > 0; n--)
            step_pass(disk);
    }
    world->idle_turns = 0;
    tally.steps++;
    if (sim_dead(world->f->sim))
        restart(below(2));
    else if (world->f->engine && world->f->engine->failed)
        fail("the engine failed without a fault");
}

/* All that is left, with the guest gone. */
static void send_the_rest(unsigned disk)
{
    for (unsigned n = 0; owner_count_dirty(owner_of(disk)) > 0 || world->passes[disk]; n++) {
        if (step_pass(disk) < 0 && n > 100000) {
            fail("the last pass does not end");
            return;
        }
    }
}

static void compare(unsigned disk)
{
    uint8_t *here = mem_new(1, mem_sizes[disk]);

    if (owner_pread(owner_of(disk), here, (uint32_t)mem_sizes[disk], 0) < 0)
        fail("the disk cannot be read");
    for (uint64_t at = 0; at < mem_sizes[disk]; at += 512)
        if (memcmp(here + at, world->dest->bytes[disk] + at, 512) != 0) {
            char where[64];

            snprintf(where, sizeof(where), "disk %u, sector %llu", disk,
                     (unsigned long long)(at / 512));
            fail("%s differs from its destination", where);
            break;
        }
    free(here);
}

static void finish(void)
{
    sim_set_fault(world->f->sim, SIM_NO_FAULT, 0);
    world->dest->fail_at = 0;
    for (unsigned i = 0; i < LATE; i++)
        if (world->late[i].active)
            end_late(&world->late[i]);
    for (unsigned d = 0; d < MEM_DISKS; d++)
        drop_pass(d);
    for (unsigned d = 0; d < MEM_DISKS && !world->failure[0]; d++)
        send_the_rest(d);
    if (world->failure[0])
        return;
    memdest_crash(world->dest);
    for (unsigned d = 0; d < MEM_DISKS; d++)
        compare(d);
}

/* False, with a line on standard error, when something went wrong. */
static bool run(uint64_t seed, bool quiet)
{
    struct world w = {.seed = seed, .random = {seed}};

    world = &w;
    w.f = fixture_new();
    w.dest = memdest_new(seed + 1);
    sim_seed(w.f->sim, seed);
    lock_hook = &hook;
    begin();
    for (unsigned n = 20 + below(ACTIONS); n > 0 && !w.failure[0]; n--)
        act();
    if (!w.failure[0])
        finish();
    lock_hook = NULL;
    for (unsigned d = 0; d < MEM_DISKS; d++)
        drop_pass(d);
    fixture_free(w.f);
    memdest_free(w.dest);
    tally.runs++;
    if (w.failure[0] && !quiet)
        fprintf(stderr, "seed %llu: %s\n", (unsigned long long)seed, w.failure);
    return !w.failure[0];
}

static int run_random(uint64_t seed, uint64_t count)
{
    uint64_t failures = 0;

    for (uint64_t i = 0; i < count && failures < 10; i++)
        failures += !run(seed + i, false);
    printf("%llu runs, %llu steps, %llu kills, %llu power losses, %llu crashes of the destination, "
           "%llu failures\n", (unsigned long long)tally.runs, (unsigned long long)tally.steps,
           (unsigned long long)tally.kills, (unsigned long long)tally.losses,
           (unsigned long long)tally.destination_crashes, (unsigned long long)failures);
    return failures > 0;
}

#ifdef SLIPWAY_PLANTED_BUGS
static int run_planted(uint64_t count)
{
    static const struct {
        enum plant plant;
        const char *name;
    } plants[] = {
        {PLANT_FAILBACK_CLEAR_FIRST, "clear before send"},
        {PLANT_FAILBACK_NO_WAIT, "no wait for writes registered in A"},
        {PLANT_FAILBACK_NO_FLUSH, "pass without flush"},
        {PLANT_FAILBACK_NO_MASKS, "fdatasync instead of flush"},
        {PLANT_FAILBACK_SKIP_MISSING, "missing blocks are sent as they are"},
        {PLANT_FAILBACK_NO_SETTLE, "clear before the destination has flushed"},
    };
    int missed = 0;

    for (size_t i = 0; i < ARRAY_SIZE(plants); i++) {
        uint64_t n = 0;
        bool caught = false;

        plant_active = plants[i].plant;
        for (; n < count && !caught; n++)
            caught = !run(n + 1, true);
        plant_active = PLANT_NONE;
        printf("%-40s %s after %llu runs\n", plants[i].name, caught ? "caught" : "MISSED",
               (unsigned long long)n);
        missed += !caught;
    }
    return missed > 0;
}
#endif

int main(int argc, char **argv)
{
    log_open("model-failback", LOG_LEVEL_NONE); /* crashes are what it is for */
    if (argc == 4 && strcmp(argv[1], "random") == 0)
        return run_random(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
#ifdef SLIPWAY_PLANTED_BUGS
    if (argc == 3 && strcmp(argv[1], "planted") == 0)
        return run_planted(strtoull(argv[2], NULL, 10));
#endif
    fprintf(stderr, "usage: model-failback random SEED COUNT | planted COUNT\n");
    return 2;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The instant flip out of any moment, and hydration after it. */
#include "tests/model/model.h"

#include <stdio.h>
#include <string.h>

#include "base/align.h"
#include "engine/flip.h"
#include "engine/hydrate.h"
#include "engine/keeper.h"
#include "engine/owner.h"

static unsigned below(struct model *m, unsigned n)
{
    return random_below(&m->random, n);
}

static bool excused(const struct model *m)
{
    return sim_fault_hit(m->sim) || m->read_fault || m->late_fault;
}

/* The point the bitmap may count from: of the last generation, or of a delta under way; -1: none. */
static int choose_since(struct model *m)
{
    const struct layer *loading = m->engine->disks[0].loading;
    const struct layer *other = m->engine->disks[1].loading;
    struct super root = superfile_get(&m->engine->super);
    int since;

    /* A crash in the middle of a begin leaves layers of two points. */
    if (loading && other && strcmp(loading->snapshot, other->snapshot) == 0 && below(m, 2) &&
        sscanf(loading->snapshot, "p%d", &since) == 1)
        return since;
    return below(m, 8) > 0 && sscanf(root.snapshot, "p%d", &since) == 1 ? since : -1;
}

static int try_flip(struct model *m, int since, struct error **err)
{
    struct sync_source sources[MEM_DISKS];
    char uri[MEM_DISKS][32], bitmap[32], snapshot[32], since_name[32];
    struct flip_request q = {.instant = true, .sources = sources, .source_count = MEM_DISKS,
                             .snapshot = snapshot, .since = since < 0 ? NULL : since_name};

    snprintf(snapshot, sizeof(snapshot), "p%d", m->owner_point);
    snprintf(since_name, sizeof(since_name), "p%d", since);
    snprintf(bitmap, sizeof(bitmap), "since:%d", since);
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        snprintf(uri[d], sizeof(uri[d]), "mem:%d/%u", m->owner_point, d);
        sources[d] = (struct sync_source){model_disks[d], uri[d], since < 0 ? NULL : bitmap};
    }
    return engine_flip(m->engine, &q, NULL, NULL, err);
}

void instant_flip(struct model *m)
{
    _cleanup_error_ struct error *err = NULL;
    int r;

    if (m->local || m->source->point_count + 1 >= MEM_POINTS)
        return;
    m->owner_point = (int)memsource_point(m->source);
    m->maybe_owner = m->instant = true;
    r = try_flip(m, choose_since(m), &err);
    if (r == 0) {
        reference_owner(m);
        m->maybe_owner = m->instant = false;
        return;
    }
    if (!excused(m))
        model_fail(m, "an instant flip failed: %s", error_text(err));
    if (!m->engine->failed && !sim_dead(m->sim))
        m->maybe_owner = m->instant = false;
}

void instant_hydrate(struct model *m, unsigned steps)
{
    struct engine *e = m->engine;

    for (; steps > 0 && e->mode == MODE_OWNER_HYD; steps--) {
        struct hydrator *h = e->disks[below(m, MEM_DISKS)].owner->hydrator;
        int r = h ? hydrator_step(h, 0) : 0;

        if (r < 0 && !excused(m))
            model_fail(m, "hydration failed: %s", strerror(-r));
        if (r < 0 || sim_dead(m->sim))
            return;
        if (below(m, 8) == 0)
            keeper_round(e, true);
    }
}

/* A missing block as its origin has it. */
static void read_origin(struct model *m, struct owner *o, unsigned disk, uint64_t block,
                        uint8_t *bytes)
{
    uint32_t length = disk_block_length(o->disk, block);
    enum block_state state = 0;
    struct layer *l = NULL;

    memset(bytes, 0, length);
    switch (owner_lookup(o, block, &l, &state)) {
    case OWNER_FROM_LAYER:
        if (state == BLOCK_DATA &&
            io_read(sim_io(m->sim), l->read_fd, bytes, length, block * BLOCK_SIZE) < 0)
            model_fail(m, "a layer cannot be read");
        break;
    case OWNER_FROM_REMOTE:
        memcpy(bytes, m->source->points[m->owner_point][disk] + block * BLOCK_SIZE, length);
        break;
    case OWNER_HERE:
        break;
    }
}

void instant_overlay(struct model *m, unsigned disk, uint8_t *bytes)
{
    struct owner *o = m->engine ? m->engine->disks[disk].owner : NULL;
    uint8_t origin[BLOCK_SIZE];

    if (!o || m->engine->mode != MODE_OWNER_HYD)
        return;
    for (uint64_t s = 0; s < div_up(mem_sizes[disk], SUB_BLOCK_SIZE); s++) {
        uint64_t block = s / SUB_BLOCKS, at = s * SUB_BLOCK_SIZE;

        if (!(atomic_load(&o->map->missing[block]) >> s % SUB_BLOCKS & 1))
            continue;
        read_origin(m, o, disk, block, origin);
        memcpy(bytes + at, origin + at % BLOCK_SIZE, MIN(SUB_BLOCK_SIZE, mem_sizes[disk] - at));
    }
}

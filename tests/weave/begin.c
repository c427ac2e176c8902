/* SPDX-License-Identifier: Apache-2.0 */
/* How a store comes to its instant flip: from any moment of the initial sync, or of a mirror. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "engine/flip.h"
#include "engine/fold.h"
#include "tests/weave/weave.h"

static const char *const names[MEM_DISKS] = {"sda", "sdb"};

static unsigned below(struct world *w, unsigned n)
{
    return random_below(&w->random, n);
}

struct sources {
    struct sync_source disks[MEM_DISKS];
    char uris[MEM_DISKS][32], bitmap[32], snapshot[32];
};

/* since -1: no bitmap. */
static void name_sources(struct sources *s, int point, int since)
{
    snprintf(s->snapshot, sizeof(s->snapshot), "p%d", point);
    snprintf(s->bitmap, sizeof(s->bitmap), "since:%d", since);
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        snprintf(s->uris[d], sizeof(s->uris[d]), "mem:%d/%u", point, d);
        s->disks[d] = (struct sync_source){names[d], s->uris[d], since < 0 ? NULL : s->bitmap};
    }
}

/* Some of a sync, or all of it.  The point in time it goes to. */
static int sync_some(struct world *w, int since, unsigned steps)
{
    struct sync *s = mem_new(1, sizeof(*s));
    struct error *err = NULL;
    struct sources names_of;
    struct sync_request q = {.sources = names_of.disks, .source_count = MEM_DISKS};
    int point = (int)memsource_point(w->source), r;

    weave_tell(w, "sync of p%d since p%d, %u steps", point, since, steps);

    name_sources(&names_of, point, since);
    q.snapshot = names_of.snapshot;
    q.compare = since < 0;
    r = sync_open(s, w->engine, &q, &err);
    if (r == 0)
        r = sync_prepare(s, &err);
    for (unsigned d = 0; r == 0 && d < s->disk_count; d++) {
        struct puller *p = NULL;

        r = puller_new(&s->disks[d].pull, s->disks[d].reader, &p);
        for (unsigned n = 0; r >= 0 && n < steps; n++) {
            r = puller_step(p);
            if (r == PULL_DONE)
                break;
            if (r == PULL_WAIT)
                r = puller_wait(p);
        }
        puller_free(p);
        if (r >= 0 && steps < UINT32_MAX && below(w, 2))
            r = sync_checkpoint(s, d);
        r = r < 0 ? r : 0;
    }
    if (r == 0 && steps == UINT32_MAX)
        r = sync_commit(s, &err);
    if (r < 0)
        weave_fail(w, "a sync failed: %s", err ? error_text(err) : strerror(-r));
    error_free(err);
    sync_close(s);
    free(s);
    return point;
}

static void fold_some(struct world *w)
{
    struct disk *d = fold_candidate(w->engine);
    struct fold f;
    int r;

    if (!d)
        return;
    pthread_mutex_lock(&w->engine->fold_lock);
    r = fold_begin(&f, w->engine, d);
    weave_tell(w, "a fold begins: %d", r);
    r = r < 0 ? r : 1;
    for (unsigned n = below(w, 6); r > 0 && n > 0; n--)
        r = fold_step(&f);
    if (r == 0 && below(w, 2))
        r = fold_finish(&f);
    fold_end(&f);
    pthread_mutex_unlock(&w->engine->fold_lock);
    if (r < 0)
        weave_fail(w, "a fold failed: %s", strerror(-r));
}

/* One attempt; since: what the bitmap counts from, -1: nothing.  False: the process died in it. */
static bool try_flip(struct world *w, int since)
{
    struct error *err = NULL;
    struct sources names_of;
    char since_name[32];
    struct flip_request q = {.instant = true, .sources = names_of.disks,
                             .source_count = MEM_DISKS, .snapshot = names_of.snapshot};
    int r;

    name_sources(&names_of, w->point, since);
    snprintf(since_name, sizeof(since_name), "p%d", since);
    if (since >= 0)
        q.since = since_name;
    if (below(w, 2))
        sim_set_fault(w->sim, SIM_CRASH, 1 + below(w, 200));
    r = engine_flip(w->engine, &q, NULL, NULL, &err);
    weave_tell(w, "flip to p%d since p%d: %d", w->point, since, r);
    if (r < 0 && !sim_dead(w->sim))
        weave_fail(w, "an instant flip failed: %s", error_text(err));
    error_free(err);
    return !sim_dead(w->sim);
}

/* As often as it takes; an attempt that died may have been the last one nevertheless. */
static void flip(struct world *w, int since)
{
    memsource_write(w->source, random_next(&w->random));
    w->point = (int)memsource_point(w->source);
    while (!w->failure[0] && !try_flip(w, since)) {
        struct error *err = NULL;

        world_fall(w, below(w, 2) ? END_POWER : END_KILL);
        sim_set_fault(w->sim, SIM_NO_FAULT, 0);
        if (world_open(w, &err) < 0)
            weave_fail(w, "the store does not open after a flip that died: %s", error_text(err));
        error_free(err);
        if (w->failure[0] || store_mode_is_owner(w->engine->mode))
            break;
        if (sscanf(superfile_get(&w->engine->super).snapshot, "p%d", &since) != 1)
            since = -1;
    }
    sim_set_fault(w->sim, SIM_NO_FAULT, 0);
}

void begin_owner(struct world *w)
{
    int since = -1, later;

    memsource_write(w->source, random_next(&w->random));
    memsource_write(w->source, random_next(&w->random));
    switch (below(w, 8)) {
    case 0: /* nothing is here */
        break;
    case 1: /* in the middle of the initial sync */
    case 2:
        since = sync_some(w, -1, below(w, 12));
        break;
    default: /* a mirror with layers, half folded, and perhaps in the middle of a delta */
        since = sync_some(w, -1, UINT32_MAX);
        for (unsigned n = below(w, 4); n > 0 && !w->failure[0]; n--) {
            memsource_write(w->source, random_next(&w->random));
            since = sync_some(w, since, UINT32_MAX);
            if (below(w, 3) == 0)
                fold_some(w);
        }
        if (below(w, 2) && !w->failure[0]) {
            memsource_write(w->source, random_next(&w->random));
            later = sync_some(w, since, below(w, 8));
            since = below(w, 2) ? later : since;
        }
        break;
    }
    if (!w->failure[0])
        flip(w, since);
}

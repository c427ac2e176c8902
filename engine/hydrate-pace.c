/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much the background may do.  Its depth follows what demand feels: a demand that took much
 * longer than the best one halves it, quiet times raise it.  It never becomes zero, so that a busy
 * VM does not starve its own hydration.
 */
#include "base/align.h"
#include "base/clock.h"
#include "engine/hydrate-inside.h"

#define DEPTH_ONE 16
#define DEPTH_START (2 * DEPTH_ONE)
#define CUT_APART_NS (100 * NS_PER_MS) /* what is in flight must drain before the next judgement */
#define DEMAND_RECENT_NS NS_PER_S
#define ZEROS_FIRST_NS (5 * NS_PER_S)
#define ASK_AGAIN_NS (20 * NS_PER_MS)

void pace_init(struct pace *p, unsigned depth_max)
{
    *p = (struct pace){.depth16 = DEPTH_START, .depth_max = depth_max * DEPTH_ONE};
}

unsigned pace_depth(const struct pace *p)
{
    return MAX(p->depth16 / DEPTH_ONE, 1u);
}

static bool demand_recent(const struct pace *p, uint64_t now_ns)
{
    return p->demand_ns && now_ns - p->demand_ns < DEMAND_RECENT_NS;
}

void pace_demand_began(struct pace *p, uint64_t now_ns)
{
    p->demand_ns = MAX(now_ns, UINT64_C(1));
}

void pace_demand_ended(struct pace *p, uint64_t now_ns, uint64_t latency_ns)
{
    pace_demand_began(p, now_ns);
    if (p->best_ns == 0 || latency_ns < p->best_ns)
        p->best_ns = MAX(latency_ns, UINT64_C(1));
    else
        p->best_ns += (latency_ns - p->best_ns) / 1024; /* a source may become slower for good */
    if (latency_ns <= MAX(2 * p->best_ns, p->best_ns + NS_PER_MS) ||
        now_ns - p->cut_ns < CUT_APART_NS)
        return;
    p->cut_ns = now_ns;
    p->depth16 = MAX(p->depth16 / 2, (uint32_t)DEPTH_ONE);
}

void pace_background_ended(struct pace *p, uint64_t now_ns)
{
    uint32_t more = demand_recent(p, now_ns) ? MAX(DEPTH_ONE / pace_depth(p), 1u) : DEPTH_ONE;

    p->depth16 = MIN(p->depth16 + more, p->depth_max);
}

/* While a guest waits for missing blocks one connection is kept free for it. */
static bool kept_for_demand(const struct hydrator *h, const struct hydrate_link *k)
{
    if (h->open_links < 2)
        return false;
    for (unsigned i = 0; i < k->index; i++)
        if (h->links[i].open)
            return false;
    return k->open;
}

static bool zeros_first(const struct hydrator *h, uint64_t now_ns)
{
    return h->options.zero_map && !h->zero_done &&
           (h->mapping_ns == 0 || now_ns - h->mapping_ns < ZEROS_FIRST_NS);
}

/* The limits of both sides; what the source's granted is kept when the target's refuses. */
static uint64_t take_limits(struct hydrator *h, uint64_t bytes, bool remote)
{
    struct limits *limits = h->owner->engine->limits;
    uint64_t wait = 0;

    if (remote && !h->source_granted)
        wait = limit_take(limits, h->disk->index, LIMIT_SOURCE, bytes);
    h->source_granted = remote ? wait == 0 : h->source_granted;
    if (wait == 0)
        wait = limit_take(limits, h->disk->index, LIMIT_TARGET, bytes);
    if (wait == 0 && remote)
        h->source_granted = false;
    return wait;
}

uint64_t hydrate_permit_locked(struct hydrator *h, const struct hydrate_link *k, uint64_t bytes,
                               bool remote)
{
    uint64_t now = clock_now_ns();
    unsigned depth = pace_depth(&h->pace);

    if (h->state == SOURCE_LOST && remote && h->background == 0)
        return 0; /* this read tells whether it is back */
    if (demand_recent(&h->pace, now) && kept_for_demand(h, k))
        return ASK_AGAIN_NS;
    if (remote && zeros_first(h, now))
        return ASK_AGAIN_NS;
    depth = MIN(depth, yield_depth(&h->owner->engine->yield, h->pace.depth_max / DEPTH_ONE));
    if (remote && h->background >= depth)
        return ASK_AGAIN_NS;
    return take_limits(h, bytes, remote);
}

uint32_t hydrate_chunk(const struct hydrator *h)
{
    struct limits *limits = h->owner->engine->limits;
    uint32_t source = limit_chunk(limits, h->disk->index, LIMIT_SOURCE, HYDRATE_BYTES);

    return limit_chunk(limits, h->disk->index, LIMIT_TARGET, source) / BLOCK_SIZE;
}

void hydrate_charge_locked(struct hydrator *h, uint64_t bytes)
{
    struct limits *limits = h->owner->engine->limits;

    (void)limit_take(limits, h->disk->index, LIMIT_SOURCE, bytes);
    (void)limit_take(limits, h->disk->index, LIMIT_TARGET, bytes);
}

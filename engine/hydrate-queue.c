/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which blocks are asked for next.  There is no list of blocks: a request that waits, a prefetch and
 * the sweep are ranges that are searched for the first block that is missing, that only the source
 * has, and that nobody is bringing.  So a block whose request was lost is found again by itself.
 */
#include "base/align.h"
#include "base/clock.h"
#include "engine/hydrate-inside.h"

#define STREAM_SLACK 4 /* blocks: requests of one reader overtake each other */

static bool is_missing(const struct hydrator *h, uint64_t block)
{
    return atomic_load_explicit(&h->owner->map->missing[block], memory_order_relaxed) != 0;
}

enum owner_from hydrate_from(const struct hydrator *h, uint64_t block)
{
    struct layer *layer;
    enum block_state state;

    return is_missing(h, block) ? owner_lookup(h->owner, block, &layer, &state) : OWNER_HERE;
}

/* ---- setbacks ---- */

static bool covers(struct hydrate_range r, uint64_t block)
{
    return block >= r.first && block < r.end;
}

static const struct hydrate_setback *find_setback(const struct hydrator *h, uint64_t block)
{
    for (unsigned i = 0; i < h->setback_count; i++)
        if (covers(h->setbacks[i].range, block))
            return &h->setbacks[i];
    return NULL;
}

bool hydrate_has_source_setback_locked(const struct hydrator *h)
{
    for (unsigned i = 0; i < h->setback_count; i++)
        if (h->setbacks[i].source)
            return true;
    return false;
}

uint64_t hydrate_queue_retry_locked(const struct hydrator *h)
{
    uint64_t now = clock_now_ns(), first = UINT64_MAX;

    for (unsigned i = 0; i < h->setback_count; i++)
        if (h->setbacks[i].until_ns > now)
            first = MIN(first, h->setbacks[i].until_ns);
    return first;
}

/* Takes the range out of all setbacks; the longest delay of them.  What is left behind a range in
 * the middle is forgotten: it only loses its caution. */
static uint64_t trim_setbacks(struct hydrator *h, struct hydrate_range r)
{
    uint64_t delay = 0;

    for (unsigned i = 0; i < h->setback_count;) {
        struct hydrate_setback *s = &h->setbacks[i];

        if (r.first < s->range.end && s->range.first < r.end) {
            delay = MAX(delay, s->delay_ns);
            if (r.first <= s->range.first)
                s->range.first = r.end;
            else
                s->range.end = r.first;
        }
        if (s->range.first < s->range.end)
            i++;
        else
            *s = h->setbacks[--h->setback_count];
    }
    return delay;
}

/* Room for one more: the one that was to be tried first gives way. */
static struct hydrate_setback *setback_room(struct hydrator *h)
{
    struct hydrate_setback *oldest = &h->setbacks[0];

    if (h->setback_count < HYDRATE_SETBACKS)
        return &h->setbacks[h->setback_count++];
    for (unsigned i = 1; i < h->setback_count; i++)
        if (h->setbacks[i].until_ns < oldest->until_ns)
            oldest = &h->setbacks[i];
    return oldest;
}

static void retry_at(struct hydrate_sweep *s, uint64_t when_ns)
{
    s->retry_ns = s->retry_ns ? MIN(s->retry_ns, when_ns) : when_ns;
}

static void set_back(struct hydrator *h, struct hydrate_range r, bool source)
{
    uint64_t delay = trim_setbacks(h, r), until;
    bool full = h->setback_count == HYDRATE_SETBACKS;

    delay = delay ? MIN(2 * delay, HYDRATE_BACKOFF_MAX_NS) : HYDRATE_BACKOFF_MIN_NS;
    until = clock_now_ns() + delay;
    *setback_room(h) = (struct hydrate_setback){r, until, delay, source};
    retry_at(&h->remote, until);
    retry_at(&h->local, until);
    if (full)
        h->remote.left = h->local.left = 0; /* so much fails that all of the background rests */
}

/* Something keeps this block from being asked for: *ret_end is the first block behind it. */
static bool is_set_back(const struct hydrator *h, uint64_t block, bool demand, uint64_t now,
                        uint64_t *ret_end)
{
    const struct hydrate_setback *s = find_setback(h, block);

    if (!s || s->until_ns <= now || (demand && !s->source))
        return false;
    *ret_end = s->range.end;
    return true;
}

/* ---- in flight ---- */

/* The free blocks from `first` on, at most count; 0: it is in flight until *ret_end. */
static uint32_t free_run(const struct hydrator *h, uint64_t first, uint32_t count,
                         uint64_t *ret_end)
{
    for (unsigned i = 0; i < h->link_count; i++)
        for (unsigned n = 0; n < HYDRATE_SLOTS; n++) {
            const struct hydrate_slot *s = &h->links[i].slots[n];

            if (!s->busy)
                continue;
            if (first >= s->job.first && first < s->job.first + s->job.count) {
                *ret_end = s->job.first + s->job.count;
                return 0;
            }
            if (s->job.first > first)
                count = (uint32_t)MIN((uint64_t)count, s->job.first - first);
        }
    return count;
}

/* ---- the search ---- */

/* Blocks from `first` on that come from the same place, up to end and one request. */
static uint32_t run_length(const struct hydrator *h, uint64_t first, uint64_t end,
                           enum owner_from from)
{
    uint32_t n = 1;

    if (find_setback(h, first))
        return 1; /* one by one: the others of its range may be fine */
    while (n < HYDRATE_BLOCKS && first + n < end && hydrate_from(h, first + n) == from &&
           !find_setback(h, first + n))
        n++;
    return n;
}

/* The first request in the range; it may go on to `extend`. */
static bool find_remote(struct hydrator *h, struct hydrate_range r, uint64_t extend,
                        enum hydrate_kind kind, struct hydrate_job *ret_job)
{
    uint64_t now = clock_now_ns(), end;

    while (r.first < r.end) {
        uint32_t count = 0;

        if (!is_missing(h, r.first) || hydrate_from(h, r.first) != OWNER_FROM_REMOTE)
            end = r.first + 1;
        else if (!is_set_back(h, r.first, kind == HYDRATE_DEMAND, now, &end))
            count = free_run(h, r.first, HYDRATE_BLOCKS, &end);
        if (count > 0) {
            count = MIN(count, run_length(h, r.first, MAX(extend, r.end), OWNER_FROM_REMOTE));
            *ret_job = (struct hydrate_job){kind, r.first, count};
            return true;
        }
        r.first = end;
    }
    return false;
}

bool hydrate_need_settled_locked(struct hydrator *h, struct hydrate_need *n)
{
    while (n->first < n->end && hydrate_from(h, n->first) != OWNER_FROM_REMOTE)
        n->first++;
    return n->first >= n->end;
}

static bool next_demand(struct hydrator *h, struct hydrate_job *ret_job)
{
    struct hydrate_need *n = h->needs, *next;

    for (; n; n = next) {
        next = n->next;
        if (hydrate_need_settled_locked(h, n))
            hydrate_need_finish_locked(n, 0); /* the guest wrote over it, for example */
        else if (find_remote(h, (struct hydrate_range){n->first, n->end}, n->extend,
                             HYDRATE_DEMAND, ret_job))
            return true;
    }
    return false;
}

static bool next_prefetch(struct hydrator *h, struct hydrate_job *ret_job)
{
    while (h->prefetch_count > 0) {
        struct hydrate_range *r = &h->prefetches[h->prefetch_first];
        struct hydrate_range part = {r->first, MIN(r->end, r->first + HYDRATE_SCAN)};

        if (find_remote(h, part, r->end, HYDRATE_PREFETCH, ret_job)) {
            r->first = ret_job->first + ret_job->count;
            return true;
        }
        r->first = part.end;
        if (r->first < r->end)
            return false; /* the rest at the next call */
        h->prefetch_first = (h->prefetch_first + 1) % HYDRATE_PREFETCHES;
        h->prefetch_count--;
    }
    return false;
}

/* The part of a round that is searched now. */
static struct hydrate_range sweep_part(struct hydrator *h, struct hydrate_sweep *s)
{
    uint64_t now = clock_now_ns(), count;

    if (s->left == 0 && s->retry_ns && now >= s->retry_ns) {
        s->left = h->disk->blocks;
        s->retry_ns = hydrate_queue_retry_locked(h);
        if (s->retry_ns == UINT64_MAX)
            s->retry_ns = 0;
    }
    if (s->at >= h->disk->blocks)
        s->at = 0;
    count = MIN(HYDRATE_SCAN, s->left);
    return (struct hydrate_range){s->at, MIN(s->at + count, h->disk->blocks)};
}

static enum hydrate_next sweep_empty(struct hydrate_sweep *s, struct hydrate_range part)
{
    s->at = part.end;
    s->left -= part.end - part.first;
    return s->left > 0 ? HYDRATE_NEXT_AGAIN : HYDRATE_NEXT_NONE;
}

static enum hydrate_next next_sweep(struct hydrator *h, struct hydrate_link *k,
                                    struct hydrate_job *ret_job)
{
    struct hydrate_sweep *s = &h->remote;
    struct hydrate_range part = sweep_part(h, s);
    struct hydrate_job job;
    uint64_t wait;

    if (s->left == 0)
        return HYDRATE_NEXT_NONE;
    if (!find_remote(h, part, part.end, HYDRATE_SWEEP, &job))
        return sweep_empty(s, part);
    /* Requests end at 1 MiB: of the stripes an owner locks. */
    job.count = MIN(job.count, (uint32_t)(round_up(job.first + 1, HYDRATE_BLOCKS) - job.first));
    job.count = MIN(job.count, hydrate_chunk(h));
    wait = hydrate_permit_locked(h, k, job.count * BLOCK_SIZE, true);
    if (wait > 0) {
        k->permit_ns = clock_now_ns() + wait;
        return HYDRATE_NEXT_NONE;
    }
    s->at = job.first + job.count;
    s->left = h->disk->blocks;
    *ret_job = job;
    return HYDRATE_NEXT_JOB;
}

static unsigned busy_slots(const struct hydrate_link *k)
{
    unsigned n = 0;

    for (unsigned i = 0; i < HYDRATE_SLOTS; i++)
        n += k->slots[i].busy;
    return n;
}

enum hydrate_next hydrate_queue_next_locked(struct hydrator *h, struct hydrate_link *k,
                                            enum hydrate_want want, struct hydrate_job *ret_job)
{
    unsigned busy = busy_slots(k);

    k->permit_ns = UINT64_MAX;
    if (busy >= HYDRATE_SLOTS)
        return HYDRATE_NEXT_NONE;
    if (next_demand(h, ret_job)) {
        hydrate_charge_locked(h, ret_job->count * BLOCK_SIZE);
        return HYDRATE_NEXT_JOB;
    }
    if (want == HYDRATE_WANT_DEMAND || busy >= HYDRATE_BACKGROUND)
        return HYDRATE_NEXT_NONE;
    if (next_prefetch(h, ret_job)) {
        hydrate_charge_locked(h, ret_job->count * BLOCK_SIZE);
        return HYDRATE_NEXT_JOB;
    }
    if (h->prefetch_count > 0)
        return HYDRATE_NEXT_AGAIN;
    return next_sweep(h, k, ret_job);
}

/* The first block of the range that a layer has. */
static bool find_local(struct hydrator *h, struct hydrate_range r, struct hydrate_job *ret_job)
{
    uint64_t now = clock_now_ns(), end;

    while (r.first < r.end) {
        if (!is_missing(h, r.first) || hydrate_from(h, r.first) != OWNER_FROM_LAYER) {
            r.first++;
        } else if (is_set_back(h, r.first, false, now, &end)) {
            r.first = end;
        } else {
            uint32_t count = run_length(h, r.first, r.end, OWNER_FROM_LAYER);

            *ret_job = (struct hydrate_job){HYDRATE_SWEEP, r.first, count};
            return true;
        }
    }
    return false;
}

enum hydrate_next hydrate_queue_local_locked(struct hydrator *h, struct hydrate_link *k,
                                             struct hydrate_job *ret_job)
{
    struct hydrate_sweep *s = &h->local;
    struct hydrate_range part = sweep_part(h, s);
    uint64_t wait;

    if (!k->open)
        k->permit_ns = UINT64_MAX;
    if (s->left == 0 || h->local_busy)
        return HYDRATE_NEXT_NONE;
    if (!find_local(h, part, ret_job))
        return sweep_empty(s, part);
    wait = hydrate_permit_locked(h, k, ret_job->count * BLOCK_SIZE, false);
    if (wait > 0) {
        k->permit_ns = MIN(k->permit_ns, clock_now_ns() + wait);
        return HYDRATE_NEXT_NONE;
    }
    /* No restart of the round: a block of a layer that was brought does not come back. */
    part.end = ret_job->first + ret_job->count;
    sweep_empty(s, part);
    h->local_busy = true;
    return HYDRATE_NEXT_JOB;
}

/* ---- what became of it ---- */

static struct hydrate_range job_range(const struct hydrate_job *job)
{
    return (struct hydrate_range){job->first, job->first + job->count};
}

static bool concerns(const struct hydrate_need *n, struct hydrate_range r)
{
    return n->first < r.end && r.first < n->end;
}

void hydrate_queue_done_locked(struct hydrator *h, const struct hydrate_job *job)
{
    struct hydrate_range r = job_range(job);
    struct hydrate_need *n, *next;

    trim_setbacks(h, r);
    if (h->setback_count == 0)
        h->counters.setback[0] = '\0';
    for (n = h->needs; n; n = next) {
        next = n->next;
        if (concerns(n, r) && hydrate_need_settled_locked(h, n))
            hydrate_need_finish_locked(n, 0);
    }
}

void hydrate_queue_failed_locked(struct hydrator *h, const struct hydrate_job *job, int result,
                                 bool source)
{
    struct hydrate_range r = job_range(job);
    struct hydrate_need *n, *next;

    set_back(h, r, source);
    for (n = h->needs; n && !source; n = next) {
        next = n->next;
        if (concerns(n, r))
            hydrate_need_finish_locked(n, result);
    }
}

void hydrate_queue_again_locked(struct hydrator *h, const struct hydrate_job *job)
{
    h->remote.left = h->disk->blocks;
    if (job->kind == HYDRATE_PREFETCH)
        hydrate_queue_prefetch_locked(h, job->first, job->first + job->count);
}

/* ---- what comes in ---- */

void hydrate_queue_prefetch_locked(struct hydrator *h, uint64_t first, uint64_t end)
{
    unsigned at;

    end = MIN(end, h->disk->blocks);
    if (first >= end)
        return;
    if (h->prefetch_count == HYDRATE_PREFETCHES) { /* the oldest hint is worth least */
        h->prefetch_first = (h->prefetch_first + 1) % HYDRATE_PREFETCHES;
        h->prefetch_count--;
    }
    at = (h->prefetch_first + h->prefetch_count++) % HYDRATE_PREFETCHES;
    h->prefetches[at] = (struct hydrate_range){first, end};
}

static struct hydrate_stream *find_stream(struct hydrator *h, uint64_t first, bool *ret_found)
{
    struct hydrate_stream *oldest = &h->streams[0];

    for (unsigned i = 0; i < HYDRATE_STREAMS; i++) {
        struct hydrate_stream *s = &h->streams[i];

        if (s->window > 0 && first + STREAM_SLACK >= s->next && first <= s->ahead) {
            *ret_found = true;
            return s;
        }
        if (s->used_ns < oldest->used_ns)
            oldest = s;
    }
    *ret_found = false;
    return oldest;
}

void hydrate_queue_note_locked(struct hydrator *h, struct hydrate_need *n)
{
    bool found;
    struct hydrate_stream *s = find_stream(h, n->first, &found);

    if (found) {
        uint64_t ahead;

        s->window = MIN(2 * s->window, (uint32_t)HYDRATE_BLOCKS);
        s->next = MAX(s->next, n->end);
        ahead = MIN(MAX(s->ahead, s->next + s->window), h->disk->blocks);
        /* What the request itself can take it takes; the rest comes behind it. */
        hydrate_queue_prefetch_locked(h, MAX(s->ahead, n->end), ahead);
        s->ahead = ahead;
    } else {
        *s = (struct hydrate_stream){.next = n->end, .ahead = n->end, .window = 1};
    }
    s->used_ns = clock_now_ns();
    n->extend = MIN(s->ahead, n->end + s->window);
    h->remote.at = n->end;
    h->remote.left = h->disk->blocks;
}

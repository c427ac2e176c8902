/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/hydrate-inside.h"

#include <stdio.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/str.h"

#define CONNECTIONS_DEFAULT 2

/* ---- the state of the source ---- */

void hydrate_state_set_locked(struct hydrator *h, enum source_state state)
{
    if (h->state == state)
        return;
    h->state = state;
    h->since_ns = clock_now_ns();
    atomic_store(&h->news, true);
}

void hydrate_need_finish_locked(struct hydrate_need *n, int result)
{
    struct hydrator *h = n->hydrator;

    *n->link = n->next;
    if (n->next)
        n->next->link = n->link;
    else
        h->needs_end = n->link;
    n->done = true;
    n->result = result;
    if (result < 0)
        h->counters.demand_errors++;
    lock_wake(&n->cond);
}

static void finish_all_locked(struct hydrator *h, int result)
{
    while (h->needs) {
        struct hydrate_need *n = h->needs;

        hydrate_need_finish_locked(n, hydrate_need_settled_locked(h, n) ? 0 : result);
    }
}

void hydrate_lost_locked(struct hydrator *h)
{
    hydrate_state_set_locked(h, SOURCE_LOST);
    if (!h->counters.error[0])
        snprintf(h->counters.error, sizeof(h->counters.error),
                 "the source of disk %s does not answer; see to it, what needs it fails until it "
                 "is back", h->disk->name);
    finish_all_locked(h, -EIO);
    for (unsigned i = 0; i < h->link_count; i++)
        atomic_store(&h->links[i].drop, h->links[i].open);
    hydrate_wake_all_locked(h);
}

void hydrate_arrived_locked(struct hydrator *h)
{
    h->arrived_ns = clock_now_ns();
    hydrate_state_set_locked(h, SOURCE_UP);
    h->counters.error[0] = '\0';
}

void hydrate_tell(struct hydrator *h)
{
    struct engine *e = h->owner->engine;

    if (!atomic_exchange(&h->news, false))
        return;
    lock_take(&e->lock);
    pthread_cond_broadcast(&e->changed);
    lock_release(&e->lock);
}

/* ---- counters ---- */

void hydrate_count_locked(struct hydrator *h, uint64_t *counter, uint64_t bytes)
{
    uint64_t second = clock_now_ns() / NS_PER_S;

    for (unsigned n = 0; h->rate_second < second; n++) {
        h->rate_second = n < ARRAY_SIZE(h->rate_slots) ? h->rate_second + 1 : second;
        h->rate_slots[h->rate_second % ARRAY_SIZE(h->rate_slots)] = 0;
    }
    h->rate_slots[second % ARRAY_SIZE(h->rate_slots)] += bytes;
    *counter += bytes;
}

/* Of the whole seconds that have passed. */
static uint64_t rate_locked(const struct hydrator *h)
{
    uint64_t second = clock_now_ns() / NS_PER_S, sum = 0, slots = ARRAY_SIZE(h->rate_slots);

    for (uint64_t back = 1; back < slots; back++)
        if (second >= back && second - back <= h->rate_second &&
            second - back + slots > h->rate_second)
            sum += h->rate_slots[(second - back) % slots];
    return sum / (slots - 1);
}

void hydrator_get_status(struct hydrator *h, struct hydrator_status *ret_status)
{
    uint64_t missing = owner_missing_bytes(h->owner);

    HOLD_FOR_SCOPE(&h->lock);
    *ret_status = h->counters;
    ret_status->state = h->state;
    ret_status->since_ns = h->since_ns;
    ret_status->missing_bytes = missing;
    ret_status->rate_bytes_s = rate_locked(h);
    ret_status->links = h->open_links;
    ret_status->depth = pace_depth(&h->pace);
    if (h->state == SOURCE_UP)
        ret_status->error[0] = '\0';
}

/* ---- requests ---- */

static int need_begin_locked(struct hydrator *h, struct hydrate_need *n)
{
    if (atomic_load(&h->stopping))
        return -ESHUTDOWN;
    if (hydrate_need_settled_locked(h, n))
        return 0;
    n->begin_ns = clock_now_ns();
    h->counters.demand_count++;
    pace_demand_began(&h->pace, n->begin_ns);
    if (h->state == SOURCE_LOST) {
        h->counters.demand_errors++;
        return -EIO;
    }
    n->link = h->needs_end;
    *h->needs_end = n;
    h->needs_end = &n->next;
    hydrate_queue_note_locked(h, n);
    hydrate_wake_one_locked(h);
    return 1;
}

int hydrate_need_begin(struct hydrator *h, struct hydrate_need *n)
{
    HOLD_FOR_SCOPE(&h->lock);
    h->users++;
    n->hydrator = h;
    lock_cond_init(&n->cond);
    return need_begin_locked(h, n);
}

/* What layers have of it: here and now, whatever the source does. */
static int need_local(struct hydrator *h, uint64_t first, uint64_t end)
{
    int r = 0;

    while (r == 0 && first < end) {
        uint64_t run = first;

        while (run < end && run - first < HYDRATE_BLOCKS &&
               hydrate_from(h, run) == OWNER_FROM_LAYER)
            run++;
        if (run == first) {
            first++;
            continue;
        }
        r = owner_hydrate_local(h->owner, first, (uint32_t)(run - first));
        lock_take(&h->lock);
        if (r == 0)
            hydrate_count_locked(h, &h->counters.local_bytes,
                                 MIN(run * BLOCK_SIZE, h->disk->size) - first * BLOCK_SIZE);
        lock_release(&h->lock);
        first = run;
    }
    return r;
}

/* It waited as long as it may.  Blocks that a working source cannot read are no reason to call it
 * lost. */
static void need_expired_locked(struct hydrator *h, struct hydrate_need *n)
{
    bool working = h->state == SOURCE_UP &&
                   h->arrived_ns + h->options.wait_ns / 2 > clock_now_ns();

    if (hydrate_need_settled_locked(h, n))
        hydrate_need_finish_locked(n, 0);
    else if (working)
        hydrate_need_finish_locked(n, -EIO);
    else
        hydrate_lost_locked(h);
}

static void need_wait_locked(struct hydrator *h, struct hydrate_need *n)
{
    uint64_t deadline = n->begin_ns + h->options.wait_ns;

    while (!n->done) {
        int r = lock_wait(&n->cond, &h->lock, deadline);

        if (!n->done && (r == -ETIMEDOUT || clock_now_ns() >= deadline))
            need_expired_locked(h, n);
    }
}

/* Without threads: turns of all connections until it is done.  All of them failed, and again when
 * they were made anew: lost. */
static void need_work(struct hydrator *h, struct hydrate_need *n)
{
    for (unsigned failures = 0;;) {
        unsigned failed = 0;
        bool done;

        for (unsigned i = 0; i < h->link_count; i++)
            failed += hydrate_claimed_step(&h->links[i], HYDRATE_WANT_DEMAND) < 0;
        failures = failed == h->link_count ? failures + 1 : 0;
        lock_take(&h->lock);
        if (!n->done && hydrate_need_settled_locked(h, n))
            hydrate_need_finish_locked(n, 0);
        else if (!n->done && failures == 2)
            hydrate_lost_locked(h);
        else if (!n->done && clock_now_ns() >= n->begin_ns + h->options.wait_ns)
            need_expired_locked(h, n);
        done = n->done;
        lock_release(&h->lock);
        if (done)
            return;
        lock_pause();
    }
}

int hydrate_need_end(struct hydrator *h, struct hydrate_need *n, int result)
{
    HOLD_FOR_SCOPE(&h->lock);
    if (n->link && !n->done && result == 0)
        need_wait_locked(h, n);
    if (n->link && !n->done)
        hydrate_need_finish_locked(n, result);
    if (n->link) {
        h->counters.demand_ns += clock_now_ns() - n->begin_ns;
        result = result < 0 ? result : n->result;
    }
    pthread_cond_destroy(&n->cond);
    if (--h->users == 0)
        lock_wake(&h->left);
    return result;
}

int hydrator_need(struct hydrator *h, uint64_t first_block, uint64_t last_block)
{
    struct hydrate_need n = {.first = first_block, .end = last_block + 1};
    int r;

    if (owner_is_complete(h->owner))
        return 0;
    r = hydrate_need_begin(h, &n);
    if (r >= 0) {
        bool waits = r == 1;

        r = need_local(h, first_block, last_block + 1);
        if (r == 0 && waits && !h->threads)
            need_work(h, &n);
    }
    return hydrate_need_end(h, &n, r);
}

void hydrator_prefetch(struct hydrator *h, uint64_t first_block, uint64_t last_block)
{
    HOLD_FOR_SCOPE(&h->lock);
    hydrate_queue_prefetch_locked(h, first_block, last_block + 1);
    hydrate_wake_one_locked(h);
}

/* ---- steering ---- */

int hydrator_set_source(struct hydrator *h, const char *uri)
{
    char *copy = strdup(uri);

    if (!copy)
        return -ENOMEM;
    HOLD_FOR_SCOPE(&h->lock);
    for (unsigned i = 0; i < h->link_count; i++)
        atomic_store(&h->links[i].hurry, true);
    if (h->uri && strcmp(h->uri, uri) == 0) {
        /* What is open or on its way may well be right; what is not shows by itself. */
        free(copy);
        hydrate_wake_all_locked(h);
        return 0;
    }
    free(h->uri);
    h->uri = copy;
    atomic_fetch_add(&h->serial, 1);
    if (h->state != SOURCE_LOST)
        hydrate_state_set_locked(h, SOURCE_CONNECTING);
    h->counters.error[0] = '\0';
    hydrate_wake_all_locked(h);
    return 0;
}

void hydrator_source_lost(struct hydrator *h)
{
    HOLD_FOR_SCOPE(&h->lock);
    if (!h->finished)
        hydrate_lost_locked(h);
}

/* ---- life ---- */

static void init_state(struct hydrator *h, const struct hydrator_options *options)
{
    unsigned count = options->connections ? options->connections : CONNECTIONS_DEFAULT;

    h->options = *options;
    h->options.uri = NULL;
    if (h->options.wait_ns == 0)
        h->options.wait_ns = HYDRATE_WAIT_NS;
    h->link_count = MIN(count, (unsigned)HYDRATE_LINKS_MAX);
    h->needs_end = &h->needs;
    h->remote.left = h->local.left = h->disk->blocks;
    h->state = options->uri ? SOURCE_CONNECTING : SOURCE_NONE;
    h->since_ns = clock_now_ns();
    pace_init(&h->pace, h->link_count * HYDRATE_BACKGROUND);
    lock_init_short(&h->lock);
    lock_cond_init(&h->left);
}

int hydrator_new(struct owner *owner, const struct hydrator_options *options,
                 struct hydrator **ret_hydrator)
{
    struct hydrator *h = calloc(1, sizeof(*h));
    int r = 0;

    if (!h)
        return -ENOMEM;
    h->owner = owner;
    h->disk = owner->disk;
    init_state(h, options);
    h->uri = options->uri ? strdup(options->uri) : NULL;
    h->links = calloc(h->link_count, sizeof(*h->links));
    if (!h->links || (options->uri && !h->uri))
        r = -ENOMEM;
    for (unsigned i = 0; h->links && i < h->link_count; i++)
        h->links[i].event_fd = -1;
    for (unsigned i = 0; r == 0 && i < h->link_count; i++)
        r = hydrate_link_init(&h->links[i], h, i);
    if (r < 0) {
        hydrator_free(h);
        return r;
    }
    *ret_hydrator = h;
    return 0;
}

int hydrator_start(struct hydrator *h)
{
    return hydrate_threads_start(h);
}

void hydrator_stop(struct hydrator *h)
{
    lock_take(&h->lock);
    atomic_store(&h->stopping, true);
    finish_all_locked(h, -ESHUTDOWN);
    hydrate_wake_all_locked(h);
    while (h->users > 0)
        lock_wait(&h->left, &h->lock, 0);
    lock_release(&h->lock);
    hydrate_threads_stop(h);
}

void hydrator_free(struct hydrator *h)
{
    if (!h)
        return;
    for (unsigned i = 0; h->links && i < h->link_count; i++)
        hydrate_link_done(&h->links[i]);
    pthread_cond_destroy(&h->left);
    pthread_mutex_destroy(&h->lock);
    free(h->links);
    free(h->uri);
    free(h);
}

int hydrator_step(struct hydrator *h, unsigned connection)
{
    int r = hydrate_claimed_step(&h->links[connection], HYDRATE_WANT_ALL);

    return r < 0 ? r : r != HYDRATE_FINISHED;
}

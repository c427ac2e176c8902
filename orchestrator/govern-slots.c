/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/govern-slots.h"

#include <stdlib.h>

#define MINUTE_NS (INT64_C(60) * 1000000000)

static int64_t rank_of(const struct slots_request *q)
{
    return q->priority + q->waiting_ns / MINUTE_NS;
}

static int compare(const void *a, const void *b)
{
    const struct slots_request *x = *(struct slots_request *const *)a;
    const struct slots_request *y = *(struct slots_request *const *)b;
    int64_t rx = rank_of(x), ry = rank_of(y);

    if (rx != ry)
        return rx > ry ? -1 : 1;
    return (x->ticket > y->ticket) - (x->ticket < y->ticket);
}

/* The first scope without a place for it, or scope_count. */
static size_t full_scope(const struct slots_scope *scopes, const unsigned *kept,
                         const struct slots_request *q, bool *ret_kept)
{
    for (size_t i = 0; i < q->scope_count; i++) {
        const struct slots_scope *s = &scopes[q->scopes[i]];

        *ret_kept = s->most && s->running < s->most;
        if (s->most && s->running + kept[q->scopes[i]] >= s->most)
            return i;
    }
    return q->scope_count;
}

static void decide(struct slots_scope *scopes, unsigned *kept, struct slots_request *q,
                   bool *keeping)
{
    size_t full = full_scope(scopes, kept, q, &q->kept_free);

    q->granted = full == q->scope_count;
    if (q->granted) {
        for (size_t i = 0; i < q->scope_count; i++)
            scopes[q->scopes[i]].running++;
        return;
    }
    q->blocked_by = q->scopes[full];
    if (*keeping || q->waiting_ns < SLOTS_PATIENCE_NS)
        return;
    *keeping = true;
    for (size_t i = 0; i < q->scope_count; i++)
        kept[q->scopes[i]] = 1;
}

void slots_grant(struct slots_scope *scopes, size_t scope_count, struct slots_request *requests,
                 size_t count)
{
    struct slots_request **order = calloc(count + 1, sizeof(*order));
    unsigned *kept = calloc(scope_count + 1, sizeof(*kept));
    bool keeping = false;

    if (!order || !kept)
        abort();
    for (size_t i = 0; i < count; i++)
        order[i] = &requests[i];
    qsort(order, count, sizeof(struct slots_request *), compare);
    for (size_t i = 0; i < count; i++)
        decide(scopes, kept, order[i], &keeping);
    free(order);
    free(kept);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/simulate-queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static bool is_before(const struct queue_entry *a, const struct queue_entry *b)
{
    if (a->key != b->key)
        return a->key < b->key;
    return a->index != b->index ? a->index < b->index : a->stamp < b->stamp;
}

void queue_push(struct queue *q, struct queue_entry entry)
{
    size_t at = q->count++;

    if (q->count > q->room) {
        struct queue_entry *more = mem_new(q->room ? q->room * 2 : 64, sizeof(*more));

        if (at > 0)
            memcpy(more, q->entries, at * sizeof(*more));
        free(q->entries);
        q->entries = more;
        q->room = q->room ? q->room * 2 : 64;
    }
    for (; at > 0 && is_before(&entry, &q->entries[(at - 1) / 2]); at = (at - 1) / 2)
        q->entries[at] = q->entries[(at - 1) / 2];
    q->entries[at] = entry;
}

const struct queue_entry *queue_first(const struct queue *q)
{
    return q->count ? &q->entries[0] : NULL;
}

void queue_pop(struct queue *q)
{
    struct queue_entry last = q->entries[--q->count];
    size_t at = 0, child;

    while ((child = at * 2 + 1) < q->count) {
        if (child + 1 < q->count && is_before(&q->entries[child + 1], &q->entries[child]))
            child++;
        if (!is_before(&q->entries[child], &last))
            break;
        q->entries[at] = q->entries[child];
        at = child;
    }
    q->entries[at] = last;
}

void queue_free(struct queue *q)
{
    free(q->entries);
    *q = (struct queue){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A binary heap: the least (key, index) first.  Entries that are out of date are the caller's to
 * recognise, by their stamp. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue_entry {
    int64_t key;
    uint32_t index, kind;
    uint64_t stamp;
};

struct queue {
    struct queue_entry *entries;
    size_t count, room;
};

void queue_push(struct queue *q, struct queue_entry entry);

/* The first; NULL: empty.  Valid until the next push or pop. */
const struct queue_entry *queue_first(const struct queue *q);
void queue_pop(struct queue *q);
void queue_free(struct queue *q);

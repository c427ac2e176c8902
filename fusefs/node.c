/* SPDX-License-Identifier: Apache-2.0 */
#include "fusefs/node.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

#define CHAINS 1024

struct nodes {
    pthread_mutex_t lock;
    struct node *chains[CHAINS];
    struct node root;
    uint64_t last_number;
};

static struct node **chain_of(struct nodes *t, const char *key)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */

    for (const char *s = key; *s; s++)
        h = (h ^ (uint8_t)*s) * UINT64_C(1099511628211);
    return &t->chains[h % CHAINS];
}

struct nodes *nodes_new(void)
{
    struct nodes *t = mem_new(1, sizeof(*t));

    pthread_mutex_init(&t->lock, NULL);
    t->last_number = 1;
    t->root = (struct node){.kind = NODE_ROOT, .number = 1, .lookups = 1};
    return t;
}

static void node_free(struct node *n)
{
    free(n->key);
    free(n->vm);
    free(n->draft);
    free(n->disk);
    free(n->digest);
    free(n);
}

void nodes_free(struct nodes *t)
{
    if (!t)
        return;
    for (unsigned i = 0; i < CHAINS; i++)
        for (struct node *n = t->chains[i], *next; n; n = next) {
            next = n->next;
            node_free(n);
        }
    pthread_mutex_destroy(&t->lock);
    free(t);
}

void nodes_end(struct nodes *t, void (*fn)(struct disk *disk))
{
    LOCK_FOR_SCOPE(&t->lock);
    for (unsigned i = 0; i < CHAINS; i++)
        for (struct node *n = t->chains[i]; n; n = n->next)
            if (n->open)
                fn(steal_ptr(n->open));
}

struct node *nodes_root(struct nodes *t)
{
    return &t->root;
}

pthread_mutex_t *nodes_lock(struct nodes *t)
{
    return &t->lock;
}

/* The parts of a key are names without slashes. */
static char *make_key(enum node_kind kind, const char *vm, const char *draft, bool writable,
                      uint64_t generation, const char *disk)
{
    return str_format("%d/%s/%s/%d/%" PRIu64 "/%s", (int)kind, vm ? vm : "", draft ? draft : "",
                      writable, generation, disk ? disk : "");
}

struct node *nodes_get(struct nodes *t, enum node_kind kind, const char *vm, const char *draft,
                       bool writable, uint64_t generation, const char *disk, uint64_t size)
{
    _cleanup_free_ char *key = make_key(kind, vm, draft, writable, generation, disk);
    struct node **chain = chain_of(t, key), *n;

    LOCK_FOR_SCOPE(&t->lock);
    for (n = *chain; n && strcmp(n->key, key) != 0;)
        n = n->next;
    if (!n) {
        n = mem_new(1, sizeof(*n));
        *n = (struct node){.next = *chain, .key = steal_ptr(key), .number = ++t->last_number,
                           .kind = kind, .vm = str_dup(vm), .draft = str_dup(draft),
                           .generation = generation, .disk = str_dup(disk),
                           .writable = writable};
        *chain = n;
    }
    n->size = size;
    n->lookups++;
    return n;
}

static void drop_unused_locked(struct nodes *t, struct node *n)
{
    struct node **at;

    if (n->lookups > 0 || n->opens > 0 || n == &t->root)
        return;
    at = chain_of(t, n->key);
    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
    node_free(n);
}

void nodes_forget(struct nodes *t, struct node *n, uint64_t lookups)
{
    LOCK_FOR_SCOPE(&t->lock);
    n->lookups -= lookups < n->lookups ? lookups : n->lookups;
    drop_unused_locked(t, n);
}

void nodes_opened(struct nodes *t, struct node *n)
{
    LOCK_FOR_SCOPE(&t->lock);
    n->opens++;
}

void nodes_closed(struct nodes *t, struct node *n)
{
    LOCK_FOR_SCOPE(&t->lock);
    n->opens--;
    drop_unused_locked(t, n);
}

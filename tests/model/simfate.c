/* SPDX-License-Identifier: Apache-2.0 */
/* Kills, power losses, and what tests set and ask. */
#include "tests/model/siminside.h"

#include <string.h>

#include "base/align.h"
#include "base/str.h"

/* ---- the hand of fate ---- */

void sim_kill(struct sim *s)
{
    sim_die(s);
    memset(s->files, 0, sizeof(s->files));
    for (struct sim_flight *f = s->flights; f; f = f->next)
        f->orphan = true;
    for (struct inode *i = s->inodes; i; i = i->next)
        for (struct pending *p = i->first; p; p = p->next)
            p->lost = false; /* the operator saw to the disk before the restart */
    s->dead = false;
    s->landing = 16u << random_below(&s->random, 6);
    s->fault = SIM_NO_FAULT;
}

static void lose_data(struct sim *s, struct inode *i, enum sim_loss loss)
{
    bool size_kept = loss == SIM_LOSE_NOTHING ||
                     (loss != SIM_LOSE_ALL && random_once_in(&s->random, 2));

    for (struct pending *p = i->first; p; p = p->next) {
        unsigned fate = loss == SIM_LOSE_ALL ? 0 : loss == SIM_LOSE_NOTHING ? 1
                        : loss == SIM_LOSE_TORN ? 2 : random_below(&s->random, 3);

        for (uint64_t at = 0; at < p->length; at += i->tear)
            if (fate == 1 || (fate == 2 && random_once_in(&s->random, 2)))
                image_write(&i->durable, p->offset + at, p->bytes + at,
                            MIN((uint64_t)i->tear, p->length - at));
    }
    if (size_kept)
        image_resize(&i->durable, i->now.size);
    inode_forget(i);
    image_copy(&i->now, &i->durable);
}

/* Each file system keeps a beginning of its changes. */
static void lose_names(struct sim *s, enum sim_loss loss)
{
    struct change *c;

    while (s->changes) {
        char *system = str_dup(s->changes->path);
        struct change **at = &s->changes;
        bool keep = loss != SIM_LOSE_ALL, together = false;

        while ((c = *at)) {
            if (!name_same_system(system, c->path)) {
                at = &c->next;
                continue;
            }
            if (keep && !together && loss != SIM_LOSE_NOTHING && random_once_in(&s->random, 6))
                keep = false;
            together = c->more;
            change_harden(s, change_take(at), keep);
        }
        free(system);
    }
    while (s->names)
        name_set(&s->names, s->names->path, NULL);
    for (struct name *n = s->durable_names; n; n = n->next)
        name_set(&s->names, n->path, n->inode);
}

void sim_power_loss(struct sim *s, enum sim_loss loss)
{
    sim_kill(s);
    while (s->flights)
        flight_land(s, &s->flights); /* the disk had them; what it keeps is decided now */
    for (struct inode *i = s->inodes; i; i = i->next)
        lose_data(s, i, loss);
    lose_names(s, loss);
    shared_forget(s);
}

/* ---- from outside ---- */

struct sim *sim_new(void)
{
    struct sim *s = mem_new(1, sizeof(*s));

    s->io.ops = &sim_ops;
    s->alignment = 1;
    s->store_tear = TEAR;
    s->landing = 64;
    s->free_space = UINT64_MAX;
    s->file_max = UINT64_C(16) << 20;
    return s;
}

void sim_free(struct sim *s)
{
    struct inode *i;
    struct sim_flight *f;

    while (s->names)
        name_set(&s->names, s->names->path, NULL);
    while (s->durable_names)
        name_set(&s->durable_names, s->durable_names->path, NULL);
    while (s->changes)
        change_harden(s, change_take(&s->changes), false);
    shared_free(s);
    while ((f = s->flights)) {
        s->flights = f->next;
        free(f);
    }
    while ((i = s->inodes)) {
        s->inodes = i->next;
        inode_forget(i);
        free(i->now.bytes);
        free(i->durable.bytes);
        free(i);
    }
    free(s);
}

struct io *sim_io(struct sim *s)
{
    return &s->io;
}

struct random *sim_random(struct sim *s)
{
    return &s->random;
}

void sim_seed(struct sim *s, uint64_t seed)
{
    s->random.state = seed;
}

void sim_set_fault(struct sim *s, enum sim_fault fault, unsigned at)
{
    s->fault = fault;
    s->fault_at = at;
    s->calls = s->syncs = 0;
    s->hit = false;
}

void sim_set_alignment(struct sim *s, uint32_t alignment)
{
    s->alignment = alignment;
}

void sim_set_file_max(struct sim *s, uint64_t bytes)
{
    s->file_max = bytes;
}

void sim_set_store_tear(struct sim *s, unsigned bytes)
{
    s->store_tear = bytes;
}

void sim_set_free_space(struct sim *s, uint64_t bytes)
{
    s->free_space = bytes;
}

void sim_settle(struct sim *s)
{
    while (s->changes)
        change_harden(s, change_take(&s->changes), true);
    for (struct inode *i = s->inodes; i; i = i->next) {
        inode_harden(i, UINT64_MAX);
        image_resize(&i->durable, i->now.size);
    }
}

void sim_die(struct sim *s)
{
    if (!s->dead)
        shared_freeze(s);
    s->dead = true;
}

void sim_set_yield(struct sim *s, void (*yield)(void))
{
    s->yield = yield;
}

unsigned sim_syncs_failed(const struct sim *s)
{
    return s->syncs_failed;
}

unsigned sim_open_files(const struct sim *s)
{
    unsigned count = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(s->files); i++)
        count += s->files[i].inode != NULL;
    return count;
}

bool sim_dead(const struct sim *s)
{
    return s->dead;
}

bool sim_fault_hit(const struct sim *s)
{
    return s->hit;
}

unsigned sim_calls(const struct sim *s)
{
    return s->calls;
}

void sim_quiet_begin(struct sim *s)
{
    s->quiet++;
}

void sim_quiet_end(struct sim *s)
{
    s->quiet--;
}

const uint8_t *sim_file(struct sim *s, const char *path, uint64_t *ret_size)
{
    struct inode *i = name_lookup(s, path);

    if (!i)
        return NULL;
    image_reserve(&i->now, i->now.size + 1);
    *ret_size = i->now.size;
    return i->now.bytes;
}

void sim_put(struct sim *s, const char *path, const void *data, size_t length)
{
    struct inode *i = name_lookup(s, path);

    if (!i && inode_new(s, path, false, &i) < 0)
        abort();
    inode_forget(i);
    image_resize(&i->now, 0);
    image_write(&i->now, 0, data, length);
    image_copy(&i->durable, &i->now);
}

void sim_each(struct sim *s, void (*fn)(const char *, void *), void *context)
{
    for (struct name *n = s->names; n; n = n->next)
        fn(n->path, context);
}

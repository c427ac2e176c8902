/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/siminside.h"

#include <string.h>

#include "base/align.h"
#include "base/str.h"

/* Memory is there up to `room`; the rest of a file reads as zero. */
void image_reserve(struct image *im, uint64_t room)
{
    if (room <= im->room)
        return;
    room = round_up(room, PAGE);
    im->bytes = realloc(im->bytes, room);
    if (!im->bytes)
        abort();
    memset(im->bytes + im->room, 0, room - im->room);
    im->room = room;
}

void image_resize(struct image *im, uint64_t size)
{
    if (size < im->room)
        memset(im->bytes + size, 0, im->room - size);
    im->size = size;
}

void image_write(struct image *im, uint64_t offset, const uint8_t *bytes, uint64_t length)
{
    if (length == 0)
        return;
    image_reserve(im, offset + length);
    im->size = MAX(im->size, offset + length);
    memcpy(im->bytes + offset, bytes, length);
}

void image_read(const struct image *im, uint64_t offset, uint8_t *bytes, uint64_t length)
{
    uint64_t n = offset < im->room ? MIN(length, im->room - offset) : 0;

    if (n > 0)
        memcpy(bytes, im->bytes + offset, n);
    memset(bytes + n, 0, length - n);
}

void image_copy(struct image *to, const struct image *from)
{
    uint64_t n = MIN(from->size, from->room);

    image_resize(to, 0);
    image_reserve(to, n);
    if (n > 0)
        memcpy(to->bytes, from->bytes, n);
    to->size = from->size;
}

void inode_forget(struct inode *i)
{
    while (i->first) {
        struct pending *p = i->first;

        i->first = p->next;
        free(p);
    }
    i->last = &i->first;
}

/* bytes NULL: zeros. */
void inode_write(struct sim *s, struct inode *i, uint64_t offset, const uint8_t *bytes,
                 uint64_t length)
{
    struct pending *p = mem_new(1, sizeof(*p) + length);

    p->offset = offset;
    p->length = length;
    p->order = ++s->writes;
    if (bytes)
        memcpy(p->bytes, bytes, length);
    *i->last = p;
    i->last = &p->next;
    image_write(&i->now, offset, p->bytes, length);
}

static struct pending *pending_part(const struct pending *p, uint64_t from, uint64_t to)
{
    struct pending *part = mem_new(1, sizeof(*part) + (to - from));

    part->offset = from;
    part->length = to - from;
    part->lost = p->lost;
    part->order = p->order;
    memcpy(part->bytes, p->bytes + (from - p->offset), to - from);
    return part;
}

/* The range is durable in a newer version: what `*at` would put there no longer counts.  Returns
 * where to go on. */
static struct pending **pending_clip(struct pending **at, uint64_t offset, uint64_t length)
{
    struct pending *p = *at, *next = p->next;
    uint64_t end = offset + length, p_end = p->offset + p->length;

    if (!ranges_overlap(offset, length, p->offset, p->length))
        return &p->next;
    if (p_end > end) {
        *at = pending_part(p, end, p_end);
        (*at)->next = next;
        next = *at;
    }
    if (p->offset < offset) {
        *at = pending_part(p, p->offset, offset);
        (*at)->next = next;
        next = *at;
    }
    *at = next;
    free(p);
    return at;
}

static void pending_find_last(struct inode *i)
{
    i->last = &i->first;
    while (*i->last)
        i->last = &(*i->last)->next;
}

/* The newest write, and only it, becomes durable. */
void inode_harden_newest(struct inode *i)
{
    struct pending **at = &i->first, *newest = i->first;

    while (newest->next)
        newest = newest->next;
    image_write(&i->durable, newest->offset, newest->bytes, newest->length);
    while (*at != newest)
        at = pending_clip(at, newest->offset, newest->length);
    *at = NULL;
    i->last = at;
    free(newest);
}

/* All up to the order `upto` but the lost ones; those lose what a later write covers. */
void inode_harden(struct inode *i, uint64_t upto)
{
    struct pending *p;

    for (struct pending **at = &i->first; (p = *at);) {
        if (p->lost || p->order > upto) {
            at = &p->next;
            continue;
        }
        image_write(&i->durable, p->offset, p->bytes, p->length);
        for (struct pending **old = &i->first; *old && *old != p;)
            old = pending_clip(old, p->offset, p->length);
        at = &i->first;
        while (*at != p)
            at = &(*at)->next;
        *at = p->next;
        free(p);
    }
    pending_find_last(i);
}

void flight_land(struct sim *s, struct sim_flight **at)
{
    struct sim_flight *f = *at;

    *at = f->next;
    inode_write(s, f->inode, f->offset, f->bytes, f->length);
    free(f);
}

/* A read sees any sectors of the writes that are under way in this process. */
void flight_read(struct sim *s, const struct inode *i, uint64_t offset, uint8_t *bytes,
                 uint64_t length)
{
    for (const struct sim_flight *f = s->flights; f; f = f->next) {
        if (f->inode != i || f->orphan || !ranges_overlap(offset, length, f->offset, f->length))
            continue;
        for (uint64_t at = 0; at < f->length; at += TEAR) {
            uint64_t n = MIN(TEAR, f->length - at), start = f->offset + at;

            if (start >= offset && start + n <= offset + length && random_once_in(&s->random, 2))
                memcpy(bytes + (start - offset), f->bytes + at, n);
        }
    }
}

/* What was written after the order `after` never becomes durable. */
void inode_lose(struct inode *i, uint64_t after)
{
    for (struct pending *p = i->first; p; p = p->next)
        p->lost |= p->order > after;
}

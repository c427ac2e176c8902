/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/view.h"

#include "base/align.h"
#include "base/iszero.h"
#include "engine/vm.h"

static void fill_disk(struct view_disk *vd, const struct disk *d, uint64_t gen)
{
    for (unsigned i = d->layer_count; i-- > 0;)
        if (d->layers[i]->gen <= gen)
            vd->layers[vd->layer_count++] = layer_ref(d->layers[i]);
}

bool view_is_readable_locked(const struct engine *e, uint64_t gen)
{
    if (e->cur_gen == NO_GENERATION || gen > e->cur_gen)
        return false;
    for (unsigned i = 0; i < e->disk_count; i++)
        if (gen < e->disks[i].oldest_readable)
            return false;
    return true;
}

int view_get_locked(struct engine *e, uint64_t gen, struct view **ret_view)
{
    struct view *v;

    if (e->flipping || e->mode != MODE_MIRROR)
        return -ESHUTDOWN;
    if (gen == NO_GENERATION && e->latest) {
        e->latest->refs++;
        *ret_view = e->latest;
        return 0;
    }
    if (gen == NO_GENERATION)
        gen = e->cur_gen;
    if (!view_is_readable_locked(e, gen))
        return -ENOENT;
    v = calloc(1, sizeof(*v) + e->disk_count * sizeof(v->disks[0]));
    if (!v)
        return -ENOMEM;
    v->engine = e;
    v->refs = 1;
    v->gen = gen;
    v->disk_count = e->disk_count;
    for (unsigned i = 0; i < e->disk_count; i++)
        fill_disk(&v->disks[i], &e->disks[i], gen);
    v->next = e->views;
    if (v->next)
        v->next->prev = v;
    e->views = v;
    *ret_view = v;
    return 0;
}

int view_get(struct engine *e, uint64_t gen, struct view **ret_view)
{
    LOCK_FOR_SCOPE(&e->lock);
    return view_get_locked(e, gen, ret_view);
}

void view_put_locked(struct view *v)
{
    if (!v || --v->refs > 0)
        return;
    if (v->prev)
        v->prev->next = v->next;
    else
        v->engine->views = v->next;
    if (v->next)
        v->next->prev = v->prev;
    for (unsigned i = 0; i < v->disk_count; i++)
        for (unsigned k = 0; k < v->disks[i].layer_count; k++)
            layer_unref(v->disks[i].layers[k]);
    pthread_cond_broadcast(&v->engine->changed);
    free(v);
}

void view_put(struct view *v)
{
    struct engine *e = v ? v->engine : NULL;

    if (!v)
        return;
    LOCK_FOR_SCOPE(&e->lock);
    view_put_locked(v);
}

struct layer *view_lookup(const struct view *v, const struct disk *d, uint64_t block,
                          enum block_state *ret_state)
{
    const struct view_disk *vd = &v->disks[d->index];

    for (unsigned i = 0; i < vd->layer_count; i++) {
        *ret_state = layer_state(vd->layers[i], block);
        if (*ret_state != BLOCK_UNCHANGED)
            return vd->layers[i];
    }
    return NULL;
}

struct piece {
    struct layer *layer;
    enum block_state state;
    uint64_t length; /* bytes from the offset asked for */
};

/* What serves `offset`, and for how many bytes (at most `length`) the same thing does. */
static struct piece next_piece(const struct view *v, const struct disk *d, uint64_t length,
                               uint64_t offset)
{
    struct piece p = {0};
    uint64_t block = offset / BLOCK_SIZE, last = (offset + length - 1) / BLOCK_SIZE;

    p.layer = view_lookup(v, d, block, &p.state);
    while (block < last) {
        enum block_state state;
        struct layer *layer = view_lookup(v, d, block + 1, &state);

        if (layer != p.layer || (layer && state != p.state))
            break;
        block++;
    }
    p.length = MIN(length, (block + 1) * BLOCK_SIZE - offset);
    return p;
}

static int read_piece(struct disk *d, const struct piece *p, void *data, uint64_t offset)
{
    if (!p->layer)
        return io_read(d->io, d->target.buffered_fd, data, p->length, offset);
    if (p->state == BLOCK_ZERO) {
        memset(data, 0, p->length);
        return 0;
    }
    return io_read(d->io, p->layer->read_fd, data, p->length, offset);
}

static int read_pieces(struct view *v, struct disk *d, void *data, uint64_t length,
                       uint64_t offset)
{
    char *out = data;
    int r = 0;

    if (v->disks[d->index].layer_count == 0)
        return io_read(d->io, d->target.buffered_fd, data, length, offset);
    while (r == 0 && length > 0) {
        struct piece p = next_piece(v, d, length, offset);

        r = read_piece(d, &p, out, offset);
        out += p.length;
        offset += p.length;
        length -= p.length;
    }
    return r;
}

int view_pread(struct view *v, struct disk *d, void *data, uint32_t length, uint64_t offset)
{
    int r = -ESHUTDOWN;

    atomic_fetch_add(&v->reading, 1);
    if (!atomic_load(&v->revoked))
        r = read_pieces(v, d, data, length, offset);
    atomic_fetch_sub(&v->reading, 1);
    return r;
}

/* Target extents come from the file system's knowledge of holes. */
static int target_extents(struct disk *d, uint64_t length, uint64_t offset,
                          int (*fn)(uint64_t, uint64_t, unsigned, void *), void *context)
{
    uint64_t end = offset + length;
    int r = 0;

    while (r >= 0 && offset < end) {
        uint64_t data, data_end;

        r = d->io->ops->seek(d->io, d->target.buffered_fd, offset, d->size, &data, &data_end);
        if (r == -ENXIO)
            return fn(offset, end - offset, EXTENT_ZERO, context);
        if (r < 0)
            return r;
        data = MIN(data, end);
        data_end = MIN(data_end, end);
        if (data > offset)
            r = fn(offset, data - offset, EXTENT_ZERO, context);
        if (r >= 0 && data_end > data)
            r = fn(data, data_end - data, 0, context);
        offset = MAX(data_end, data);
    }
    return r;
}

static int extents_of_pieces(struct view *v, struct disk *d, uint64_t length, uint64_t offset,
                             int (*fn)(uint64_t, uint64_t, unsigned, void *), void *context)
{
    int r = 0;

    while (r >= 0 && length > 0) {
        struct piece p = next_piece(v, d, length, offset);

        if (p.layer)
            r = fn(offset, p.length, p.state == BLOCK_ZERO ? EXTENT_ZERO : 0, context);
        else
            r = target_extents(d, p.length, offset, fn, context);
        offset += p.length;
        length -= p.length;
    }
    return r;
}

int view_extents(struct view *v, struct disk *d, uint64_t length, uint64_t offset,
                 int (*fn)(uint64_t, uint64_t, unsigned, void *), void *context)
{
    int r = -ESHUTDOWN;

    atomic_fetch_add(&v->reading, 1);
    if (!atomic_load(&v->revoked))
        r = extents_of_pieces(v, d, length, offset, fn, context);
    atomic_fetch_sub(&v->reading, 1);
    return r;
}

int view_digest(const struct view *v, const struct disk *d, uint64_t block,
                uint8_t digest[DIGEST_SIZE])
{
    enum block_state state = BLOCK_UNCHANGED;
    struct layer *l = view_lookup(v, d, block, &state);

    return io_read(d->io, l ? l->digest_fd : d->digest_fd, digest, DIGEST_SIZE,
                   block * DIGEST_SIZE);
}

int view_holds(struct view *v, struct disk *d, uint64_t block, const void *data,
               const uint8_t digest[DIGEST_SIZE], bool bytes, void *scratch)
{
    uint32_t length = disk_block_length(d, block);
    uint8_t kept[DIGEST_SIZE] = {0};
    int r = bytes ? 0 : view_digest(v, d, block, kept);

    if (r < 0)
        return r;
    if (!is_zero(kept, DIGEST_SIZE))
        return memcmp(kept, digest, DIGEST_SIZE) == 0;
    r = view_pread(v, d, scratch, length, block * BLOCK_SIZE);
    return r < 0 ? r : memcmp(scratch, data, length) == 0;
}

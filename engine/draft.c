/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/draft.h"

#include <stdio.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/str.h"
#include "engine/store.h"

static char *draft_stem(const struct disk *d, const char *name)
{
    return str_format("%s/draft-%s", d->folder, name);
}

static void draft_free(struct draft *dr, bool unlink_files)
{
    for (unsigned i = 0; i < dr->engine->disk_count; i++) {
        struct layer *l = dr->layers[i];

        if (l && unlink_files)
            layer_unlink(l->io, l->stem);
        layer_unref(l);
    }
    for (unsigned i = 0; i < DRAFT_STRIPES; i++)
        pthread_mutex_destroy(&dr->stripes[i]);
    view_put(dr->base);
    free(dr->name);
    free(dr);
}

static int make_layers(struct draft *dr)
{
    struct engine *e = dr->engine;
    int r = 0;

    for (unsigned i = 0; r == 0 && i < e->disk_count; i++) {
        struct disk *d = &e->disks[i];
        _cleanup_free_ char *stem = draft_stem(d, dr->name);
        struct layer_params params = {
            .gen = dr->base->gen + 1, .disk_size = d->size, .snapshot = ""};

        layer_unlink(d->io, stem);
        r = layer_create(d->io, stem, &params, &dr->layers[i]);
        if (r == 0)
            dr->layers[i]->local = true;
    }
    return r;
}

static int create(struct engine *e, const char *name, struct draft **ret_draft,
                  struct error **err)
{
    struct draft *dr = mem_new(1, sizeof(*dr));
    int r;

    dr->engine = e;
    dr->name = str_dup(name);
    for (unsigned i = 0; i < DRAFT_STRIPES; i++)
        pthread_mutex_init(&dr->stripes[i], NULL);
    r = view_get(e, NO_GENERATION, &dr->base);
    if (r == 0)
        r = make_layers(dr);
    if (r < 0) {
        error_set_errno(err, -r, "cannot make the draft '%s' in %s", name, e->store);
        draft_free(dr, true);
        return r;
    }
    *ret_draft = dr;
    return 0;
}

int draft_create(struct engine *e, const char *name, uint64_t *ret_generation, struct error **err)
{
    struct draft *dr = NULL;
    int r = store_check_disk_name(name, NULL);

    if (r < 0)
        return error_set(err, EINVAL, "draft name '%s' may only have letters, digits, '.', '_' and "
                                      "'-', at most %d of them", name, DISK_NAME_MAX);
    r = engine_operation_begin(e, "draft-create", 1u << MODE_MIRROR, err);
    if (r < 0)
        return r;
    if (e->draft)
        r = error_set(err, EEXIST, "the draft '%s' is open; seal or drop it first",
                      e->draft->name);
    else
        r = create(e, name, &dr, err);
    if (r == 0) {
        LOCK_FOR_SCOPE(&e->lock);
        e->draft = dr;
        *ret_generation = dr->base->gen;
    }
    engine_operation_end(e);
    return r;
}

/* The named draft, once nobody writes to it any more; it is not offered after that. */
static int take(struct engine *e, const char *name, struct draft **ret_draft, struct error **err)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 5; /* a client that just left is still being taken leave of */
    LOCK_FOR_SCOPE(&e->lock);
    if (!e->draft || strcmp(e->draft->name, name) != 0)
        return error_set(err, ENOENT, "%s has no draft '%s'", e->store, name);
    while (e->draft->users > 0)
        if (pthread_cond_timedwait(&e->changed, &e->lock, &until) != 0)
            return error_set(err, EBUSY, "the draft '%s' is still open by %u connections; close "
                                         "them first", name, e->draft->users);
    *ret_draft = steal_ptr(e->draft);
    return 0;
}

static int root_seal(struct super *s, void *context)
{
    s->cur_gen++;
    s->flags |= SUPER_LOCAL_CHANGES;
    snprintf(s->snapshot, sizeof(s->snapshot), "draft %.48s", (const char *)context);
    for (unsigned i = 0; i < s->disk_count; i++) {
        if (s->disks[i].layer_count >= LAYERS_MAX)
            return -EBUSY;
        s->disks[i].layers[s->disks[i].layer_count++] = s->cur_gen;
    }
    return 0;
}

/* A delta that was interrupted has the same number; the draft takes its place. */
static void drop_interrupted(struct disk *d)
{
    if (!d->loading)
        return;
    layer_unlink(d->io, d->loading->stem);
    layer_unref(d->loading);
    d->loading = NULL;
}

static int seal_layers(struct draft *dr)
{
    struct engine *e = dr->engine;
    int r = 0;

    for (unsigned i = 0; r == 0 && i < e->disk_count; i++) {
        struct disk *d = &e->disks[i];
        _cleanup_free_ char *stem = disk_layer_stem(d, e->cur_gen + 1);

        drop_interrupted(d);
        r = layer_rename(dr->layers[i], stem, e->cur_gen + 1, "");
        if (r == 0)
            r = layer_seal(dr->layers[i]);
        if (r == 0)
            r = d->io->ops->sync_dir(d->io, d->folder);
    }
    return r;
}

static int seal(struct draft *dr, uint64_t *ret_generation)
{
    struct engine *e = dr->engine;
    int r = dr->base->gen != e->cur_gen ? -ESTALE : seal_layers(dr);

    if (r == 0) {
        r = superfile_update(&e->super, root_seal, dr->name);
        if (r < 0 && r != -EBUSY)
            engine_fail(e);
    }
    if (r < 0)
        return r;
    LOCK_FOR_SCOPE(&e->lock);
    e->cur_gen++;
    for (unsigned i = 0; i < e->disk_count; i++) {
        struct disk *d = &e->disks[i];

        d->layers[d->layer_count++] = steal_ptr(dr->layers[i]);
    }
    *ret_generation = e->cur_gen;
    return engine_publish_locked(e);
}

int draft_seal(struct engine *e, const char *name, uint64_t *ret_generation, struct error **err)
{
    struct draft *dr = NULL;
    int r = engine_operation_begin(e, "draft-seal", 1u << MODE_MIRROR, err);

    if (r < 0)
        return r;
    r = take(e, name, &dr, err);
    if (r == 0) {
        r = seal(dr, ret_generation);
        if (r == -ESTALE)
            error_set(err, EPERM, "a newer generation was committed since the draft '%s' was "
                                  "made; it was dropped, make it anew", name);
        else if (r < 0)
            error_set_errno(err, -r, "cannot commit the draft '%s'; it was dropped, the mirror is "
                                     "as before", name);
        /* A root that failed to be written may name the files. */
        draft_free(dr, r < 0 && !e->failed);
    }
    engine_operation_end(e);
    return r;
}

int draft_drop(struct engine *e, const char *name, struct error **err)
{
    struct draft *dr = NULL;
    int r = engine_operation_begin(e, "draft-drop", 1u << MODE_MIRROR, err);

    if (r < 0)
        return r;
    r = take(e, name, &dr, err);
    if (r == 0)
        draft_free(dr, true);
    engine_operation_end(e);
    return r;
}

void draft_abandon(struct engine *e)
{
    if (e->draft)
        draft_free(steal_ptr(e->draft), true);
}

/* ---- data ---- */

static int read_block_part(struct draft *dr, struct disk *d, void *data, uint32_t length,
                           uint64_t offset)
{
    struct layer *l = dr->layers[d->index];

    switch (layer_state(l, offset / BLOCK_SIZE)) {
    case BLOCK_DATA:
        return io_read(d->io, l->read_fd, data, length, offset);
    case BLOCK_ZERO:
        memset(data, 0, length);
        return 0;
    default:
        return view_pread(dr->base, d, data, length, offset);
    }
}

int draft_pread(struct draft *dr, struct disk *d, void *data, uint32_t length, uint64_t offset)
{
    char *out = data;
    int r = 0;

    while (r == 0 && length > 0) {
        uint32_t n = (uint32_t)MIN((uint64_t)length, BLOCK_SIZE - offset % BLOCK_SIZE);

        r = read_block_part(dr, d, out, n, offset);
        out += n;
        offset += n;
        length -= n;
    }
    return r;
}

/* Brings the whole block into the layer, with the new part in its place. */
static int copy_up(struct draft *dr, struct disk *d, const void *data, uint32_t length,
                   uint64_t offset)
{
    uint64_t start = round_down(offset, BLOCK_SIZE);
    _cleanup_free_ uint8_t *block = calloc(1, BLOCK_SIZE);
    struct layer *l = dr->layers[d->index];
    int r;

    if (!block)
        return -ENOMEM;
    r = read_block_part(dr, d, block, disk_block_length(d, start / BLOCK_SIZE), start);
    if (r == 0) {
        memcpy(block + (offset - start), data, length);
        r = io_write(d->io, l->read_fd, block, BLOCK_SIZE, start, false);
    }
    return r;
}

static int write_block_part(struct draft *dr, struct disk *d, const void *data, uint32_t length,
                            uint64_t offset)
{
    static const uint8_t zeros[BLOCK_SIZE];
    struct layer *l = dr->layers[d->index];
    uint64_t block = offset / BLOCK_SIZE;
    bool whole = length == disk_block_length(d, block);
    enum block_state state;
    int r;

    LOCK_FOR_SCOPE(&dr->stripes[block % DRAFT_STRIPES]);
    state = layer_state(l, block);
    if (whole && !data)
        return layer_set_state(l, block, BLOCK_ZERO);
    if (!data)
        data = zeros;
    if (!whole && state != BLOCK_DATA)
        r = copy_up(dr, d, data, length, offset);
    else
        r = io_write(d->io, l->read_fd, data, length, offset, false);
    return r < 0 || state == BLOCK_DATA ? r : layer_set_state(l, block, BLOCK_DATA);
}

int draft_pwrite(struct draft *dr, struct disk *d, const void *data, uint32_t length,
                 uint64_t offset)
{
    const char *in = data;
    int r = 0;

    while (r == 0 && length > 0) {
        uint32_t n = (uint32_t)MIN((uint64_t)length, BLOCK_SIZE - offset % BLOCK_SIZE);

        r = write_block_part(dr, d, in, n, offset);
        in = in ? in + n : NULL;
        offset += n;
        length -= n;
    }
    return r;
}

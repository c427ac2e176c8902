/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/fold.h"

#include <stdio.h>
#include <sys/mman.h>

#include "base/align.h"
#include "base/clock.h"
#include "engine/lock.h"
#include "engine/plant.h"
#include "engine/room.h"

#define FOLD_CHUNK (UINT64_C(1) << 20)
#define FOLD_DEPTH 8
#define CHUNK_BLOCKS (FOLD_CHUNK / BLOCK_SIZE)

struct fold_buf {
    struct ring_op op;
    struct fold *fold;
    struct fold_buf *next;
    uint8_t *data;
    uint64_t offset;
    uint32_t length;
    bool writing;
};

/* A view older than the layer needs what the target holds now, also while its last reads end. */
static bool is_pinned_locked(const struct engine *e, uint64_t gen)
{
    for (const struct view *v = e->views; v; v = v->next)
        if (v->gen < gen && (!atomic_load(&v->revoked) || atomic_load(&v->reading) > 0))
            return true;
    return false;
}

static unsigned candidate_locked(const struct engine *e)
{
    unsigned i = 0;

    if (e->failed || e->mode != MODE_MIRROR)
        return e->disk_count;
    for (; i < e->disk_count; i++) {
        const struct disk *d = &e->disks[i];

        /* A sealed draft stays a layer until the flip, which must know what it changed. */
        if (d->layer_count > 0 && !d->layers[0]->local &&
            !room_keeps_locked(e, d) &&
            (plant(PLANT_FOLD_WITH_PIN) || !is_pinned_locked(e, d->layers[0]->gen)))
            break;
    }
    return i;
}

bool fold_is_possible_locked(const struct engine *e)
{
    return candidate_locked(e) < e->disk_count;
}

struct disk *fold_candidate(struct engine *e)
{
    LOCK_FOR_SCOPE(&e->lock);
    unsigned i = candidate_locked(e);

    return i < e->disk_count ? &e->disks[i] : NULL;
}

static int root_begin(struct super *s, void *context)
{
    struct fold *f = context;

    s->disks[f->disk->index].folding = f->layer->gen;
    return 0;
}

static int root_finish(struct super *s, void *context)
{
    struct fold *f = context;
    struct super_disk *d = &s->disks[f->disk->index];

    if (d->layer_count == 0 || d->layers[0] != f->layer->gen)
        return -EBADMSG;
    d->layer_count--;
    memmove(d->layers, d->layers + 1, d->layer_count * sizeof(d->layers[0]));
    d->layers[d->layer_count] = 0;
    d->base_gen = f->layer->gen;
    d->folding = 0;
    return 0;
}

static int fold_allocate(struct fold *f)
{
    struct ring_buffers buffers = {.size = FOLD_DEPTH * FOLD_CHUNK};

    f->bufs = calloc(FOLD_DEPTH, sizeof(*f->bufs));
    f->memory = mmap(NULL, buffers.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                     0);
    if (f->memory == MAP_FAILED)
        f->memory = NULL;
    if (!f->bufs || !f->memory)
        return -ENOMEM;
    buffers.base = f->memory;
    for (unsigned i = 0; i < FOLD_DEPTH; i++) {
        f->bufs[i].fold = f;
        f->bufs[i].data = f->memory + i * FOLD_CHUNK;
        f->bufs[i].next = f->free;
        f->free = &f->bufs[i];
    }
    return ring_new(f->disk->io, 2 * FOLD_DEPTH, buffers, &f->ring);
}

/* From here on the blocks of this layer may differ in the target, so older views are over. */
static int take_layer(struct fold *f)
{
    struct disk *d = f->disk;

    LOCK_FOR_SCOPE(&f->engine->lock);
    if (plant(PLANT_FOLD_WITH_PIN)) {
        f->layer = layer_ref(d->layers[0]);
        return 0;
    }
    if (is_pinned_locked(f->engine, d->layers[0]->gen) ||
        room_keeps_locked(f->engine, d))
        return -EAGAIN; /* since fold_candidate() a reader came, or the policy changed */
    f->layer = layer_ref(d->layers[0]);
    d->oldest_readable = MAX(d->oldest_readable, f->layer->gen);
    return 0;
}

int fold_begin(struct fold *f, struct engine *e, struct disk *d)
{
    uint64_t counts[4];
    int r;

    memset(f, 0, sizeof(*f));
    f->engine = e;
    f->disk = d;
    r = take_layer(f);
    if (r < 0)
        return r;
    layer_count(f->layer, counts);
    f->total_bytes = (counts[BLOCK_DATA] + counts[BLOCK_ZERO]) * BLOCK_SIZE;
    r = fold_allocate(f);
    if (r == 0 && !plant(PLANT_FOLD_NO_ROOT) &&
        superfile_get(&e->super).disks[d->index].folding != f->layer->gen) {
        r = superfile_update(&e->super, root_begin, f);
        if (r < 0)
            engine_fail(e);
    }
    return r;
}

static void buf_free(struct fold_buf *b)
{
    b->next = b->fold->free;
    b->fold->free = b;
    b->fold->busy--;
}

/* The tail of a disk that is not a whole block is shorter in the target than in the layer. */
static int buf_write(struct fold_buf *b)
{
    struct fold *f = b->fold;
    struct target *t = &f->disk->target;
    uint32_t length = (uint32_t)(MIN(b->offset + b->length, f->disk->size) - b->offset);
    uint32_t direct = (uint32_t)round_down(length, t->alignment);
    int r = 0;

    if (direct < length)
        r = io_write(t->io, t->buffered_fd, b->data + direct, length - direct, b->offset + direct,
                     false);
    if (r < 0 || direct == 0)
        return r < 0 ? r : 1;
    b->writing = true;
    b->length = direct;
    return f->ring->ops->write(f->ring, t->fd, b->data, direct, b->offset, &b->op);
}

static void op_done(struct ring_op *op, int result)
{
    struct fold_buf *b = (struct fold_buf *)op;
    int r = result < 0 ? result : (uint32_t)result == b->length ? 0 : -EIO;

    if (r == 0 && !b->writing) {
        r = buf_write(b);
        if (r == 0)
            return;
    }
    if (r < 0 && !b->fold->error)
        b->fold->error = -r;
    buf_free(b);
}

static int copy_digests(struct fold *f, uint64_t block, uint32_t count)
{
    uint8_t digests[CHUNK_BLOCKS * DIGEST_SIZE];
    int r = io_read(f->disk->io, f->layer->digest_fd, digests, count * DIGEST_SIZE,
                    block * DIGEST_SIZE);

    return r < 0 ? r
                 : io_write(f->disk->io, f->disk->digest_fd, digests, count * DIGEST_SIZE,
                            block * DIGEST_SIZE, false);
}

static int fold_zero(struct fold *f, uint64_t block, uint32_t count)
{
    struct target *t = &f->disk->target;
    uint64_t offset = block * BLOCK_SIZE;
    uint64_t length = MIN(count * BLOCK_SIZE, f->disk->size - offset);

    return io_zero(t->io, t->fd, offset, length, t->block_device ? IO_ZERO_KEEP : IO_ZERO_PUNCH);
}

static uint64_t run_end(const struct fold *f, uint64_t block)
{
    uint64_t chunk = limit_chunk(f->engine->limits, f->disk->index, LIMIT_TARGET, FOLD_CHUNK);
    uint64_t end = block + 1;

    while (end < f->disk->blocks && end - block < chunk / BLOCK_SIZE &&
           layer_state(f->layer, end) == layer_state(f->layer, block))
        end++;
    return end;
}

/* Starts the next run of blocks in the same state, unless a limit keeps it back. */
static int start_run(struct fold *f)
{
    uint64_t block = layer_find(f->layer, f->cursor, LAYER_IN_SET), end;
    enum block_state state;
    struct fold_buf *b;
    int r;

    f->cursor = block;
    if (block >= f->disk->blocks)
        return 0;
    state = layer_state(f->layer, block);
    end = run_end(f, block);
    f->wait_ns = limit_take(f->engine->limits, f->disk->index, LIMIT_TARGET,
                            state == BLOCK_ZERO ? 0 : (end - block) * BLOCK_SIZE);
    if (f->wait_ns > 0)
        return 0;
    f->cursor = end;
    f->done_bytes += (end - block) * BLOCK_SIZE;
    r = copy_digests(f, block, (uint32_t)(end - block));
    if (r < 0 || state == BLOCK_ZERO)
        return r < 0 ? r : fold_zero(f, block, (uint32_t)(end - block));
    b = f->free;
    f->free = b->next;
    f->busy++;
    b->op.done = op_done;
    b->offset = block * BLOCK_SIZE;
    b->length = (uint32_t)((end - block) * BLOCK_SIZE);
    b->writing = false;
    return f->ring->ops->read(f->ring, f->layer->data_fd, b->data, b->length, b->offset, &b->op);
}

int fold_step(struct fold *f)
{
    unsigned depth = yield_depth(&f->engine->yield, FOLD_DEPTH);
    int r = 0;

    f->wait_ns = 0;
    while (r == 0 && f->free && f->cursor < f->disk->blocks && f->busy < depth) {
        r = start_run(f);
        if (f->cursor >= f->disk->blocks || f->wait_ns > 0)
            break;
        if (f->ring->in_flight == 0)
            return r < 0 ? r : 1; /* a zero run: let the caller look around */
    }
    if (r == 0 && f->ring->in_flight > 0) {
        r = f->ring->ops->wait(f->ring, -1, 0, 1000);
        f->wait_ns = 0; /* the limit is asked again when there is nothing else to wait for */
    }
    if (r == 0 && f->error)
        r = -f->error;
    if (r < 0)
        return r;
    return f->cursor < f->disk->blocks || f->busy > 0;
}

static void remove_layer_locked(struct disk *d)
{
    layer_unref(d->layers[0]);
    d->layer_count--;
    memmove(d->layers, d->layers + 1, d->layer_count * sizeof(d->layers[0]));
}

int fold_finish(struct fold *f)
{
    struct engine *e = f->engine;
    struct disk *d = f->disk;
    int r = plant(PLANT_FOLD_NO_TARGET_SYNC) ? 0 : target_sync(&d->target);

    if (r == 0)
        r = io_fdatasync(d->io, d->digest_fd);
    if (r < 0) {
        engine_fail(e);
        return r;
    }
    if (plant(PLANT_UNLINK_BEFORE_ROOT))
        layer_unlink(d->io, f->layer->stem);
    r = superfile_update(&e->super, root_finish, f);
    if (r < 0) {
        engine_fail(e);
        return r;
    }
    pthread_mutex_lock(&e->lock);
    remove_layer_locked(d);
    r = engine_publish_locked(e);
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
    layer_unlink(d->io, f->layer->stem); /* a leftover is swept at the next start */
    return r;
}

void fold_end(struct fold *f)
{
    while (f->ring && f->ring->in_flight > 0)
        if (f->ring->ops->wait(f->ring, -1, 0, 1000) < 0)
            break;
    ring_free(f->ring);
    if (f->memory)
        munmap(f->memory, FOLD_DEPTH * FOLD_CHUNK);
    free(f->bufs);
    layer_unref(f->layer);
    memset(f, 0, sizeof(*f));
}

static int fold_one(struct engine *e, struct disk *d, atomic_bool *stop, progress_fn *progress,
                    void *context)
{
    struct fold f;
    int r = fold_begin(&f, e, d), more = 1;

    yield_watch(&e->yield);
    while (r == 0 && more && !atomic_load(stop)) {
        struct progress_report report = {"fold", 0, 0};

        more = fold_step(&f);
        r = more < 0 ? more : 0;
        report.done_bytes = f.done_bytes;
        report.total_bytes = f.total_bytes;
        if (progress)
            progress(&report, context);
        if (f.wait_ns > 0)
            clock_sleep_ns(f.wait_ns);
    }
    yield_unwatch(&e->yield);
    if (r == 0 && !more)
        r = fold_finish(&f);
    else if (r == 0)
        r = -ECANCELED;
    fold_end(&f);
    return r;
}

int fold_all(struct engine *e, atomic_bool *stop, progress_fn *progress, void *context)
{
    int folded = 0, r = 0;
    struct disk *d;

    HOLD_FOR_SCOPE(&e->fold_lock);
    while (r == 0 && !atomic_load(stop) && (d = fold_candidate(e))) {
        r = fold_one(e, d, stop, progress, context);
        if (r == -EAGAIN)
            r = 0; /* pinned now: fold_candidate() has something else, or nothing */
        else
            folded = 1;
    }
    return r < 0 ? r : folded;
}

/* Waits until there may be something to fold. */
static void fold_thread_wait(struct engine *e, bool after_error)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += after_error ? 5 : 1;
    LOCK_FOR_SCOPE(&e->lock);
    if (!atomic_load(&e->stopping))
        pthread_cond_timedwait(&e->changed, &e->lock, &until);
}

/* What it does and how it went is known to those who wait for room. */
static int fold_now(struct engine *e)
{
    int r;

    pthread_mutex_lock(&e->lock);
    e->folding = fold_is_possible_locked(e);
    pthread_mutex_unlock(&e->lock);
    r = fold_all(e, &e->fold_yield, NULL, NULL);
    LOCK_FOR_SCOPE(&e->lock);
    e->folding = false;
    e->fold_error = r == -ECANCELED ? 0 : MIN(r, 0);
    pthread_cond_broadcast(&e->changed);
    return r;
}

static void *fold_thread(void *context)
{
    struct engine *e = context;

    pthread_setname_np(pthread_self(), "fold");
    while (!atomic_load(&e->stopping)) {
        int r = fold_now(e);

        /* A target that refuses writes (EIO, ENOSPC) is tried again; nothing depends on it yet. */
        if (r <= 0)
            fold_thread_wait(e, r < 0);
    }
    return NULL;
}

int fold_thread_start(struct engine *e)
{
    int r = pthread_create(&e->fold_thread, NULL, fold_thread, e);

    e->fold_started = r == 0;
    return -r;
}

void fold_thread_stop(struct engine *e)
{
    if (!e->fold_started)
        return;
    pthread_mutex_lock(&e->lock);
    atomic_store(&e->stopping, true);
    atomic_store(&e->fold_yield, true);
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
    pthread_join(e->fold_thread, NULL);
    e->fold_started = false;
}

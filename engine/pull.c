/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request's way: free → reading (libnbd into the buffer) → ready → settled block by block
 * (digest, zero test, compare) → writing (runs of data as ring writes, runs of zero without
 * transfer) → its blocks change state → free.
 */
#include "engine/pull.h"

#include <stdio.h>
#include <sys/mman.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/iszero.h"
#include "engine/plant.h"

#define CHUNK_BLOCKS (PULL_CHUNK / BLOCK_SIZE)
#define BUFFER_BYTES (PULL_DEPTH * PULL_CHUNK + PULL_SMALL_DEPTH * PULL_SMALL)
#define ALLOCATE_STEP (UINT64_C(64) << 20)

struct pull_buf;

struct pull_write {
    struct ring_op op;
    struct pull_buf *buf;
    const uint8_t *data;
    uint64_t offset;
    uint32_t length; /* bytes expected */
    int fd;
};

struct pull_buf {
    struct reader_op read_op;
    struct puller *puller;
    struct pull_buf *next;
    bool small;
    uint8_t *data;
    uint64_t offset;
    uint32_t length;
    uint64_t asked_ns;    /* when the source was asked */
    int error;            /* positive errno of the read or a write */
    bool classified;      /* states are known; it waits for the target's limit */
    unsigned writes_left;
    uint8_t states[CHUNK_BLOCKS]; /* enum block_state each block gets */
    struct pull_write writes[CHUNK_BLOCKS + 1];
};

struct puller {
    struct pull *pull;
    struct reader *reader;
    struct ring *ring;
    uint8_t *memory;
    uint8_t *scratch; /* PULL_CHUNK: what is compared with, of the view or the target */
    struct pull_buf bufs[PULL_DEPTH + PULL_SMALL_DEPTH];
    struct pull_buf *free, *free_small, *ready, *settled;
    struct pull_buf *held;  /* a read that the source's limit keeps back */
    uint64_t limit_ns;      /* how long the limits ask to wait; 0: they do not */
    unsigned reading, writing;
    bool exhausted;
};

void pull_init(struct pull *p, struct disk *disk, struct layer *layer, struct view *compare)
{
    memset(p, 0, sizeof(*p));
    p->disk = disk;
    p->layer = layer;
    p->compare = compare;
    pthread_mutex_init(&p->lock, NULL);
}

void pull_done(struct pull *p)
{
    pthread_mutex_destroy(&p->lock);
}

int pull_fail(struct pull *p, int code, const char *text)
{
    LOCK_FOR_SCOPE(&p->lock);
    if (!p->error) {
        p->error = code;
        snprintf(p->error_text, sizeof(p->error_text), "%s", text);
    }
    atomic_store(&p->stop, true);
    return -code;
}

static uint64_t find_wanted(const struct pull *p, uint64_t from)
{
    return p->layer ? layer_find(p->layer, from, 1u << BLOCK_PENDING)
                    : map_find(p->disk->map, from);
}

static bool block_wanted(const struct pull *p, uint64_t block)
{
    return p->layer ? layer_state(p->layer, block) == BLOCK_PENDING
                    : atomic_load(&p->disk->map->missing[block]) != 0;
}

/* Reserves space for the run of wanted blocks that begins here, so that the writes need not. */
static void allocate_ahead(struct pull *p, uint64_t block)
{
    uint64_t start = block * BLOCK_SIZE, end = block + 1;
    int fd = p->layer ? p->layer->data_fd : p->disk->target.fd;

    if (!p->allocate_ahead || start < p->allocated_to)
        return;
    while (end < p->disk->blocks && (end - block) * BLOCK_SIZE < ALLOCATE_STEP &&
           block_wanted(p, end))
        end++;
    p->allocated_to = end * BLOCK_SIZE;
    /* A refusal only makes the writes slower; a full disk shows at the write that needs space. */
    (void)p->disk->io->ops->allocate(p->disk->io, fd, start,
                                     MIN(p->allocated_to, p->disk->size) - start);
}

enum next { NEXT_RUN, NEXT_TOO_LONG, NEXT_NONE };

/* A slow copy goes in small steps: at a megabyte a second, one request of a megabyte would be a
 * burst. */
static uint64_t chunk_blocks(const struct pull *p)
{
    unsigned disk = p->disk->index;
    uint32_t source = limit_chunk(p->limits, disk, LIMIT_SOURCE, PULL_CHUNK);

    return limit_chunk(p->limits, disk, LIMIT_TARGET, source) / BLOCK_SIZE;
}

/* The next run of wanted blocks, at most one chunk; left where it is when it is longer than max. */
static enum next pull_next(struct pull *p, uint64_t max, uint64_t *ret_offset,
                           uint32_t *ret_length)
{
    LOCK_FOR_SCOPE(&p->lock);
    uint64_t block = find_wanted(p, p->cursor), end = block, chunk = chunk_blocks(p);

    p->cursor = block;
    if (block >= p->disk->blocks || atomic_load(&p->stop))
        return NEXT_NONE;
    while (end < p->disk->blocks && end - block < chunk && block_wanted(p, end))
        end++;
    if ((end - block) * BLOCK_SIZE > max)
        return NEXT_TOO_LONG;
    allocate_ahead(p, block);
    p->cursor = end;
    *ret_offset = block * BLOCK_SIZE;
    *ret_length = (uint32_t)(MIN(end * BLOCK_SIZE, p->disk->size) - *ret_offset);
    return NEXT_RUN;
}

static void push(struct pull_buf **list, struct pull_buf *buf)
{
    buf->next = *list;
    *list = buf;
}

static struct pull_buf *pop(struct pull_buf **list)
{
    struct pull_buf *buf = *list;

    if (buf)
        *list = buf->next;
    return buf;
}

/* A moving average, an eighth each.  Two pullers at once may lose one of their figures. */
static void note_read_time(struct pull *p, uint64_t took_ns)
{
    uint64_t average = atomic_load(&p->read_ns);

    atomic_store(&p->read_ns, average ? average - average / 8 + took_ns / 8 : took_ns | 1);
}

static void read_finished(struct reader_op *op, int error)
{
    struct pull_buf *buf = (struct pull_buf *)op;

    buf->error = error;
    if (!error)
        note_read_time(buf->puller->pull, clock_now_ns() - buf->asked_ns);
    buf->puller->reading--;
    push(&buf->puller->ready, buf);
}

static int fail_reader(struct puller *q, int code)
{
    const char *text = q->reader->ops->failure(q->reader);
    char sentence[480];

    snprintf(sentence, sizeof(sentence),
             "reading the source of disk %s failed (%s); the blocks that are here stay, run the "
             "sync again with the same snapshot", q->pull->disk->name,
             text && *text ? text : strerror(code));
    return pull_fail(q->pull, code, sentence);
}

static void give_back(struct pull_buf *buf)
{
    push(buf->small ? &buf->puller->free_small : &buf->puller->free, buf);
}

static bool take(struct puller *q, enum limit_side side, unsigned requests, uint64_t bytes)
{
    struct pull *p = q->pull;
    uint64_t wait = limit_take_many(p->limits, p->disk->index, side, requests, bytes);

    if (wait > 0)
        q->limit_ns = q->limit_ns ? MIN(q->limit_ns, wait) : wait;
    return wait == 0;
}

/* A free buffer for the next run of wanted blocks, or NULL. */
static struct pull_buf *next_read(struct puller *q)
{
    struct pull_buf *buf;
    uint64_t offset;
    uint32_t length;
    enum next next;

    if ((!q->free && !q->free_small) || q->exhausted)
        return NULL;
    next = pull_next(q->pull, q->free ? PULL_CHUNK : PULL_SMALL, &offset, &length);
    q->exhausted = next == NEXT_NONE;
    if (next != NEXT_RUN)
        return NULL;
    buf = pop(length <= PULL_SMALL && q->free_small ? &q->free_small : &q->free);
    buf->offset = offset;
    buf->length = length;
    buf->error = 0;
    buf->classified = false;
    return buf;
}

static int issue_reads(struct puller *q)
{
    while (q->held || (q->held = next_read(q))) {
        struct pull_buf *buf = q->held;
        int r;

        if (!take(q, LIMIT_SOURCE, 1, buf->length))
            break;
        q->held = NULL;
        q->reading++;
        buf->asked_ns = clock_now_ns();
        r = q->reader->ops->read(q->reader, buf->data, buf->length, buf->offset, &buf->read_op);
        if (r < 0) {
            q->reading--;
            give_back(buf);
            return fail_reader(q, -r);
        }
    }
    return 0;
}

static int fail_local(struct pull *p, int code, const char *what)
{
    char sentence[480];

    snprintf(sentence, sizeof(sentence), "%s of disk %s: %s%s", what, p->disk->name,
             strerror(code),
             code == ENOSPC ? "; make room and run the sync again with the same snapshot" : "");
    return pull_fail(p, code, sentence);
}

/* What the target holds where the buffer is of; a medium that cannot be read holds nothing. */
static int read_old_copy(struct puller *q, const struct pull_buf *buf, bool *ret_readable)
{
    struct target *t = &q->pull->disk->target;
    uint32_t direct = (uint32_t)round_down(buf->length, t->alignment);
    int r = direct ? io_read(t->io, t->fd, q->scratch, direct, buf->offset) : 0;

    if (r == -EINVAL) { /* what is left of a read that ended short need not be aligned */
        direct = 0;
        r = 0;
    }
    if (r == 0 && direct < buf->length)
        r = io_read(t->io, t->buffered_fd, q->scratch + direct, buf->length - direct,
                    buf->offset + direct);
    *ret_readable = r == 0;
    return r == -EIO ? 0 : r;
}

static int holds_already(struct puller *q, struct pull_buf *buf, uint32_t i, const void *data,
                         const uint8_t digest[DIGEST_SIZE])
{
    struct pull *p = q->pull;
    uint64_t block = buf->offset / BLOCK_SIZE + i;

    if (p->compare)
        return view_holds(p->compare, p->disk, block, data, digest, p->compare_bytes, q->scratch);
    return memcmp(q->scratch + i * BLOCK_SIZE, data, disk_block_length(p->disk, block)) == 0;
}

/* Decides what each block of the buffer is and takes its digest. */
static int classify(struct puller *q, struct pull_buf *buf)
{
    struct pull *p = q->pull;
    uint8_t digests[CHUNK_BLOCKS][DIGEST_SIZE];
    uint64_t first = buf->offset / BLOCK_SIZE;
    uint32_t count = (uint32_t)div_up(buf->length, BLOCK_SIZE);
    bool compare = p->compare != NULL;
    int r = p->preseed ? read_old_copy(q, buf, &compare) : 0;

    for (uint32_t i = 0; r == 0 && i < count; i++) {
        uint8_t *data = buf->data + i * BLOCK_SIZE;
        uint32_t length = disk_block_length(p->disk, first + i);

        digest_block(data, length, digests[i]);
        buf->states[i] = is_zero(data, length) ? BLOCK_ZERO : BLOCK_DATA;
        if (compare)
            r = holds_already(q, buf, i, data, digests[i]);
        if (r == 1)
            buf->states[i] = BLOCK_UNCHANGED;
        r = MIN(r, 0);
    }
    if (r == 0 && p->layer)
        r = layer_write_digests(p->layer, first, digests[0], count);
    else if (r == 0)
        r = io_write(p->disk->io, p->disk->digest_fd, digests, count * DIGEST_SIZE,
                     first * DIGEST_SIZE, false);
    return r < 0 ? fail_local(p, -r, "writing digests or reading what is here") : 0;
}

static void write_finished(struct ring_op *op, int result)
{
    struct pull_write *w = (struct pull_write *)op;
    struct pull_buf *buf = w->buf;

    /* A write that ended short: the rest of it tells why (no space, most often). */
    if (result >= 0 && (uint32_t)result != w->length)
        result = io_write(buf->puller->pull->disk->io, w->fd, w->data + result,
                          w->length - (uint32_t)result, w->offset + (uint32_t)result, false);
    if (result < 0)
        buf->error = -result;
    if (--buf->writes_left == 0) {
        buf->puller->writing--;
        push(&buf->puller->settled, buf);
    }
}

/* Writes a run of data blocks.  What O_DIRECT cannot write (a short last block) goes through the
 * page cache at once. */
static int write_data(struct puller *q, struct pull_buf *buf, uint32_t from, uint32_t length)
{
    struct pull *p = q->pull;
    struct target *t = &p->disk->target;
    int fd = p->layer ? p->layer->data_fd : t->fd, r = 0;
    uint32_t direct = length, whole = (uint32_t)round_up(length, BLOCK_SIZE);
    struct pull_write *w = &buf->writes[buf->writes_left];

    if (p->layer && whole != length) {
        memset(buf->data + from + length, 0, whole - length); /* layers hold whole blocks */
        direct = whole;
    } else if (!p->layer) {
        direct = (uint32_t)round_down(length, t->alignment);
        r = direct == length ? 0
                             : io_write(t->io, t->buffered_fd, buf->data + from + direct,
                                        length - direct, buf->offset + from + direct, false);
    }
    if (r < 0 || direct == 0)
        return r;
    *w = (struct pull_write){.op.done = write_finished,
                             .buf = buf,
                             .data = buf->data + from,
                             .offset = buf->offset + from,
                             .length = direct,
                             .fd = fd};
    r = q->ring->ops->write(q->ring, fd, w->data, direct, w->offset, &w->op);
    if (r == 0)
        buf->writes_left++;
    return r;
}

static int write_zero(struct puller *q, struct pull_buf *buf, uint32_t from, uint32_t length)
{
    struct target *t = &q->pull->disk->target;

    atomic_fetch_add(&q->pull->zero_bytes, length);
    if (q->pull->layer)
        return 0; /* the state says it all */
    if (q->pull->disk->target_empty && !q->pull->allocate_ahead)
        return 0;
    return io_zero(t->io, t->fd, buf->offset + from, length,
                   t->block_device ? IO_ZERO_KEEP : IO_ZERO_PUNCH);
}

static int write_run(struct puller *q, struct pull_buf *buf, uint8_t state, uint32_t from,
                     uint32_t length)
{
    if (state == BLOCK_UNCHANGED) {
        atomic_fetch_add(&q->pull->same_bytes, length);
        return 0;
    }
    if (state == BLOCK_ZERO)
        return write_zero(q, buf, from, length);
    atomic_fetch_add(&q->pull->written_bytes, length);
    return write_data(q, buf, from, length);
}

/* The blocks of a finished buffer are here now. */
static int finish_blocks(struct pull *p, struct pull_buf *buf)
{
    uint64_t first = buf->offset / BLOCK_SIZE;
    uint32_t count = (uint32_t)div_up(buf->length, BLOCK_SIZE);
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < count; i++) {
        if (p->layer)
            r = layer_set_state(p->layer, first + i, buf->states[i]);
        else
            map_clear(p->disk->map, first + i, MISSING_ALL);
    }
    return r;
}

static int submit_writes(struct puller *q, struct pull_buf *buf)
{
    uint32_t count = (uint32_t)div_up(buf->length, BLOCK_SIZE);
    int r = 0;

    buf->writes_left = 0;
    for (uint32_t i = 0, end; r == 0 && i < count; i = end) {
        for (end = i + 1; end < count && buf->states[end] == buf->states[i];)
            end++;
        r = write_run(q, buf, buf->states[i], (uint32_t)(i * BLOCK_SIZE),
                      (uint32_t)(MIN(end * BLOCK_SIZE, (uint64_t)buf->length) - i * BLOCK_SIZE));
    }
    if (plant(PLANT_STATE_BEFORE_WRITE))
        finish_blocks(q->pull, buf);
    if (r < 0)
        buf->error = -r;
    if (buf->writes_left > 0)
        q->writing++;
    else
        push(&q->settled, buf);
    return 0;
}

/* What writing the buffer will cost: runs and bytes of data. */
static bool take_writes(struct puller *q, const struct pull_buf *buf)
{
    uint32_t count = (uint32_t)div_up(buf->length, BLOCK_SIZE), data = 0;
    unsigned runs = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (buf->states[i] != BLOCK_DATA)
            continue;
        runs += i == 0 || buf->states[i - 1] != BLOCK_DATA;
        data++;
    }
    return data == 0 || take(q, LIMIT_TARGET, runs,
                             MIN(data * BLOCK_SIZE, (uint64_t)buf->length));
}

static int classify_once(struct puller *q, struct pull_buf *buf)
{
    if (buf->classified)
        return 0;
    atomic_fetch_add(&q->pull->read_bytes, buf->length);
    buf->classified = true;
    return classify(q, buf);
}

/* A buffer that may not be written yet stays; so in the end the reads stop, too. */
static int handle_ready(struct puller *q)
{
    struct pull_buf *buf;
    int r = 0;

    while (r == 0 && (buf = pop(&q->ready))) {
        if (buf->error) {
            give_back(buf);
            r = fail_reader(q, buf->error);
            break;
        }
        r = classify_once(q, buf);
        if (r == 0 && !take_writes(q, buf)) {
            push(&q->ready, buf);
            break;
        }
        if (r == 0)
            r = submit_writes(q, buf);
        else
            give_back(buf);
    }
    return r;
}

static int handle_settled(struct puller *q)
{
    struct pull_buf *buf;

    while ((buf = pop(&q->settled))) {
        int r = buf->error ? -buf->error : finish_blocks(q->pull, buf);

        give_back(buf);
        if (r < 0)
            return fail_local(q->pull, -r,
                              q->pull->layer ? "writing the layer" : "writing the target");
        atomic_fetch_add(&q->pull->done_bytes, buf->length);
    }
    return 0;
}

static int puller_allocate(struct puller *q)
{
    struct ring_buffers buffers = {.size = BUFFER_BYTES};
    uint8_t *next;

    q->memory = mmap(NULL, BUFFER_BYTES + PULL_CHUNK, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (q->memory == MAP_FAILED) {
        q->memory = NULL;
        return -ENOMEM;
    }
    q->scratch = q->memory + BUFFER_BYTES;
    buffers.base = next = q->memory;
    for (unsigned i = 0; i < ARRAY_SIZE(q->bufs); i++) {
        struct pull_buf *buf = &q->bufs[i];

        buf->read_op.done = read_finished;
        buf->puller = q;
        buf->small = i >= PULL_DEPTH;
        buf->data = next;
        next += buf->small ? PULL_SMALL : PULL_CHUNK;
        give_back(buf);
    }
    return ring_new(q->pull->disk->io, 2 * PULL_DEPTH * CHUNK_BLOCKS, buffers, &q->ring);
}

int puller_new(struct pull *pull, struct reader *reader, struct puller **ret_puller)
{
    struct puller *q = calloc(1, sizeof(*q));
    int r;

    if (!q)
        return -ENOMEM;
    q->pull = pull;
    q->reader = reader;
    r = puller_allocate(q);
    if (r < 0) {
        puller_free(q);
        return r;
    }
    *ret_puller = q;
    return 0;
}

void puller_free(struct puller *q)
{
    if (!q)
        return;
    while (q->ring && q->ring->in_flight > 0)
        if (q->ring->ops->wait(q->ring, -1, 0, 1000) < 0)
            break;
    ring_free(q->ring);
    if (q->memory)
        munmap(q->memory, BUFFER_BYTES + PULL_CHUNK);
    free(q);
}

int puller_step(struct puller *q)
{
    int r;

    q->limit_ns = 0;
    r = atomic_load(&q->pull->stop) ? -ECANCELED : issue_reads(q);
    if (r == 0 && q->reading > 0) {
        int pumped = q->reader->ops->pump(q->reader);

        if (pumped < 0)
            return fail_reader(q, -pumped);
    }
    if (r == 0 && q->ready)
        r = handle_ready(q);
    if (r == 0 && q->settled)
        r = handle_settled(q);
    if (r < 0)
        return r;
    if (q->exhausted && !q->held && q->reading == 0 && q->writing == 0 && !q->ready && !q->settled)
        return PULL_DONE;
    if (q->limit_ns > 0)
        return PULL_WAIT;
    return q->ready || q->settled || (q->free && !q->exhausted) ? PULL_MORE : PULL_WAIT;
}

int puller_wait(struct puller *q)
{
    short events = 0;
    int fd = q->reading > 0 ? q->reader->ops->poll_fd(q->reader, &events) : -1;
    int timeout_ms = q->limit_ns ? (int)div_up(q->limit_ns, NS_PER_MS) : 1000;
    int r = q->ring->ops->wait(q->ring, fd, events, timeout_ms);

    return r < 0 ? fail_local(q->pull, -r, "waiting for I/O") : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/hydrate-lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/align.h"
#include "base/str.h"

/* ---- the owner ---- */

static pthread_mutex_t lab_lock = PTHREAD_MUTEX_INITIALIZER; /* everything here, with threads */
struct engine engine;
static const struct io_ops no_io;
static struct io io = {&no_io};
struct disk disk = {.io = &io, .name = (char *)"sda", .size = SIZE, .blocks = BLOCKS};
struct map map = {.blocks = BLOCKS};
struct owner owner = {.engine = &engine, .disk = &disk, .map = &map};
_Atomic uint16_t missing[BLOCKS];
bool in_layer[BLOCKS];
int hydrate_error;
unsigned hydrate_calls, zero_calls, local_calls;
uint8_t target[BLOCKS];

enum owner_from owner_lookup(const struct owner *o, uint64_t block, struct layer **ret_layer,
                             enum block_state *ret_state)
{
    if (!missing[block])
        return OWNER_HERE;
    return in_layer[block] ? OWNER_FROM_LAYER : OWNER_FROM_REMOTE;
}

int owner_hydrate(struct owner *o, uint64_t block, uint32_t count, const void *data,
                  const uint8_t *digests)
{
    LOCK_FOR_SCOPE(&lab_lock);
    hydrate_calls++;
    zero_calls += !data;
    if (hydrate_error)
        return hydrate_error;
    for (uint32_t i = 0; i < count; i++) {
        static uint8_t zeros[BLOCK_SIZE];
        const uint8_t *bytes = data ? (const uint8_t *)data + i * BLOCK_SIZE : zeros;
        uint8_t digest[DIGEST_SIZE];

        digest_block(bytes, disk_block_length(&disk, block + i), digest);
        assert_memory_equal(digest, digests + i * DIGEST_SIZE, DIGEST_SIZE);
        target[block + i] = bytes[0];
        missing[block + i] = 0;
    }
    return 0;
}

int owner_hydrate_local(struct owner *o, uint64_t block, uint32_t count)
{
    LOCK_FOR_SCOPE(&lab_lock);
    local_calls++;
    for (uint32_t i = 0; i < count; i++)
        if (in_layer[block + i])
            missing[block + i] = 0;
    return 0;
}

uint64_t owner_missing_bytes(const struct owner *o)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < BLOCKS; i++)
        n += missing[i] ? disk_block_length(&disk, i) : 0;
    return n;
}

bool owner_is_complete(const struct owner *o)
{
    return owner_missing_bytes(o) == 0;
}

/* ---- the source ---- */

struct lab_read {
    struct reader_op *op;
    uint8_t *data;
    uint64_t offset;
    uint32_t length;
};

struct lab_reader {
    struct reader reader;
    struct lab_read reads[READS_MAX];
    unsigned count;
    struct reader_query *query;
    uint64_t query_offset, query_end;
};

struct lab_source source;

static void lab_close(struct reader *reader)
{
    LOCK_FOR_SCOPE(&lab_lock);
    free(reader);
    source.open_now--;
}

static uint64_t lab_size(struct reader *reader)
{
    return source.size;
}

static bool lab_has_allocation(struct reader *reader)
{
    return source.allocation;
}

static int lab_read(struct reader *reader, void *data, uint32_t length, uint64_t offset,
                    struct reader_op *op)
{
    struct lab_reader *l = (struct lab_reader *)reader;

    LOCK_FOR_SCOPE(&lab_lock);
    assert_true(l->count < READS_MAX && source.requests < READS_MAX);
    l->reads[l->count++] = (struct lab_read){op, data, offset, length};
    source.order[source.requests] = offset / BLOCK_SIZE;
    source.lengths[source.requests++] = (uint32_t)div_up(length, BLOCK_SIZE);
    return 0;
}

static int lab_query(struct reader *reader, uint64_t length, uint64_t offset,
                     struct reader_query *q)
{
    struct lab_reader *l = (struct lab_reader *)reader;

    l->query = q;
    l->query_offset = offset;
    l->query_end = offset + length;
    return 0;
}

uint8_t source_byte(uint64_t block)
{
    return block >= ZERO_FIRST && block < ZERO_END ? 0 : (uint8_t)(block + 1);
}

static void answer(const struct lab_read *r)
{
    bool bad = false;

    pthread_mutex_lock(&lab_lock);
    for (uint64_t b = r->offset / BLOCK_SIZE; b * BLOCK_SIZE < r->offset + r->length; b++) {
        bad |= (int)b == source.bad_block;
        source.fetched[b]++;
        memset(r->data + (b * BLOCK_SIZE - r->offset), source_byte(b),
               disk_block_length(&disk, b));
    }
    pthread_mutex_unlock(&lab_lock);
    r->op->done(r->op, bad ? EIO : 0);
}

/* Odd borders: the hydrator must not take more than whole blocks. */
static void answer_query(struct lab_reader *l)
{
    const struct { uint64_t offset; unsigned flags; } parts[] = {
        {0, 0}, {ZERO_FIRST * BLOCK_SIZE - 512, EXTENT_ZERO}, {ZERO_END * BLOCK_SIZE + 512, 0},
        {SIZE, 0}};
    struct reader_query *q = l->query;

    l->query = NULL;
    for (unsigned i = 0; i + 1 < ARRAY_SIZE(parts); i++) {
        uint64_t from = MAX(parts[i].offset, l->query_offset);
        uint64_t to = MIN(parts[i + 1].offset, l->query_end);

        if (from < to && q->fn(from, to - from, parts[i].flags, q->context) < 0)
            break;
    }
    q->op.done(&q->op, 0);
}

static int lab_pump(struct reader *reader)
{
    struct lab_reader *l = (struct lab_reader *)reader;
    unsigned count = l->count;

    if (source.gone)
        return -ECONNRESET;
    if (atomic_load(&source.hold))
        return 0;
    l->count = 0;
    for (unsigned i = 0; i < count; i++)
        answer(&l->reads[i]);
    if (l->query)
        answer_query(l);
    return 1;
}

static int lab_poll_fd(struct reader *reader, short *ret_events)
{
    return -1;
}

static const char *lab_failure(struct reader *reader)
{
    return "the cable is cut";
}

static const struct reader_ops lab_ops = {
    .close = lab_close,
    .size = lab_size,
    .has_allocation = lab_has_allocation,
    .read = lab_read,
    .query = lab_query,
    .pump = lab_pump,
    .poll_fd = lab_poll_fd,
    .failure = lab_failure,
};

static int lab_open(const char *uri, const char *bitmap, bool allocation, uint64_t timeout_ns,
                    bool (*cancelled)(void *), void *context, struct reader **ret_reader,
                    struct error **err)
{
    struct lab_reader *l;

    LOCK_FOR_SCOPE(&lab_lock);
    if (source.told)
        hydrator_set_source(h, source.told);
    source.cancelled = cancelled(context);
    source.opens++;
    snprintf(source.uri, sizeof(source.uri), "%s", uri);
    if (source.refuse || source.gone)
        return error_set(err, ECONNREFUSED, "nobody listens at %s", uri);
    l = mem_new(1, sizeof(*l));
    l->reader.ops = &lab_ops;
    source.open_now++;
    *ret_reader = &l->reader;
    return 0;
}

const struct reader_factory lab = {.open = lab_open};

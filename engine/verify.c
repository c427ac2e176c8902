/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/verify.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/iszero.h"
#include "base/str.h"

#define CHUNK (UINT64_C(1) << 20)
#define DEPTH 8
#define CONNECT_NS (30 * NS_PER_S)

enum buf_state {
    BUF_FREE,
    BUF_HELD, /* has a run to read that the limit of the source keeps back */
    BUF_READING,
    BUF_READY,
};

struct verify_buf {
    struct reader_op op;
    enum buf_state state;
    int error; /* positive errno */
    uint8_t *data;
    uint64_t offset;
    uint32_t length;
};

struct checked {
    struct disk *disk;
    struct reader *reader;
    uint8_t *zero; /* a bit per block that the source says is zero */
    uint64_t checked_bytes, differing_bytes, rotten_bytes;
    json_t *extents;
    uint64_t extent_count;
    uint64_t run_start, run_length; /* bytes of the differing extent that may still grow */
};

struct verifier {
    struct verify *verify;
    struct engine *engine;
    const struct verify_request *request;
    struct view *view;
    progress_fn *progress;
    void *context;
    uint64_t random;
    uint64_t done_bytes, total_bytes;
    uint64_t limit_ns; /* how long the limit of the source asks to wait; 0: it does not */
    uint8_t *scratch; /* one block of the view */
    struct checked disks[DISKS_MAX];
};

/* ---- what is compared ---- */

static bool same(const uint8_t a[DIGEST_SIZE], const uint8_t b[DIGEST_SIZE])
{
    return memcmp(a, b, DIGEST_SIZE) == 0;
}

struct verdict {
    bool differs, rotten;
};

/* there: the digest of the source's block. */
static int judge(struct verifier *v, struct disk *d, uint64_t block,
                 const uint8_t there[DIGEST_SIZE], struct verdict *ret_verdict)
{
    uint32_t length = disk_block_length(d, block);
    uint8_t kept[DIGEST_SIZE], here[DIGEST_SIZE];
    int r = view_digest(v->view, d, block, kept);

    *ret_verdict = (struct verdict){0};
    if (r < 0 || (same(kept, there) && !v->request->bytes))
        return r;
    r = view_pread(v->view, d, v->scratch, length, block * BLOCK_SIZE);
    if (r < 0)
        return r;
    digest_block(v->scratch, length, here);
    ret_verdict->differs = !same(here, there);
    ret_verdict->rotten = !same(here, kept) && !is_zero(kept, DIGEST_SIZE);
    return 0;
}

static void end_extent(struct checked *c)
{
    if (c->run_length == 0)
        return;
    if (c->extent_count++ < VERIFY_EXTENTS_MAX)
        json_array_append_new(c->extents, json_pack("{s:I, s:I}", "offset",
                                                    (json_int_t)c->run_start, "length",
                                                    (json_int_t)c->run_length));
    c->run_length = 0;
}

/* Requests end in any order, so a run may be told in parts. */
static void tell(struct verifier *v, struct checked *c, uint64_t offset, uint32_t length,
                 struct verdict verdict)
{
    uint64_t **repair = v->request->repair, block = offset / BLOCK_SIZE;

    c->differing_bytes += verdict.differs ? length : 0;
    c->rotten_bytes += verdict.rotten ? length : 0;
    if (repair)
        repair[c->disk->index][block / 64] |= UINT64_C(1) << block % 64;
    if (c->run_length == 0 || c->run_start + c->run_length != offset) {
        end_extent(c);
        c->run_start = offset;
    }
    c->run_length += length;
}

static int compare_blocks(struct verifier *v, struct checked *c, const struct verify_buf *b)
{
    int r = 0;

    for (uint32_t at = 0, length; r == 0 && at < b->length; at += length) {
        uint64_t block = (b->offset + at) / BLOCK_SIZE;
        uint8_t there[DIGEST_SIZE];
        struct verdict verdict;

        length = disk_block_length(c->disk, block);
        digest_block(b->data + at, length, there);
        r = judge(v, c->disk, block, there, &verdict);
        if (r == 0 && (verdict.differs || verdict.rotten))
            tell(v, c, b->offset + at, length, verdict);
    }
    c->checked_bytes += b->length;
    v->done_bytes += b->length;
    return r;
}

/* ---- which blocks ---- */

static int remember_zero(uint64_t offset, uint64_t length, unsigned flags, void *context)
{
    struct checked *c = context;
    uint64_t end = offset + length == c->disk->size ? c->disk->blocks
                                                    : (offset + length) / BLOCK_SIZE;

    for (uint64_t b = div_up(offset, BLOCK_SIZE); (flags & EXTENT_ZERO) && b < end; b++)
        c->zero[b / 8] |= (uint8_t)(1u << b % 8);
    return 0;
}

static bool is_known_zero(const struct checked *c, uint64_t block)
{
    return c->zero[block / 8] & 1u << block % 8;
}

/* xorshift64*: a sample needs no more. */
static uint64_t next_random(struct verifier *v)
{
    v->random ^= v->random >> 12;
    v->random ^= v->random << 25;
    v->random ^= v->random >> 27;
    return v->random * UINT64_C(0x2545f4914f6cdd1d);
}

/* Blocks to leave out before the next one of the sample: what a coin per block would give. */
static uint64_t skip_blocks(struct verifier *v)
{
    double p = v->request->sample_percent / 100;
    double u = ((double)(next_random(v) >> 11) + 1) / 9007199254740993.0;
    double skip = p >= 1 ? 0 : floor(log(u) / log1p(-p));

    return skip < 1e15 ? (uint64_t)skip : UINT64_C(1000000000000000);
}

struct cursor {
    uint64_t block; /* next one to check */
};

/* A sample has at least one block of each disk. */
static void cursor_begin(struct verifier *v, const struct checked *c, struct cursor *at)
{
    at->block = skip_blocks(v);
    if (at->block >= c->disk->blocks)
        at->block = next_random(v) % c->disk->blocks;
}

/* The next run of blocks that are all known to be zero, or all to be read. */
static bool next_run(struct verifier *v, const struct checked *c, struct cursor *at,
                     struct verify_buf *b, bool *ret_zero)
{
    uint64_t first = at->block, end = first, skipped = 0;
    uint32_t chunk = limit_chunk(v->engine->limits, c->disk->index, LIMIT_SOURCE, CHUNK);

    if (first >= c->disk->blocks)
        return false;
    *ret_zero = is_known_zero(c, first);
    while (skipped == 0 && end < c->disk->blocks && (end - first) * BLOCK_SIZE < chunk &&
           is_known_zero(c, end) == *ret_zero) {
        end++;
        skipped = skip_blocks(v);
    }
    at->block = end + skipped;
    b->offset = first * BLOCK_SIZE;
    b->length = (uint32_t)(MIN(end * BLOCK_SIZE, c->disk->size) - b->offset);
    return true;
}

/* ---- reading the source ---- */

static void read_done(struct reader_op *op, int error)
{
    struct verify_buf *b = (struct verify_buf *)op;

    b->error = error;
    b->state = BUF_READY;
}

static int source_failed(struct checked *c, int code, struct error **err)
{
    const char *text = c->reader->ops->failure(c->reader);

    return error_set(err, code, "reading the source of disk %s failed (%s); verify again",
                     c->disk->name, text && *text ? text : strerror(code));
}

static int may_go_on(struct verifier *v, struct error **err)
{
    if (atomic_load(&v->verify->cancel))
        return error_set(err, ECANCELED, "the verify was cancelled; nothing was changed");
    LOCK_FOR_SCOPE(&v->engine->lock);
    if (v->engine->flipping || atomic_load(&v->view->revoked))
        return error_set(err, ECANCELED, "the mirror is being flipped, which ended the verify; "
                                         "take a manifest of the owner instead");
    return 0;
}

static int compare_failed(const struct checked *c, int code, struct error **err)
{
    if (code == ESHUTDOWN)
        return error_set(err, ECANCELED, "the mirror was flipped, which ended the verify");
    return error_set_errno(err, code, "cannot read disk %s of the mirror or its digests",
                           c->disk->name);
}

/* Starts reads until all buffers are busy; runs known to be zero are compared on the way. */
static int start_read(struct verifier *v, struct checked *c, struct verify_buf *b,
                      struct error **err)
{
    int r;

    b->state = BUF_HELD;
    v->limit_ns = limit_take(v->engine->limits, c->disk->index, LIMIT_SOURCE, b->length);
    if (v->limit_ns > 0)
        return 0;
    b->state = BUF_READING;
    r = c->reader->ops->read(c->reader, b->data, b->length, b->offset, &b->op);
    return r < 0 ? source_failed(c, -r, err) : 0;
}

static int fill(struct verifier *v, struct checked *c, struct cursor *at, struct verify_buf *bufs,
                struct error **err)
{
    int r = 0;

    v->limit_ns = 0;
    for (unsigned i = 0; r == 0 && v->limit_ns == 0 && i < DEPTH; i++) {
        struct verify_buf *b = &bufs[i];
        bool zero = false;

        if (b->state > BUF_HELD || (b->state == BUF_FREE && !next_run(v, c, at, b, &zero)))
            continue;
        if (!zero) {
            r = start_read(v, c, b, err);
            continue;
        }
        memset(b->data, 0, b->length);
        r = compare_blocks(v, c, b);
        if (r < 0)
            return compare_failed(c, -r, err);
    }
    return r;
}

static int settle(struct verifier *v, struct checked *c, struct verify_buf *bufs,
                  struct error **err)
{
    for (unsigned i = 0; i < DEPTH; i++) {
        struct verify_buf *b = &bufs[i];
        int r;

        if (b->state != BUF_READY)
            continue;
        if (b->error)
            return source_failed(c, b->error, err);
        r = compare_blocks(v, c, b);
        if (r < 0)
            return compare_failed(c, -r, err);
        b->state = BUF_FREE;
    }
    return 0;
}

static unsigned count_state(const struct verify_buf *bufs, enum buf_state state)
{
    unsigned count = 0;

    for (unsigned i = 0; i < DEPTH; i++)
        count += bufs[i].state == state;
    return count;
}

/* Waits for bytes of the source, or until its limit lets the next read go. */
static int pump(struct verifier *v, struct checked *c, struct verify_buf *bufs, struct error **err)
{
    int timeout_ms = v->limit_ns ? (int)div_up(v->limit_ns, NS_PER_MS) : 200, r = 0;
    struct pollfd p = {.fd = -1};
    bool reading = count_state(bufs, BUF_READING) > 0;

    if (reading)
        r = c->reader->ops->pump(c->reader);
    if (r < 0)
        return source_failed(c, -r, err);
    reading = count_state(bufs, BUF_READING) > 0;
    if (count_state(bufs, BUF_READY) > 0 || (!reading && v->limit_ns == 0))
        return 0;
    if (reading)
        p.fd = c->reader->ops->poll_fd(c->reader, &p.events);
    if (p.fd >= 0 || !reading)
        poll(&p, 1, timeout_ms);
    return 0;
}

static int read_and_compare(struct verifier *v, struct checked *c, struct verify_buf *bufs,
                            struct error **err)
{
    struct cursor at;
    int r = 0;

    cursor_begin(v, c, &at);
    while (r == 0 && (at.block < c->disk->blocks || count_state(bufs, BUF_FREE) < DEPTH)) {
        struct progress_report p = {"verify", v->done_bytes, v->total_bytes};

        r = may_go_on(v, err);
        if (r == 0)
            r = fill(v, c, &at, bufs, err);
        if (r == 0)
            r = pump(v, c, bufs, err);
        if (r == 0)
            r = settle(v, c, bufs, err);
        if (v->progress)
            v->progress(&p, v->context);
    }
    end_extent(c);
    return r;
}

static int verify_disk(struct verifier *v, struct checked *c, struct error **err)
{
    _cleanup_free_ struct verify_buf *bufs = calloc(DEPTH, sizeof(*bufs));
    _cleanup_free_ uint8_t *memory = malloc(DEPTH * CHUNK);
    int r;

    c->zero = calloc(div_up(c->disk->blocks, 8), 1);
    if (!bufs || !memory || !c->zero)
        return error_set_errno(err, ENOMEM, "cannot verify disk %s", c->disk->name);
    for (unsigned i = 0; i < DEPTH; i++)
        bufs[i] = (struct verify_buf){.op.done = read_done, .data = memory + i * CHUNK};
    r = c->reader->ops->extents(c->reader, EXTENT_ZERO, remember_zero, c, err);
    if (r == 0)
        r = read_and_compare(v, c, bufs, err);
    reader_close(steal_ptr(c->reader)); /* before the buffers its reads point to */
    return r;
}

/* ---- all ---- */

static bool given_up(void *context)
{
    return atomic_load(&((struct verify *)context)->cancel);
}

static int open_source(struct verifier *v, unsigned i, struct error **err)
{
    const struct sync_source *s = &v->request->sources[i];
    struct checked *c = &v->disks[i];
    int r;

    c->disk = engine_disk(v->engine, s->name);
    if (!c->disk)
        return error_set(err, ENOENT, "%s has no disk '%s'", v->engine->store, s->name);
    for (unsigned k = 0; k < i; k++)
        if (v->disks[k].disk == c->disk)
            return error_set(err, EINVAL, "disk '%s' is named twice", s->name);
    r = v->engine->readers->open(s->uri, NULL, true, CONNECT_NS, given_up, v->verify, &c->reader,
                                 err);
    if (r < 0)
        return error_prefix(err, "disk %s", s->name), r;
    if (c->reader->ops->size(c->reader) != c->disk->size)
        return error_set(err, EINVAL, "the source of disk %s has another size than the disk; is "
                                      "it the same point in time?", s->name);
    c->extents = json_array();
    if (v->request->repair && !v->request->repair[c->disk->index])
        v->request->repair[c->disk->index] = mem_new(div_up(c->disk->blocks, 64),
                                                     sizeof(uint64_t));
    v->total_bytes += c->disk->size;
    return 0;
}

static json_t *disk_json(const struct checked *c)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:O}", "disk", c->disk->name, "size_bytes",
                     (json_int_t)c->disk->size, "checked_bytes", (json_int_t)c->checked_bytes,
                     "differing_bytes", (json_int_t)c->differing_bytes, "rotten_bytes",
                     (json_int_t)c->rotten_bytes, "differing_extents",
                     (json_int_t)c->extent_count, "extents", c->extents);
}

static json_t *result_json(const struct verifier *v, uint64_t nanoseconds)
{
    struct super root = superfile_get(&v->engine->super);
    json_t *disks = json_array();
    uint64_t checked = 0, differing = 0, rotten = 0;

    for (unsigned i = 0; i < v->request->source_count; i++) {
        checked += v->disks[i].checked_bytes;
        differing += v->disks[i].differing_bytes;
        rotten += v->disks[i].rotten_bytes;
        json_array_append_new(disks, disk_json(&v->disks[i]));
    }
    return json_pack("{s:I, s:s?, s:f, s:b, s:I, s:I, s:I, s:f, s:o}", "generation",
                     (json_int_t)v->view->gen, "snapshot",
                     root.cur_gen == v->view->gen ? root.snapshot : NULL, "sample_percent",
                     v->request->sample_percent, "equal", differing + rotten == 0,
                     "checked_bytes", (json_int_t)checked, "differing_bytes",
                     (json_int_t)differing, "rotten_bytes", (json_int_t)rotten, "seconds",
                     (double)nanoseconds / 1e9, "disks", disks);
}

static void verifier_done(struct verifier *v)
{
    for (unsigned i = 0; i < v->request->source_count; i++) {
        reader_close(v->disks[i].reader);
        json_decref(v->disks[i].extents);
        free(v->disks[i].zero);
    }
    free(v->scratch);
    view_put(v->view);
}

static int open_all(struct verifier *v, struct error **err)
{
    int r = view_get(v->engine, NO_GENERATION, &v->view);

    if (r < 0)
        return error_set(err, EPERM, "%s has no generation that could be verified: its mode is "
                                     "%s; verify a mirror after a sync", v->engine->store,
                         store_mode_name(v->engine->mode));
    for (unsigned i = 0; r == 0 && i < v->request->source_count; i++)
        r = open_source(v, i, err);
    v->total_bytes = (uint64_t)((double)v->total_bytes * v->request->sample_percent / 100);
    return r;
}

int verify_run(struct verify *verify, struct engine *engine, const struct verify_request *request,
               progress_fn *progress, void *context, json_t **ret_result, struct error **err)
{
    struct verifier v = {.verify = verify, .engine = engine, .request = request,
                         .progress = progress, .context = context, .random = request->seed | 1,
                         .scratch = mem_new(1, BLOCK_SIZE)};
    uint64_t start = clock_now_ns();
    int r = open_all(&v, err);

    for (unsigned i = 0; r == 0 && i < request->source_count; i++)
        r = verify_disk(&v, &v.disks[i], err);
    if (r == 0)
        *ret_result = result_json(&v, clock_now_ns() - start);
    verifier_done(&v);
    return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/diff.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/align.h"
#include "base/str.h"

#define CHUNK_BLOCKS UINT64_C(16) /* compared at a time */
#define WRITTEN ((1u << BLOCK_DATA) | (1u << BLOCK_ZERO))

/* ---- the two generations ---- */

/* "only 3 is", "1 to 3 are": what may be named instead. */
static void tell_retained_locked(const struct engine *e, char *text, size_t size)
{
    uint64_t oldest = e->cur_gen;

    while (oldest > 0 && view_is_readable_locked(e, oldest - 1))
        oldest--;
    if (e->cur_gen == NO_GENERATION)
        snprintf(text, size, "none is yet");
    else if (oldest == e->cur_gen)
        snprintf(text, size, "only %" PRIu64 " is", oldest);
    else
        snprintf(text, size, "%" PRIu64 " to %" PRIu64 " are", oldest, e->cur_gen);
}

static int not_retained_locked(const struct engine *e, uint64_t gen, struct error **err)
{
    char retained[64];

    tell_retained_locked(e, retained, sizeof(retained));
    if (gen == NO_GENERATION)
        return error_set(err, ENOENT, "%s retains no two generations to compare (%s); from the "
                                      "next sync on it does with 'slipway engine set %s --keep 1'",
                         e->store, retained, e->store);
    return error_set(err, ENOENT, "generation %" PRIu64 " of %s is not retained, %s; 'slipway "
                                  "engine set %s --keep N' keeps older ones from now on",
                     gen, e->store, retained, e->store);
}

static int choose_locked(const struct engine *e, const struct diff_request *q, struct diff *diff,
                         struct error **err)
{
    diff->to = q->to == NO_GENERATION ? e->cur_gen : q->to;
    diff->from = q->from;
    if (diff->to == NO_GENERATION || (q->to == NO_GENERATION && q->from == NO_GENERATION &&
                                      !view_is_readable_locked(e, diff->to - 1)))
        return not_retained_locked(e, NO_GENERATION, err);
    if (q->from == NO_GENERATION && diff->to == 0)
        return error_set(err, ENOENT, "generation 0 of %s is the first one; there is none before "
                                      "it to compare with", e->store);
    if (q->from == NO_GENERATION)
        diff->from = diff->to - 1;
    if (diff->from > diff->to)
        return error_set(err, EINVAL, "generation %" PRIu64 " is newer than %" PRIu64 "; name the "
                                      "older one first", diff->from, diff->to);
    if (!view_is_readable_locked(e, diff->to))
        return not_retained_locked(e, diff->to, err);
    if (!view_is_readable_locked(e, diff->from))
        return not_retained_locked(e, diff->from, err);
    return 0;
}

struct comparer {
    struct engine *engine;
    struct diff *diff;
    const struct diff_request *request;
    struct view *from, *to;
    uint64_t done_bytes, total_bytes; /* of the disks */
    uint8_t *old_bytes, *new_bytes;   /* CHUNK_BLOCKS each */
    struct diff_extent *extents;      /* to be told; the last one may still grow */
    unsigned extent_count;
};

/* Both at once, so that nothing is folded in between. */
static int take_views(struct comparer *c, struct error **err)
{
    struct engine *e = c->engine;
    int r;

    LOCK_FOR_SCOPE(&e->lock);
    r = engine_check_mode_locked(e, "diff", 1u << MODE_MIRROR, err);
    if (r == 0)
        r = choose_locked(e, c->request, c->diff, err);
    if (r < 0)
        return r;
    r = view_get_locked(e, c->diff->from, &c->from);
    if (r == 0)
        r = view_get_locked(e, c->diff->to, &c->to);
    if (r == -ESHUTDOWN)
        return error_set(err, EPERM, "%s is being flipped; its generations are not readable any "
                                     "more", e->store);
    if (r < 0)
        return error_set_errno(err, -r, "cannot open the two generations of %s", e->store);
    c->diff->next = e->diffs;
    e->diffs = c->diff;
    return 0;
}

static void leave(struct comparer *c)
{
    LOCK_FOR_SCOPE(&c->engine->lock);
    for (struct diff **at = &c->engine->diffs; *at; at = &(*at)->next)
        if (*at == c->diff) {
            *at = c->diff->next;
            break;
        }
    view_put_locked(c->from);
    view_put_locked(c->to);
}

bool diff_cancel_all_locked(struct engine *e)
{
    for (struct diff *d = e->diffs; d; d = d->next)
        atomic_store(&d->cancel, true);
    return e->diffs != NULL;
}

/* ---- which blocks were written ---- */

/* Walks the layers between the two generations together. */
struct written {
    struct layer *layers[LAYERS_MAX + 1];
    uint64_t next[LAYERS_MAX + 1]; /* first written block from the last one asked for on */
    unsigned count;
};

static void written_begin(struct written *w, const struct comparer *c, const struct disk *d)
{
    const struct view_disk *vd = &c->to->disks[d->index];

    w->count = 0;
    for (unsigned i = 0; i < vd->layer_count; i++) {
        if (vd->layers[i]->gen <= c->diff->from)
            continue;
        w->next[w->count] = layer_find(vd->layers[i], 0, WRITTEN);
        w->layers[w->count++] = vd->layers[i];
    }
}

/* The first written block >= block, or `blocks`. */
static uint64_t written_find(struct written *w, uint64_t block, uint64_t blocks)
{
    uint64_t first = blocks;

    for (unsigned i = 0; i < w->count; i++) {
        if (w->next[i] < block)
            w->next[i] = layer_find(w->layers[i], block, WRITTEN);
        first = MIN(first, w->next[i]);
    }
    return first;
}

/* The next run of written blocks, at most CHUNK_BLOCKS, from *first on.  False: no more. */
static bool written_run(struct written *w, uint64_t blocks, uint64_t *first, uint64_t *ret_count)
{
    uint64_t count = 1;

    *first = written_find(w, *first, blocks);
    if (*first >= blocks)
        return false;
    while (count < CHUNK_BLOCKS && *first + count < blocks &&
           written_find(w, *first + count, blocks) == *first + count)
        count++;
    *ret_count = count;
    return true;
}

/* ---- comparing ---- */

static void tell(struct comparer *c, const struct disk *d, unsigned count)
{
    if (c->request->extents && count > 0)
        c->request->extents(d, c->extents, count, c->request->context);
}

static void add_block(struct comparer *c, const struct disk *d, uint64_t offset, uint32_t length)
{
    struct diff_disk *result = &c->diff->disks[d->index];
    struct diff_extent *last = c->extent_count > 0 ? &c->extents[c->extent_count - 1] : NULL;

    result->changed_bytes += length;
    if (last && last->offset + last->length == offset) {
        last->length += length;
        return;
    }
    if (c->extent_count == DIFF_EXTENTS_MAX) {
        tell(c, d, c->extent_count);
        c->extent_count = 0;
    }
    c->extents[c->extent_count++] = (struct diff_extent){offset, length};
    result->extent_count++;
}

static int views_ended_locked(const struct engine *e, struct error **err)
{
    if (e->mode == MODE_MIRROR && !e->flipping)
        return error_set(err, ECANCELED, "the diff of %s was ended to make room for a new "
                                         "generation; compare again", e->store);
    return error_set(err, ECANCELED, "the mirror %s was flipped, which ended the diff", e->store);
}

static int read_failed(struct comparer *c, const struct disk *d, int code, struct error **err)
{
    if (code != ESHUTDOWN)
        return error_set_errno(err, code, "cannot read disk %s of %s", d->name, c->engine->store);
    LOCK_FOR_SCOPE(&c->engine->lock);
    return views_ended_locked(c->engine, err);
}

static int compare_run(struct comparer *c, struct disk *d, uint64_t first, uint64_t count,
                       struct error **err)
{
    uint64_t offset = first * BLOCK_SIZE;
    uint32_t length = (uint32_t)(MIN(count * BLOCK_SIZE, d->size - offset)), part;
    int r = 0;

    c->diff->disks[d->index].written_bytes += length;
    if (!c->request->fast)
        r = view_pread(c->from, d, c->old_bytes, length, offset);
    if (r == 0 && !c->request->fast)
        r = view_pread(c->to, d, c->new_bytes, length, offset);
    if (r < 0)
        return read_failed(c, d, -r, err);
    for (uint32_t at = 0; at < length; at += part) {
        part = disk_block_length(d, first + at / BLOCK_SIZE);
        if (c->request->fast || memcmp(c->old_bytes + at, c->new_bytes + at, part) != 0)
            add_block(c, d, offset + at, part);
    }
    return 0;
}

/* Also between runs, since a fast diff reads nothing that could fail, and a flip gives readers time. */
static int may_go_on(struct comparer *c, struct error **err)
{
    if (atomic_load(&c->diff->cancel))
        return error_set(err, ECANCELED, "the diff was cancelled");
    LOCK_FOR_SCOPE(&c->engine->lock);
    if (c->engine->flipping || atomic_load(&c->from->revoked) || atomic_load(&c->to->revoked))
        return views_ended_locked(c->engine, err);
    return 0;
}

static void report(struct comparer *c, uint64_t offset)
{
    struct progress_report p = {.phase = "diff", .done_bytes = c->done_bytes + offset,
                                .total_bytes = c->total_bytes};

    if (c->request->progress)
        c->request->progress(&p, c->request->context);
}

static int diff_disk(struct comparer *c, struct disk *d, struct error **err)
{
    uint64_t first = 0, count = 0;
    struct written w;
    int r = 0;

    written_begin(&w, c, d);
    while (r == 0 && written_run(&w, d->blocks, &first, &count)) {
        r = may_go_on(c, err);
        if (r == 0)
            r = compare_run(c, d, first, count, err);
        report(c, first * BLOCK_SIZE);
        first += count;
    }
    if (r == 0)
        tell(c, d, c->extent_count);
    c->extent_count = 0;
    c->done_bytes += d->size;
    return r;
}

static int diff_disks(struct comparer *c, struct error **err)
{
    const struct disk *only = c->request->disk;
    struct engine *e = c->engine;
    int r = 0;

    for (unsigned i = 0; i < e->disk_count; i++)
        c->total_bytes += !only || only == &e->disks[i] ? e->disks[i].size : 0;
    for (unsigned i = 0; r == 0 && i < e->disk_count; i++)
        if (!only || only == &e->disks[i])
            r = diff_disk(c, &e->disks[i], err);
    return r;
}

int diff_run(struct diff *diff, struct engine *e, const struct diff_request *q, struct error **err)
{
    _cleanup_free_ uint8_t *memory = malloc(2 * CHUNK_BLOCKS * BLOCK_SIZE);
    _cleanup_free_ struct diff_extent *extents = calloc(DIFF_EXTENTS_MAX, sizeof(*extents));
    struct comparer c = {.engine = e, .diff = diff, .request = q, .old_bytes = memory,
                         .extents = extents};
    int r;

    if (!memory || !extents)
        return error_set_errno(err, ENOMEM, "cannot compare generations of %s", e->store);
    c.new_bytes = memory + CHUNK_BLOCKS * BLOCK_SIZE;
    r = take_views(&c, err);
    if (r == 0)
        r = diff_disks(&c, err);
    leave(&c);
    return r;
}

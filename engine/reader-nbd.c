/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/reader.h"

#include <inttypes.h>
#include <libnbd.h>
#include <string.h>

#include "base/align.h"
#include "engine/nbdlink.h"

#define STATUS_CHUNK (UINT64_C(1) << 31) /* lengths of block status are 32 bits */

struct reader_nbd {
    struct reader reader;
    struct nbd_link link;
    uint64_t size;
    char *bitmap;
    bool allocation;
};

static void nbd_reader_close(struct reader *reader)
{
    struct reader_nbd *n = (struct reader_nbd *)reader;

    nbd_link_done(&n->link);
    free(n->bitmap);
    free(n);
}

static uint64_t nbd_reader_size(struct reader *reader)
{
    return ((struct reader_nbd *)reader)->size;
}

static bool nbd_reader_has_allocation(struct reader *reader)
{
    return ((struct reader_nbd *)reader)->allocation;
}

struct walk {
    const char *context_name;
    unsigned what;
    uint64_t next; /* end of what has been told */
    uint64_t end;
    extent_fn *fn;
    void *context;
    int result;
};

static unsigned walk_flags(const struct walk *w, uint32_t entry_flags)
{
    if (w->what == EXTENT_DIRTY)
        return entry_flags & 1 ? EXTENT_DIRTY : 0;
    return entry_flags & LIBNBD_STATE_ZERO ? EXTENT_ZERO : 0;
}

static int walk_extents(void *opaque, const char *name, uint64_t offset, uint32_t *entries,
                        size_t count, int *error)
{
    struct walk *w = opaque;

    if (strcmp(name, w->context_name) != 0 || w->result < 0)
        return 0;
    for (size_t i = 0; i + 1 < count && w->next < w->end; i += 2) {
        uint64_t length = MIN((uint64_t)entries[i], w->end - w->next);

        if (length == 0)
            continue;
        w->result = w->fn(w->next, length, walk_flags(w, entries[i + 1]), w->context);
        w->next += length;
        if (w->result < 0)
            break;
    }
    return 0;
}

static int nbd_reader_extents(struct reader *reader, unsigned what, extent_fn *fn, void *context,
                              struct error **err)
{
    struct reader_nbd *n = (struct reader_nbd *)reader;
    struct walk w = {.what = what, .fn = fn, .context = context};
    nbd_extent_callback callback = {.callback = walk_extents, .user_data = &w};

    w.context_name = what == EXTENT_DIRTY ? n->bitmap : LIBNBD_CONTEXT_BASE_ALLOCATION;
    if (what == EXTENT_ZERO && !n->allocation)
        return fn(0, n->size, 0, context);
    while (w.next < n->size) {
        uint64_t before = w.next;

        w.end = MIN(n->size, w.next + STATUS_CHUNK);
        if (nbd_block_status(n->link.nbd, w.end - w.next, w.next, callback, 0) < 0)
            return error_set(err, nbd_link_errno(EIO), "cannot read %s at offset %" PRIu64 ": %s",
                             w.context_name, before, nbd_get_error());
        if (w.result < 0)
            return error_set_errno(err, -w.result, "cannot use %s", w.context_name);
        if (w.next == before)
            return error_set(err, EPROTO, "the source answered nothing for %s at offset %" PRIu64,
                             w.context_name, before);
    }
    return 0;
}

static int read_done(void *opaque, int *error)
{
    struct reader_op *op = opaque;

    op->done(op, *error);
    return 1; /* retire the command */
}

static int nbd_reader_read(struct reader *reader, void *data, uint32_t length, uint64_t offset,
                           struct reader_op *op)
{
    struct reader_nbd *n = (struct reader_nbd *)reader;
    nbd_completion_callback callback = {.callback = read_done, .user_data = op};

    if (nbd_aio_pread(n->link.nbd, data, length, offset, callback, 0) < 0)
        return nbd_link_failed(&n->link);
    return 0;
}

static int query_extents(void *opaque, const char *name, uint64_t offset, uint32_t *entries,
                         size_t count, int *error)
{
    struct reader_query *q = opaque;
    struct walk w = {.context_name = LIBNBD_CONTEXT_BASE_ALLOCATION,
                     .what = EXTENT_ZERO,
                     .next = q->next,
                     .end = q->end,
                     .fn = q->fn,
                     .context = q->context,
                     .result = q->result};

    walk_extents(&w, name, offset, entries, count, error);
    q->next = w.next;
    q->result = w.result;
    return 0;
}

static int nbd_reader_query(struct reader *reader, uint64_t length, uint64_t offset,
                            struct reader_query *q)
{
    struct reader_nbd *n = (struct reader_nbd *)reader;
    nbd_extent_callback extents = {.callback = query_extents, .user_data = q};
    nbd_completion_callback done = {.callback = read_done, .user_data = &q->op};

    q->next = offset;
    q->end = offset + length;
    q->result = 0;
    if (nbd_aio_block_status(n->link.nbd, length, offset, extents, done, 0) < 0)
        return nbd_link_failed(&n->link);
    return 0;
}

static int nbd_reader_poll_fd(struct reader *reader, short *ret_events)
{
    return nbd_link_poll_fd(&((struct reader_nbd *)reader)->link, ret_events);
}

static int nbd_reader_pump(struct reader *reader)
{
    return nbd_link_pump(&((struct reader_nbd *)reader)->link);
}

static const char *nbd_reader_failure(struct reader *reader)
{
    return ((struct reader_nbd *)reader)->link.failure;
}

static const struct reader_ops nbd_ops = {
    .close = nbd_reader_close,
    .size = nbd_reader_size,
    .extents = nbd_reader_extents,
    .has_allocation = nbd_reader_has_allocation,
    .read = nbd_reader_read,
    .query = nbd_reader_query,
    .pump = nbd_reader_pump,
    .poll_fd = nbd_reader_poll_fd,
    .failure = nbd_reader_failure,
};

static int learn(struct reader_nbd *n, const char *uri, const char *bitmap, struct error **err)
{
    int64_t size = nbd_get_size(n->link.nbd);

    if (size < 0)
        return error_set(err, EPROTO, "%s does not tell its size: %s", uri, nbd_get_error());
    n->size = (uint64_t)size;
    n->allocation = nbd_can_meta_context(n->link.nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) > 0;
    if (!bitmap)
        return 0;
    if (nbd_can_meta_context(n->link.nbd, bitmap) <= 0)
        return error_set(err, ENODATA,
                         "%s does not offer the bitmap '%s'; see the names it has with "
                         "'nbdinfo --list', or sync without --bitmap for a full compare", uri,
                         bitmap);
    n->bitmap = strdup(bitmap);
    return n->bitmap ? 0 : error_set_errno(err, ENOMEM, "cannot read %s", uri);
}

static int nbd_reader_open(const char *uri, const char *bitmap, bool allocation,
                           uint64_t timeout_ns, bool (*cancelled)(void *), void *context,
                           struct reader **ret_reader, struct error **err)
{
    const char *contexts[3] = {NULL};
    unsigned count = 0;
    struct reader_nbd *n = calloc(1, sizeof(*n));
    int r;

    if (allocation)
        contexts[count++] = LIBNBD_CONTEXT_BASE_ALLOCATION;
    if (bitmap)
        contexts[count++] = bitmap;
    if (!n)
        return error_set_errno(err, ENOMEM, "cannot read %s", uri);
    n->reader.ops = &nbd_ops;
    r = nbd_link_open(&n->link, uri, contexts, timeout_ns, cancelled, context, err);
    if (r == 0)
        r = learn(n, uri, bitmap, err);
    if (r < 0) {
        nbd_reader_close(&n->reader);
        return r;
    }
    *ret_reader = &n->reader;
    return 0;
}

const struct reader_factory reader_nbd = {.open = nbd_reader_open};

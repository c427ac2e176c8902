/* SPDX-License-Identifier: Apache-2.0 */
/* The only user of libnbd in the engine. */
#include "engine/reader.h"

#include <inttypes.h>
#include <libnbd.h>
#include <poll.h>
#include <string.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/str.h"

#define STATUS_CHUNK (UINT64_C(1) << 31) /* lengths of block status are 32 bits */

struct reader_nbd {
    struct reader reader;
    struct nbd_handle *nbd;
    uint64_t size;
    char *bitmap;
    bool allocation;
    bool dead;
    char failure[512];
};

static int nbd_errno(int fallback)
{
    int code = nbd_get_errno();

    return code > 0 ? code : fallback;
}

/* What libnbd says without the names of its functions, which only a developer wants. */
static const char *nbd_sentence(void)
{
    const char *text = nbd_get_error(), *colon;

    while (text && (str_starts(text, "nbd_") || str_starts(text, "handshake: ")) &&
           (colon = strstr(text, ": ")))
        text = colon + 2;
    return text ? text : "the NBD connection failed";
}

/* All that keeps us from a source is one kind of failure, except what is wrong with the URI. */
static int connect_failure(const char *uri, struct error **err)
{
    int code = nbd_errno(ECONNREFUSED);
    const char *advice = code == EINVAL   ? "see nbd_connect_uri(3) for what a URI may be"
                         : code == ENOENT && strstr(nbd_sentence(), "export")
                             ? "see the names it has with 'nbdinfo --list'"
                             : "is the NBD server running, and is it there that it listens?";

    return error_set(err, code == EINVAL || code == ETIMEDOUT ? code : ECONNREFUSED,
                     "cannot connect to %s: %s; %s", uri, nbd_sentence(), advice);
}

static void remember_failure(struct reader_nbd *n)
{
    snprintf(n->failure, sizeof(n->failure), "%s", nbd_sentence());
}

static void nbd_reader_close(struct reader *reader)
{
    struct reader_nbd *n = (struct reader_nbd *)reader;

    nbd_close(n->nbd);
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
        if (nbd_block_status(n->nbd, w.end - w.next, w.next, callback, 0) < 0)
            return error_set(err, nbd_errno(EIO), "cannot read %s at offset %" PRIu64 ": %s",
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

    if (nbd_aio_pread(n->nbd, data, length, offset, callback, 0) < 0) {
        remember_failure(n);
        return -nbd_errno(EIO);
    }
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
    if (nbd_aio_block_status(n->nbd, length, offset, extents, done, 0) < 0) {
        remember_failure(n);
        return -nbd_errno(EIO);
    }
    return 0;
}

static int nbd_reader_poll_fd(struct reader *reader, short *ret_events)
{
    struct reader_nbd *n = (struct reader_nbd *)reader;
    unsigned direction = nbd_aio_get_direction(n->nbd);

    *ret_events = (short)((direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
                          (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0));
    return nbd_aio_get_fd(n->nbd);
}

/* One notification for what poll reported.  1: something was done. */
static int notify(struct reader_nbd *n, short revents, unsigned direction)
{
    if ((revents & (POLLIN | POLLHUP)) && (direction & LIBNBD_AIO_DIRECTION_READ))
        return nbd_aio_notify_read(n->nbd) < 0 ? -1 : 1;
    if ((revents & POLLOUT) && (direction & LIBNBD_AIO_DIRECTION_WRITE))
        return nbd_aio_notify_write(n->nbd) < 0 ? -1 : 1;
    return revents & (POLLERR | POLLNVAL | POLLHUP) ? -1 : 0;
}

static int nbd_reader_pump(struct reader *reader)
{
    struct reader_nbd *n = (struct reader_nbd *)reader;
    int moved = 0;

    for (int turn = 0; turn < 64; turn++) {
        unsigned direction = nbd_aio_get_direction(n->nbd);
        struct pollfd p = {.events = 0};
        int r;

        p.fd = nbd_reader_poll_fd(reader, &p.events);
        if (poll(&p, 1, 0) <= 0)
            return moved;
        r = notify(n, p.revents, direction);
        if (r < 0 || nbd_aio_is_dead(n->nbd) || nbd_aio_is_closed(n->nbd)) {
            remember_failure(n);
            return -ECONNRESET;
        }
        if (r == 0)
            return moved;
        moved |= (p.revents & POLLIN) != 0;
    }
    return moved;
}

static const char *nbd_reader_failure(struct reader *reader)
{
    return ((struct reader_nbd *)reader)->failure;
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

/* Drives the handshake: a server that serves another client first may leave us waiting. */
static int handshake(struct nbd_handle *nbd, const char *uri, uint64_t timeout_ns,
                     bool (*cancelled)(void *), void *context, struct error **err)
{
    uint64_t start = clock_now_ns();

    if (nbd_aio_connect_uri(nbd, uri) < 0)
        return connect_failure(uri, err);
    while (nbd_aio_is_connecting(nbd)) {
        if (cancelled && cancelled(context))
            return error_set(err, ECANCELED, "connecting to %s was cancelled", uri);
        if (clock_now_ns() - start > timeout_ns)
            return error_set(err, ETIMEDOUT,
                             "%s does not answer; is the NBD server running, and does it accept "
                             "one more client?", uri);
        if (nbd_poll(nbd, 100) < 0)
            return connect_failure(uri, err);
    }
    if (!nbd_aio_is_ready(nbd))
        return connect_failure(uri, err);
    return 0;
}

static int learn(struct reader_nbd *n, const char *uri, const char *bitmap, struct error **err)
{
    int64_t size = nbd_get_size(n->nbd);

    if (size < 0)
        return error_set(err, EPROTO, "%s does not tell its size: %s", uri, nbd_get_error());
    n->size = (uint64_t)size;
    n->allocation = nbd_can_meta_context(n->nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) > 0;
    if (!bitmap)
        return 0;
    if (nbd_can_meta_context(n->nbd, bitmap) <= 0)
        return error_set(err, ENODATA,
                         "%s does not offer the bitmap '%s'; see the names it has with "
                         "'nbdinfo --list', or sync without --bitmap for a full compare", uri,
                         bitmap);
    n->bitmap = strdup(bitmap);
    return n->bitmap ? 0 : error_set_errno(err, ENOMEM, "cannot read %s", uri);
}

static int nbd_reader_open(const char *uri, const char *bitmap, uint64_t timeout_ns,
                           bool (*cancelled)(void *), void *context, struct reader **ret_reader,
                           struct error **err)
{
    struct reader_nbd *n = calloc(1, sizeof(*n));
    int r;

    if (!n)
        return error_set_errno(err, ENOMEM, "cannot read %s", uri);
    n->reader.ops = &nbd_ops;
    n->nbd = nbd_create();
    r = n->nbd ? 0 : error_set(err, ENOMEM, "cannot read %s: %s", uri, nbd_get_error());
    /* libnbd clears each buffer before a read unless told not to: a quarter of the loop's CPU time.
     * A failed read's buffer is never looked at here. */
    if (r == 0 && nbd_set_pread_initialize(n->nbd, false) < 0)
        r = error_set(err, EINVAL, "cannot read %s: %s", uri, nbd_get_error());
    if (r == 0 && (nbd_add_meta_context(n->nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0 ||
                   (bitmap && nbd_add_meta_context(n->nbd, bitmap) < 0) ||
                   nbd_set_uri_allow_local_file(n->nbd, true) < 0))
        r = error_set(err, EINVAL, "cannot read %s: %s", uri, nbd_get_error());
    if (r == 0)
        r = handshake(n->nbd, uri, timeout_ns, cancelled, context, err);
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

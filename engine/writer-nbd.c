/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/writer.h"

#include <libnbd.h>
#include <stdlib.h>

#include "base/align.h"
#include "engine/nbdlink.h"

#define REQUEST_MAX (UINT32_C(32) << 20) /* what servers take that do not tell */

struct writer_nbd {
    struct writer writer;
    struct nbd_link link;
    uint64_t size;
    uint32_t max_request;
    bool zero;
};

static struct writer_nbd *of(struct writer *writer)
{
    return (struct writer_nbd *)writer;
}

static void nbd_writer_close(struct writer *writer)
{
    nbd_link_done(&of(writer)->link);
    free(writer);
}

static uint64_t nbd_writer_size(struct writer *writer)
{
    return of(writer)->size;
}

static uint32_t nbd_writer_max_request(struct writer *writer)
{
    return of(writer)->max_request;
}

static int op_done(void *opaque, int *error)
{
    struct writer_op *op = opaque;

    op->done(op, *error);
    return 1; /* retire the command */
}

static nbd_completion_callback callback(struct writer_op *op)
{
    return (nbd_completion_callback){.callback = op_done, .user_data = op};
}

static int started(struct writer_nbd *n, int64_t cookie)
{
    return cookie < 0 ? nbd_link_failed(&n->link) : 0;
}

static int nbd_writer_write(struct writer *writer, const void *data, uint32_t length,
                            uint64_t offset, struct writer_op *op)
{
    struct writer_nbd *n = of(writer);

    return started(n, nbd_aio_pwrite(n->link.nbd, data, length, offset, callback(op), 0));
}

static int nbd_writer_zero(struct writer *writer, uint32_t length, uint64_t offset,
                           struct writer_op *op)
{
    struct writer_nbd *n = of(writer);

    if (!n->zero)
        return -EOPNOTSUPP;
    return started(n, nbd_aio_zero(n->link.nbd, length, offset, callback(op), 0));
}

static int nbd_writer_read(struct writer *writer, void *data, uint32_t length, uint64_t offset,
                           struct writer_op *op)
{
    struct writer_nbd *n = of(writer);

    return started(n, nbd_aio_pread(n->link.nbd, data, length, offset, callback(op), 0));
}

static int nbd_writer_flush(struct writer *writer, struct writer_op *op)
{
    struct writer_nbd *n = of(writer);

    return started(n, nbd_aio_flush(n->link.nbd, callback(op), 0));
}

static int nbd_writer_pump(struct writer *writer)
{
    return nbd_link_pump(&of(writer)->link);
}

static int nbd_writer_poll_fd(struct writer *writer, short *ret_events)
{
    return nbd_link_poll_fd(&of(writer)->link, ret_events);
}

static const char *nbd_writer_failure(struct writer *writer)
{
    return of(writer)->link.failure;
}

static const struct writer_ops nbd_ops = {
    .close = nbd_writer_close,
    .size = nbd_writer_size,
    .max_request = nbd_writer_max_request,
    .write = nbd_writer_write,
    .zero = nbd_writer_zero,
    .read = nbd_writer_read,
    .flush = nbd_writer_flush,
    .pump = nbd_writer_pump,
    .poll_fd = nbd_writer_poll_fd,
    .failure = nbd_writer_failure,
};

static int learn(struct writer_nbd *n, const char *uri, struct error **err)
{
    int64_t size = nbd_get_size(n->link.nbd);
    int64_t most = nbd_get_block_size(n->link.nbd, LIBNBD_SIZE_MAXIMUM);

    if (size < 0)
        return error_set(err, EPROTO, "%s does not tell its size: %s", uri, nbd_link_sentence());
    if (nbd_is_read_only(n->link.nbd) != 0)
        return error_set(err, EROFS, "%s is read-only; serve the destination read-write", uri);
    /* What is not flushed may be lost on the other side after it counts as sent here. */
    if (nbd_can_flush(n->link.nbd) <= 0)
        return error_set(err, EOPNOTSUPP, "%s cannot flush, so nothing that is sent there would be "
                                          "safe; use a server that can, as qemu-nbd or nbdkit's "
                                          "file", uri);
    n->size = (uint64_t)size;
    n->zero = nbd_can_zero(n->link.nbd) > 0;
    n->max_request = most > 0 ? (uint32_t)MIN(most, (int64_t)REQUEST_MAX) : REQUEST_MAX;
    return 0;
}

static int nbd_writer_open(const char *uri, uint64_t timeout_ns, bool (*cancelled)(void *),
                           void *context, struct writer **ret_writer, struct error **err)
{
    struct writer_nbd *n = calloc(1, sizeof(*n));
    int r;

    if (!n)
        return error_set_errno(err, ENOMEM, "cannot write to %s", uri);
    n->writer.ops = &nbd_ops;
    r = nbd_link_open(&n->link, uri, NULL, timeout_ns, cancelled, context, err);
    if (r == 0)
        r = learn(n, uri, err);
    if (r < 0) {
        nbd_writer_close(&n->writer);
        return r;
    }
    *ret_writer = &n->writer;
    return 0;
}

const struct writer_factory writer_nbd = {.open = nbd_writer_open};

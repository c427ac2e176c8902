/* SPDX-License-Identifier: Apache-2.0 */
/* A pass of failback, by the engine's own machine, to a destination in memory that loses nothing;
 * between its operations others have their turns. */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "engine/failback-pass.h"
#include "tests/weave/baton.h"
#include "tests/weave/weave.h"

struct weave_op {
    struct weave_op *next;
    struct writer_op *op;
};

struct weave_writer {
    struct writer writer;
    struct world *world;
    struct weave_disk *disk;
    struct weave_op *ops; /* carried out, and not told yet */
};

static struct weave_writer *of(struct writer *writer)
{
    return (struct weave_writer *)writer;
}

static int begin(struct writer *writer, struct writer_op *op)
{
    struct weave_writer *w = of(writer);
    struct weave_op *o = mem_new(1, sizeof(*o));

    *o = (struct weave_op){w->ops, op};
    w->ops = o;
    baton_yield();
    return 0;
}

static uint64_t weave_size(struct writer *writer)
{
    return of(writer)->disk->owner->disk->size;
}

static uint32_t weave_max_request(struct writer *writer)
{
    return 1 << 20;
}

/* A dead process sends nothing. */
static int weave_write(struct writer *writer, const void *data, uint32_t length, uint64_t offset,
                       struct writer_op *op)
{
    if (of(writer)->world->dead)
        return -EIO;
    memcpy(of(writer)->disk->destination + offset, data, length);
    return begin(writer, op);
}

static int weave_zero(struct writer *writer, uint32_t length, uint64_t offset,
                      struct writer_op *op)
{
    if (of(writer)->world->dead)
        return -EIO;
    memset(of(writer)->disk->destination + offset, 0, length);
    return begin(writer, op);
}

static int weave_read(struct writer *writer, void *data, uint32_t length, uint64_t offset,
                      struct writer_op *op)
{
    memcpy(data, of(writer)->disk->destination + offset, length);
    return begin(writer, op);
}

static int weave_flush(struct writer *writer, struct writer_op *op)
{
    return begin(writer, op);
}

static int weave_pump(struct writer *writer)
{
    struct weave_writer *w = of(writer);

    while (w->ops) {
        struct weave_op *o = w->ops;

        w->ops = o->next;
        o->op->done(o->op, w->world->dead ? EIO : 0);
        free(o);
    }
    return 1;
}

static int weave_poll_fd(struct writer *writer, short *ret_events)
{
    return -1;
}

static const char *weave_failure(struct writer *writer)
{
    return "the process is dead";
}

static const struct writer_ops ops = {
    .size = weave_size,
    .max_request = weave_max_request,
    .write = weave_write,
    .zero = weave_zero,
    .read = weave_read,
    .flush = weave_flush,
    .pump = weave_pump,
    .poll_fd = weave_poll_fd,
    .failure = weave_failure,
};

int weave_pass(struct world *w, struct weave_disk *d, uint32_t window_blocks)
{
    struct weave_writer writer = {.writer.ops = &ops, .world = w, .disk = d};
    struct pass_options options = {d->owner, &writer.writer, window_blocks};
    struct failback_pass *pass;
    int r = failback_pass_new(&options, &pass);

    if (r < 0)
        return r;
    do {
        baton_yield();
        r = w->dead ? -EIO : failback_pass_step(pass, NULL);
    } while (r > PASS_DONE);
    while (writer.ops) {
        struct weave_op *next = writer.ops->next;

        free(writer.ops);
        writer.ops = next;
    }
    failback_pass_free(pass);
    return r;
}

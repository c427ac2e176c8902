/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pullspeed full|read|write STORE URI: the initial sync of a store made by slipway-store, by the
 * engine's own loop, in this process; for ./run bench engine.
 *
 *   full    from the source into the target
 *   read    what the source alone allows: everything is done but the writes and flushes of the target
 *   write   what the target alone allows: the source answers at once, with whatever is in memory
 *
 * Prints {"seconds", "cpu_seconds"} of the copy with its final flush and commit.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/str.h"
#include "engine/format.h"
#include "engine/ring.h"
#include "engine/sync.h"

/* ---- a target that forgets ---- */

static struct io_ops forgetful_ops;
static struct io forgetful = {.ops = &forgetful_ops};
static int target_fds[4];
static unsigned target_count;

static bool is_target(int fd)
{
    for (unsigned i = 0; i < target_count; i++)
        if (target_fds[i] == fd)
            return true;
    return false;
}

static int forgetful_open(struct io *io, const char *path, int flags)
{
    size_t length = strlen(path);
    int fd = io_posix()->ops->open(io_posix(), path, flags);

    if (fd >= 0 && length > 4 && strcmp(path + length - 4, ".raw") == 0 && target_count < 4)
        target_fds[target_count++] = fd;
    return fd;
}

static ssize_t forgetful_pwrite(struct io *io, int fd, const void *data, size_t length,
                                uint64_t offset, bool dsync)
{
    return is_target(fd) ? (ssize_t)length
                         : io_posix()->ops->pwrite(io_posix(), fd, data, length, offset, dsync);
}

static int forgetful_ring(struct io *io, struct ring **ret_ring)
{
    return ring_new_sync(io, ret_ring);
}

static struct io *forgetful_new(void)
{
    forgetful_ops = *io_posix()->ops;
    forgetful_ops.open = forgetful_open;
    forgetful_ops.pwrite = forgetful_pwrite;
    forgetful_ops.ring = forgetful_ring;
    return &forgetful;
}

/* ---- a source that needs no time ---- */

struct instant_reader {
    struct reader reader;
    struct reader_op *ready[256];
    unsigned count;
};

static uint64_t instant_size;

static void instant_close(struct reader *reader)
{
    free(reader);
}

static uint64_t instant_get_size(struct reader *reader)
{
    return instant_size;
}

static int instant_extents(struct reader *reader, unsigned what, extent_fn *fn, void *context,
                           struct error **err)
{
    return fn(0, instant_size, 0, context);
}

static bool instant_has_allocation(struct reader *reader)
{
    return true;
}

static int instant_read(struct reader *reader, void *data, uint32_t length, uint64_t offset,
                        struct reader_op *op)
{
    struct instant_reader *r = (struct instant_reader *)reader;

    /* Not zero, or it would not be written. */
    for (uint32_t at = 0; at < length; at += BLOCK_SIZE)
        memcpy((char *)data + at, &(uint64_t){offset + at + 1}, sizeof(uint64_t));
    if (r->count == sizeof(r->ready) / sizeof(r->ready[0]))
        return -ENOBUFS;
    r->ready[r->count++] = op;
    return 0;
}

static int instant_pump(struct reader *reader)
{
    struct instant_reader *r = (struct instant_reader *)reader;
    struct reader_op *ready[256];
    unsigned count = r->count;

    memcpy(ready, r->ready, count * sizeof(ready[0]));
    r->count = 0;
    for (unsigned i = 0; i < count; i++)
        ready[i]->done(ready[i], 0);
    return 0;
}

static int instant_poll_fd(struct reader *reader, short *ret_events)
{
    return -1;
}

static const char *instant_failure(struct reader *reader)
{
    return "";
}

static const struct reader_ops instant_ops = {
    .close = instant_close, .size = instant_get_size, .extents = instant_extents,
    .has_allocation = instant_has_allocation, .read = instant_read, .pump = instant_pump,
    .poll_fd = instant_poll_fd, .failure = instant_failure};

static int instant_open(const char *uri, const char *bitmap, bool allocation, uint64_t timeout_ns,
                        bool (*cancelled)(void *), void *context, struct reader **ret_reader,
                        struct error **err)
{
    struct instant_reader *r = mem_new(1, sizeof(*r));

    r->reader.ops = &instant_ops;
    *ret_reader = &r->reader;
    return 0;
}

static const struct reader_factory instant_readers = {.open = instant_open};

/* ---- the measurement ---- */

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int copy(struct engine *engine, const char *uri, struct error **err)
{
    struct sync_source source = {.name = engine->disks[0].name, .uri = uri};
    struct sync_request request = {.sources = &source, .source_count = 1, .snapshot = "bench"};
    struct sync *sync = mem_new(1, sizeof(*sync));
    uint64_t start = clock_now_ns();
    double cpu = cpu_seconds();
    int r;

    instant_size = engine->disks[0].size;
    r = sync_open(sync, engine, &request, err);
    if (r == 0)
        r = sync_run(sync, NULL, NULL, err);
    if (r == 0)
        printf("{\"seconds\": %.6f, \"cpu_seconds\": %.6f}\n",
               (double)(clock_now_ns() - start) / (double)NS_PER_S, cpu_seconds() - cpu);
    sync_close(sync);
    free(sync);
    return r;
}

int main(int argc, char **argv)
{
    struct engine_options options = {0};
    _cleanup_error_ struct error *err = NULL;
    struct engine *engine = NULL;
    int r;

    if (argc != 4) {
        fputs("usage: pullspeed full|read|write STORE URI\n", stderr);
        return EXIT_CODE_USAGE;
    }
    options.store = argv[2];
    r = engine_open_with(&options, strcmp(argv[1], "read") == 0 ? forgetful_new() : io_posix(),
                         strcmp(argv[1], "write") == 0 ? &instant_readers : &reader_nbd, &engine,
                         &err);
    if (r == 0)
        r = copy(engine, argv[3], &err);
    engine_close(engine);
    if (r < 0)
        fprintf(stderr, "pullspeed: %s\n", error_text(err));
    return r < 0 ? error_exit_code(-r) : EXIT_CODE_OK;
}

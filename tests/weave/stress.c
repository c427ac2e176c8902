/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   stress SECONDS [THREADS]
 * A hydrating owner over real files in $TMPDIR, with many threads at once: guests that write, zero,
 * read and flush, housekeeping, and the hydrator with its own threads.  Every sub-block is written by
 * one thread only and holds its number and a sequence, so that any reader can tell what is too old,
 * what was never written, and what is in the wrong place.  Made for the race detector; the engine is
 * ended and started again a few times.
 */
#include <dirent.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/flip.h"
#include "engine/hydrate.h"
#include "engine/keeper.h"
#include "engine/owner.h"
#include "engine/store.h"
#include "engine/vm.h"
#include "tests/model/random.h"

#define DISKS 2
#define SUBS 1537 /* of each disk; the last one is short */
#define DISK_BYTES ((SUBS - 1) * SUB_BLOCK_SIZE + 3 * SECTOR)
#define THREADS_MAX 32u
#define LIVES 3

/* One sub-block.  Its bytes are words of "disk, number, sequence"; sequence 0: the source's. */
struct cell {
    _Atomic uint32_t begun, acked;
    atomic_bool zero; /* what was acked last was zeros */
};

static struct cell cells[DISKS][SUBS];
static struct engine *engine;
static unsigned threads = 16;
static atomic_bool stop;
static _Atomic uint64_t writes, reads, flushes;

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
    _exit(1);
}

static uint64_t word_of(unsigned disk, uint32_t sub, uint32_t sequence)
{
    return UINT64_C(1) << 63 | (uint64_t)disk << 60 | (uint64_t)sub << 32 | sequence;
}

static uint32_t sub_bytes(uint32_t sub)
{
    return sub == SUBS - 1 ? 3 * SECTOR : SUB_BLOCK_SIZE;
}

static void fill(unsigned disk, uint32_t sub, uint32_t sequence, uint8_t *bytes)
{
    uint64_t word = word_of(disk, sub, sequence);

    for (uint32_t i = 0; i < sub_bytes(sub); i += 8)
        memcpy(bytes + i, &word, 8);
}

/* ---- the source: any number of readers ---- */

struct source_read {
    struct source_read *next;
    struct reader_op *op;
};

struct source {
    struct reader reader;
    unsigned disk;
    int ready; /* an eventfd that always is */
    struct source_read *done;
};

static void source_close(struct reader *reader)
{
    struct source *s = (struct source *)reader;

    close(s->ready);
    free(s);
}

static uint64_t source_size(struct reader *reader)
{
    return DISK_BYTES;
}

static int source_extents(struct reader *reader, unsigned what, extent_fn *fn, void *context,
                          struct error **err)
{
    return fn(0, DISK_BYTES, what == EXTENT_DIRTY ? EXTENT_DIRTY : 0, context);
}

static bool source_has_allocation(struct reader *reader)
{
    return false;
}

static int source_read(struct reader *reader, void *data, uint32_t length, uint64_t offset,
                       struct reader_op *op)
{
    struct source *s = (struct source *)reader;
    struct source_read *r = mem_new(1, sizeof(*r));
    uint8_t *to = data;

    for (uint32_t i = 0; i < length; i += SECTOR) {
        uint32_t sub = (uint32_t)((offset + i) / SUB_BLOCK_SIZE);
        uint64_t word = word_of(s->disk, sub, 0);

        for (unsigned k = 0; k < SECTOR; k += 8)
            memcpy(to + i + k, &word, 8);
    }
    *r = (struct source_read){s->done, op};
    s->done = r;
    return 0;
}

static int source_pump(struct reader *reader)
{
    struct source *s = (struct source *)reader;

    while (s->done) {
        struct source_read *r = s->done;

        s->done = r->next;
        clock_sleep_ns(20 * NS_PER_MS); /* so that hydration lasts */
        r->op->done(r->op, 0);
        free(r);
    }
    return 0;
}

static int source_poll_fd(struct reader *reader, short *ret_events)
{
    *ret_events = POLLIN;
    return ((struct source *)reader)->ready;
}

static const char *source_failure(struct reader *reader)
{
    return "it cannot fail";
}

static const struct reader_ops source_ops = {
    .close = source_close,
    .size = source_size,
    .extents = source_extents,
    .has_allocation = source_has_allocation,
    .read = source_read,
    .pump = source_pump,
    .poll_fd = source_poll_fd,
    .failure = source_failure,
};

static int source_open(const char *uri, const char *bitmap, bool allocation, uint64_t timeout_ns,
                       bool (*cancelled)(void *), void *context, struct reader **ret_reader,
                       struct error **err)
{
    struct source *s = mem_new(1, sizeof(*s));

    s->reader.ops = &source_ops;
    s->disk = (unsigned)atoi(uri);
    s->ready = eventfd(1, EFD_CLOEXEC);
    *ret_reader = &s->reader;
    return 0;
}

static const struct reader_factory sources = {.open = source_open};

/* ---- what the threads do ---- */

/* A sub-block holds what was acknowledged before the read, or something begun before it ended. */
static void check_sub(unsigned disk, uint32_t sub, const uint8_t *bytes, uint32_t acked,
                      uint32_t begun)
{
    for (uint32_t i = 0; i < sub_bytes(sub); i += 8) {
        uint64_t word;
        uint32_t sequence;

        memcpy(&word, bytes + i, 8);
        sequence = (uint32_t)word;
        if (word == 0 && begun > 0)
            continue; /* zeros: which ones cannot be told */
        if (word >> 32 != word_of(disk, sub, 0) >> 32)
            fail("disk %u sub-block %u holds %016" PRIx64, disk, sub, word);
        if (sequence < acked || sequence > begun)
            fail("disk %u sub-block %u holds write %u, %u was acknowledged, %u begun", disk, sub,
                 sequence, acked, begun);
    }
}

static struct owner *owner_of(unsigned disk)
{
    return engine->disks[disk].owner;
}

static void check(int r, const char *what)
{
    if (r < 0)
        fail("%s: %s", what, strerror(-r));
}

static void write_subs(struct random *r, unsigned thread, unsigned disk)
{
    _Alignas(8) uint8_t bytes[SUB_BLOCK_SIZE];
    uint32_t sub = random_below(r, SUBS / threads) * threads + thread;
    struct cell *c = &cells[disk][sub];
    uint32_t sequence = atomic_load(&c->begun) + 1, kind = random_below(r, 16);

    atomic_store(&c->begun, sequence);
    fill(disk, sub, sequence, bytes);
    if (kind < 12) {
        check(owner_pwrite(owner_of(disk), bytes, sub_bytes(sub), sub * SUB_BLOCK_SIZE,
                           kind == 0 ? EXPORT_FUA : 0), "a write");
    } else if (kind < 14) { /* in two halves: the first one needs what is missing of the rest */
        check(owner_pwrite(owner_of(disk), bytes, SECTOR, sub * SUB_BLOCK_SIZE, 0), "a write");
        check(owner_pwrite(owner_of(disk), bytes + SECTOR, sub_bytes(sub) - SECTOR,
                           sub * SUB_BLOCK_SIZE + SECTOR, 0), "a write");
    } else {
        check(owner_zero(owner_of(disk), sub_bytes(sub), sub * SUB_BLOCK_SIZE,
                         kind == 14 ? EXPORT_MAY_TRIM : 0), "a zero");
    }
    atomic_store(&c->zero, kind >= 14);
    atomic_store(&c->acked, sequence);
    atomic_fetch_add(&writes, 1);
}

static void read_subs(struct random *r, unsigned disk)
{
    enum { MOST = 40u };
    _Alignas(8) uint8_t bytes[MOST * SUB_BLOCK_SIZE];
    uint32_t first = random_below(r, SUBS), count = 1 + random_below(r, MOST), acked[MOST];
    uint64_t end;

    count = MIN(count, SUBS - first);
    end = MIN((first + count) * SUB_BLOCK_SIZE, DISK_BYTES);
    for (uint32_t i = 0; i < count; i++)
        acked[i] = atomic_load(&cells[disk][first + i].acked);
    check(owner_pread(owner_of(disk), bytes, (uint32_t)(end - first * SUB_BLOCK_SIZE),
                      first * SUB_BLOCK_SIZE), "a read");
    for (uint32_t i = 0; i < count; i++)
        check_sub(disk, first + i, bytes + i * SUB_BLOCK_SIZE, acked[i],
                  atomic_load(&cells[disk][first + i].begun));
    atomic_fetch_add(&reads, 1);
}

static void *guest(void *context)
{
    unsigned thread = (unsigned)(uintptr_t)context;
    struct random r = {clock_now_ns() + thread};

    while (!atomic_load(&stop)) {
        unsigned disk = random_below(&r, DISKS), kind = random_below(&r, 32);

        if (kind < 20) {
            write_subs(&r, thread, disk);
        } else if (kind < 31) {
            read_subs(&r, disk);
        } else {
            check(owner_flush(owner_of(disk)), "a flush");
            atomic_fetch_add(&flushes, 1);
        }
    }
    return NULL;
}

static void *housekeeper(void *context)
{
    struct random r = {clock_now_ns()};

    while (!atomic_load(&stop)) {
        struct owner *o = owner_of(random_below(&r, DISKS));

        switch (random_below(&r, 4)) {
        case 0:
            check(owner_checkpoint(o), "a checkpoint");
            break;
        case 1:
            check(owner_checkpoint_planes(o), "a checkpoint of the planes");
            break;
        case 2:
            check(owner_prune(o), "a prune");
            break;
        default:
            keeper_round(engine, true);
            break;
        }
        clock_sleep_ns(NS_PER_MS);
    }
    return NULL;
}

/* ---- lives ---- */

static void open_engine(const char *folder)
{
    _cleanup_free_ char *store = str_format("%s/store", folder);
    _cleanup_free_ char *live = str_format("%s/live", folder);
    struct engine_options options = {.store = store, .live_folder = live};
    struct error *err = NULL;

    if (engine_open_with(&options, io_posix(), &sources, &engine, &err) < 0 ||
        engine_start(engine, &err) < 0)
        fail("the engine does not start: %s", error_text(err));
}

static void create(const char *folder)
{
    _cleanup_free_ char *store = str_format("%s/store", folder);
    struct store_vm vm = {.name = str_dup("vm"), .disk_count = DISKS};
    struct error *err = NULL;

    for (unsigned d = 0; d < DISKS; d++) {
        snprintf(vm.disks[d].name, sizeof(vm.disks[d].name), "sd%c", 'a' + (int)d);
        vm.disks[d].target = str_format("%s/%u.raw", folder, d);
        vm.disks[d].size = DISK_BYTES;
    }
    if (store_create(io_posix(), store, &vm, &err) < 0)
        fail("no store: %s", error_text(err));
    store_vm_done(&vm);
}

static void flip(void)
{
    struct sync_source disks[DISKS] = {{"sda", "0", NULL}, {"sdb", "1", NULL}};
    struct flip_request q = {
        .instant = true, .sources = disks, .source_count = DISKS, .snapshot = "last"};
    struct error *err = NULL;

    if (engine_flip(engine, &q, NULL, NULL, &err) < 0)
        fail("no flip: %s", error_text(err));
}

static void live(unsigned seconds)
{
    pthread_t ids[THREADS_MAX + 1];

    atomic_store(&stop, false);
    for (unsigned i = 0; i < threads; i++)
        pthread_create(&ids[i], NULL, guest, (void *)(uintptr_t)i);
    pthread_create(&ids[threads], NULL, housekeeper, NULL);
    clock_sleep_ns(seconds * NS_PER_S / LIVES);
    atomic_store(&stop, true);
    for (unsigned i = 0; i <= threads; i++)
        pthread_join(ids[i], NULL);
}

static void check_all(void)
{
    _Alignas(8) uint8_t bytes[SUB_BLOCK_SIZE];

    for (unsigned d = 0; d < DISKS; d++)
        for (uint32_t s = 0; s < SUBS; s++) {
            struct cell *c = &cells[d][s];
            bool zero = atomic_load(&c->zero);
            uint64_t word = zero ? 0 : word_of(d, s, atomic_load(&c->acked)), got;

            check(owner_pread(owner_of(d), bytes, sub_bytes(s), s * SUB_BLOCK_SIZE), "a read");
            for (uint32_t i = 0; i < sub_bytes(s); i += 8) {
                memcpy(&got, bytes + i, 8);
                if (got != word)
                    fail("disk %u sub-block %u holds %016" PRIx64 ", not %016" PRIx64, d, s, got,
                         word);
            }
        }
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 3;
    const char *tmp = getenv("TMPDIR");
    _cleanup_free_ char *folder = str_format("%s/slipway-stress-XXXXXX", tmp ? tmp : "/tmp");

    if (argc > 2)
        threads = MIN((unsigned)atoi(argv[2]), THREADS_MAX);
    log_open("stress", LOG_LEVEL_WARNING);
    if (!mkdtemp(folder))
        fail("no folder %s", folder);
    create(folder);
    open_engine(folder);
    flip();
    for (unsigned n = 0; n < LIVES; n++) {
        live(seconds);
        check_all();
        engine_close(engine);
        open_engine(folder);
        check_all();
    }
    engine_close(engine);
    printf("%u threads, %" PRIu64 " writes, %" PRIu64 " reads, %" PRIu64 " flushes\n", threads,
           atomic_load(&writes), atomic_load(&reads), atomic_load(&flushes));
    return 0;
}

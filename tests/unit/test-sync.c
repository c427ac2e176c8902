/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/iszero.h"
#include "engine/room.h"
#include "tests/model/fixture.h"

static struct fixture *f;
static struct sync sync_state;

static int enter(void **state)
{
    f = fixture_new();
    return 0;
}

static int leave(void **state)
{
    sync_close(&sync_state);
    fixture_free(f);
    return 0;
}

/* A sync to the source's state of now whose first disk is copied. */
static void begin(const char *snapshot)
{
    static const struct sync_source sources[] = {{"sda", "mem:0/0", NULL},
                                                 {"sdb", "mem:0/1", NULL}};
    static const struct sync_source later[] = {{"sda", "mem:1/0", "since:0"},
                                               {"sdb", "mem:1/1", "since:0"}};
    unsigned point = memsource_point(f->source);
    struct sync_request q = {
        .sources = point ? later : sources, .source_count = 2, .snapshot = snapshot};
    struct puller *p = NULL;
    int r;

    memset(&sync_state, 0, sizeof(sync_state));
    assert_int_equal(sync_open(&sync_state, f->engine, &q, NULL), 0);
    assert_int_equal(sync_prepare(&sync_state, NULL), 0);
    assert_int_equal(puller_new(&sync_state.disks[0].pull, sync_state.disks[0].reader, &p), 0);
    while ((r = puller_step(p)) > PULL_DONE)
        if (r == PULL_WAIT)
            puller_wait(p);
    assert_int_equal(r, PULL_DONE);
    puller_free(p);
}

static void assert_checkpoint_fails_for_good(void)
{
    sim_set_fault(f->sim, SIM_EIO, 1); /* the fdatasync of the data */
    assert_int_equal(sync_checkpoint(&sync_state, 0), -EIO);
    sim_set_fault(f->sim, SIM_NO_FAULT, 0);
    assert_int_equal(sync_checkpoint(&sync_state, 0), -EIO);
}

/* After a failed fdatasync the next one succeeds without the data having been written. */
static void a_checkpoint_that_failed_is_not_tried_again(void **state)
{
    begin("a");
    assert_checkpoint_fails_for_good();
    assert_true(f->engine->failed);
}

static void a_layer_whose_checkpoint_failed_is_dropped(void **state)
{
    assert_true(fixture_sync(f, -1, NULL) >= 0);
    for (int i = 0; i < 8; i++)
        memsource_write(f->source, 50 + (uint64_t)i);
    begin("b");
    assert_checkpoint_fails_for_good();
    assert_false(f->engine->failed); /* the generation before is as good as it was */
    sync_close(&sync_state);
    assert_null(f->engine->disks[0].loading);
}

/* What the digests say must be true of the point in time that is copied now: later compares
 * believe them. */
static void digests_of_another_point_do_not_outlive_a_power_loss(void **state)
{
    static const struct sync_source later[] = {{"sda", "mem:1/0", NULL}, {"sdb", "mem:1/1", NULL}};
    struct sync_request q = {.sources = later, .source_count = 2, .snapshot = "b"};
    const uint8_t *digests;
    uint64_t size;

    begin("a");
    assert_int_equal(sync_checkpoint(&sync_state, 0), 0);
    sync_close(&sync_state);
    memsource_point(f->source);
    memset(&sync_state, 0, sizeof(sync_state));
    assert_int_equal(sync_open(&sync_state, f->engine, &q, NULL), 0);
    assert_int_equal(sync_prepare(&sync_state, NULL), 0);
    sync_close(&sync_state);
    sim_die(f->sim);
    engine_close(steal_ptr(f->engine));
    sim_power_loss(f->sim, SIM_LOSE_ALL);
    assert_int_equal(fixture_restart(f, NULL), 0);
    assert_string_equal(superfile_get(&f->engine->super).snapshot, "b");
    digests = sim_file(f->sim, "/store/vm/sda/dig", &size);
    assert_true(is_zero(digests, size));
}

/* Killed at any call of a new beginning: the digest file is never shorter than its disk. */
static void digests_are_all_there_after_a_kill(void **state)
{
    static const struct sync_source later[] = {{"sda", "mem:1/0", NULL},
                                               {"sdb", "mem:1/1", NULL}};
    struct sync_request q = {.sources = later, .source_count = 2, .snapshot = "b"};
    uint64_t size = 0;

    begin("a");
    assert_int_equal(sync_checkpoint(&sync_state, 0), 0);
    sync_close(&sync_state);
    memsource_point(f->source);
    for (unsigned at = 1; at < 40; at++) {
        memset(&sync_state, 0, sizeof(sync_state));
        assert_int_equal(sync_open(&sync_state, f->engine, &q, NULL), 0);
        sim_set_fault(f->sim, SIM_CRASH, at);
        sync_prepare(&sync_state, NULL);
        sync_close(&sync_state);
        assert_int_equal(fixture_restart(f, NULL), 0);
        sim_set_fault(f->sim, SIM_NO_FAULT, 0);
        assert_non_null(sim_file(f->sim, "/store/vm/sda/dig", &size));
        assert_int_equal(size, f->engine->disks[0].blocks * DIGEST_SIZE);
    }
}

static uint64_t compared(const char *snapshot, bool bytes)
{
    static const struct sync_source sources[] = {{"sda", "mem:1/0", NULL},
                                                 {"sdb", "mem:1/1", NULL}};
    struct sync_request q = {.sources = sources, .source_count = 2, .snapshot = snapshot,
                             .compare = true, .compare_bytes = bytes};
    uint64_t same = 0;

    memset(&sync_state, 0, sizeof(sync_state));
    assert_int_equal(sync_open(&sync_state, f->engine, &q, NULL), 0);
    assert_int_equal(sync_prepare(&sync_state, NULL), 0);
    for (unsigned d = 0; d < 2; d++) {
        struct puller *p = NULL;
        int r;

        assert_int_equal(puller_new(&sync_state.disks[d].pull, sync_state.disks[d].reader, &p), 0);
        while ((r = puller_step(p)) > PULL_DONE)
            if (r == PULL_WAIT)
                puller_wait(p);
        assert_int_equal(r, PULL_DONE);
        puller_free(p);
        same += sync_state.disks[d].pull.same_bytes;
    }
    assert_int_equal(sync_commit(&sync_state, NULL), 0);
    sync_close(&sync_state);
    return same;
}

/* A digest decides without the mirror being read; one that nobody kept does not. */
static void a_compare_believes_digests_unless_told_otherwise(void **state)
{
    struct disk *d = &f->engine->disks[0];
    uint8_t block[BLOCK_SIZE] = {1}, none[DIGEST_SIZE] = {0};
    uint64_t same;

    for (int i = 0; i < 40; i++)
        memsource_write(f->source, 70 + (uint64_t)i);
    assert_true(fixture_sync(f, -1, NULL) >= 0);
    memsource_point(f->source);
    same = compared("digest", false);
    assert_true(same >= 4 * BLOCK_SIZE);
    /* A block rots.  Its digest is as it was. */
    assert_int_equal(io_write(d->io, d->target.buffered_fd, block, BLOCK_SIZE, 0, false), 0);
    assert_int_equal(compared("again", false), same);
    assert_int_equal(compared("bytes", true), same - BLOCK_SIZE);
    fixture_fold(f);
    assert_int_equal(compared("healed", true), same);
    assert_int_equal(io_write(d->io, d->target.buffered_fd, block, BLOCK_SIZE, 0, false), 0);
    assert_int_equal(io_write(d->io, d->digest_fd, none, DIGEST_SIZE, 0, false), 0);
    fixture_fold(f);
    assert_int_equal(compared("unknown", false), same - BLOCK_SIZE);
}

/* As if the store had been made with --preseed over targets that hold `old`. */
static void put_old_copies(const uint8_t *const old[MEM_DISKS])
{
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        struct disk *disk = &f->engine->disks[d];

        disk->target_empty = false;
        disk->preseed = true;
        assert_int_equal(io_write(disk->io, disk->target.buffered_fd, old[d], mem_sizes[d], 0,
                                  false), 0);
    }
}

/* Of an old copy only what differs is written; zeros where it had data are really there. */
static void an_old_copy_is_written_over_only_where_it_differs(void **state)
{
    const uint8_t *old[MEM_DISKS];
    uint64_t size;
    int point;

    for (int i = 0; i < 30; i++)
        memsource_write(f->source, 70 + (uint64_t)i);
    point = (int)memsource_point(f->source);
    for (unsigned d = 0; d < MEM_DISKS; d++)
        old[d] = fixture_bytes(f, point, d);
    put_old_copies(old);
    memset(f->source->live[0] + BLOCK_SIZE, 0, BLOCK_SIZE); /* told as a zero extent */
    f->source->live[0][3 * BLOCK_SIZE] ^= 1;
    f->source->live[0][mem_sizes[0] - 1] ^= 1;
    begin("now");
    assert_int_equal(sync_state.disks[0].pull.written_bytes, BLOCK_SIZE + 3 * 512);
    assert_int_equal(sync_state.disks[0].pull.same_bytes, 3 * BLOCK_SIZE);
    assert_memory_equal(sim_file(f->sim, "/target/sda", &size), f->source->live[0], mem_sizes[0]);
}

static void a_disk_that_shrank_is_refused(void **state)
{
    _cleanup_error_ struct error *e = NULL;

    f->source->shrunk = true;
    assert_int_equal(fixture_sync(f, -1, &e), -ENODATA);
    assert_non_null(strstr(error_text(e), "shrank"));
}

static void a_delta_that_does_not_fit_is_refused_before_it_begins(void **state)
{
    _cleanup_error_ struct error *e = NULL;
    int point = fixture_sync(f, -1, NULL);

    memsource_write(f->source, 3);
    sim_set_free_space(f->sim, 1 << 20);
    assert_int_equal(fixture_sync(f, point, &e), -ENOSPC);
    assert_non_null(strstr(error_text(e), "make room"));
    sim_set_free_space(f->sim, UINT64_MAX);
    assert_true(fixture_sync(f, point, NULL) >= 0);
}

static void layers_that_a_reader_keeps_stop_at_a_limit(void **state)
{
    _cleanup_error_ struct error *e = NULL;
    int point = fixture_sync(f, -1, NULL);
    struct view *v = NULL;

    assert_int_equal(room_set(f->engine, &(struct room_policy){.when_full = WHEN_FULL_WAIT}, NULL),
                     0);
    assert_int_equal(view_get(f->engine, 0, &v), 0);
    for (int i = 0; i < LAYERS_MAX; i++)
        assert_true((point = fixture_sync(f, point, NULL)) >= 0);
    fixture_fold(f);
    assert_int_equal(fixture_sync(f, point, &e), -EBUSY);
    assert_non_null(strstr(error_text(e), "reader"));
    view_put(v);
    fixture_fold(f);
    assert_true(fixture_sync(f, point, NULL) >= 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_checkpoint_that_failed_is_not_tried_again),
        TEST(a_layer_whose_checkpoint_failed_is_dropped),
        TEST(digests_of_another_point_do_not_outlive_a_power_loss),
        TEST(digests_are_all_there_after_a_kill),
        TEST(a_compare_believes_digests_unless_told_otherwise),
        TEST(an_old_copy_is_written_over_only_where_it_differs),
        TEST(a_disk_that_shrank_is_refused),
        TEST(a_delta_that_does_not_fit_is_refused_before_it_begins),
        TEST(layers_that_a_reader_keeps_stop_at_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

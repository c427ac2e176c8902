/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/align.h"
#include "base/str.h"
#include "engine/draft.h"
#include "engine/flip.h"
#include "tests/model/fixture.h"

static struct fixture *f;
static struct engine *e;
static int point;
static uint8_t *want[MEM_DISKS]; /* what the draft should read as */

static int enter(void **state)
{
    uint64_t gen;

    f = fixture_new();
    e = f->engine;
    point = fixture_sync(f, -1, NULL);
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        want[d] = mem_new(1, mem_sizes[d]);
        memcpy(want[d], fixture_bytes(f, point, d), mem_sizes[d]);
    }
    return draft_create(e, "trial", NO_GENERATION, &gen, NULL);
}

static int leave(void **state)
{
    fixture_free(f);
    for (unsigned d = 0; d < MEM_DISKS; d++)
        free(want[d]);
    return 0;
}

static void put(unsigned d, const char *fill, uint64_t offset, uint32_t length)
{
    _cleanup_free_ uint8_t *bytes = mem_new(1, length);

    memset(bytes, fill ? *fill : 0, length);
    assert_int_equal(draft_pwrite(e->drafts, &e->disks[d], fill ? bytes : NULL, length, offset), 0);
    memcpy(want[d] + offset, bytes, length);
}

static void assert_draft_reads(void)
{
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        _cleanup_free_ uint8_t *have = mem_new(1, mem_sizes[d]);

        assert_int_equal(draft_pread(e->drafts, &e->disks[d], have, (uint32_t)mem_sizes[d], 0), 0);
        assert_memory_equal(have, want[d], mem_sizes[d]);
    }
}

static void assert_mirror_reads(const uint8_t *const bytes[MEM_DISKS])
{
    struct view *v = NULL;

    assert_int_equal(view_get(e, NO_GENERATION, &v), 0);
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        _cleanup_free_ uint8_t *have = mem_new(1, mem_sizes[d]);

        assert_int_equal(view_pread(v, &e->disks[d], have, (uint32_t)mem_sizes[d], 0), 0);
        assert_memory_equal(have, bytes[d], mem_sizes[d]);
    }
    view_put(v);
}

static void scribble(void)
{
    put(0, "a", 7, 1);                            /* inside a block */
    put(0, "b", BLOCK_SIZE - 3, 6);               /* over an edge */
    put(0, "c", 2 * BLOCK_SIZE, BLOCK_SIZE);      /* a whole block */
    put(0, NULL, 2 * BLOCK_SIZE + 100, 50);       /* zeros in it */
    put(0, NULL, 3 * BLOCK_SIZE, BLOCK_SIZE);     /* a whole block of zeros */
    put(0, "d", 3 * BLOCK_SIZE + 5, 5);           /* data in that */
    put(1, "e", mem_sizes[1] - 1, 1);             /* the last byte of an odd disk */
    put(1, NULL, mem_sizes[1] - 512, 512);
}

static void writes_are_read_back_and_the_mirror_stays(void **state)
{
    const uint8_t *const mirror[] = {fixture_bytes(f, point, 0), fixture_bytes(f, point, 1)};

    scribble();
    assert_draft_reads();
    assert_mirror_reads(mirror);
}

static void a_sealed_draft_is_the_next_generation(void **state)
{
    const uint8_t *const changed[] = {want[0], want[1]};
    uint64_t gen = 0;

    scribble();
    assert_int_equal(draft_seal(e, "trial", NULL, &gen, NULL), 0);
    assert_int_equal(gen, 1);
    assert_mirror_reads(changed);
    assert_int_equal(fixture_restart(f, NULL), 0);
    e = f->engine;
    assert_mirror_reads(changed);
    fixture_fold(f);
    assert_mirror_reads(changed);
}

static void a_store_with_local_changes_no_longer_follows(void **state)
{
    _cleanup_error_ struct error *err = NULL;
    uint64_t gen;

    assert_int_equal(draft_seal(e, "trial", NULL, &gen, NULL), 0);
    assert_int_equal(fixture_sync(f, point, &err), -EPERM);
    assert_non_null(strstr(error_text(err), "draft"));
}

static void a_dropped_draft_leaves_no_file(void **state)
{
    uint64_t size;

    scribble();
    assert_int_equal(draft_drop(e, "trial", NULL), 0);
    assert_null(e->drafts);
    assert_null(sim_file(f->sim, FIXTURE_STORE "/sda/draft-trial.data", &size));
    assert_null(sim_file(f->sim, FIXTURE_STORE "/sda/draft-trial.idx", &size));
}

static void a_draft_does_not_survive_the_engine(void **state)
{
    uint64_t size, gen;

    scribble();
    assert_int_equal(fixture_restart(f, NULL), 0);
    e = f->engine;
    assert_null(e->drafts);
    assert_null(sim_file(f->sim, FIXTURE_STORE "/sda/draft-trial.data", &size));
    assert_int_equal(draft_create(e, "trial", NO_GENERATION, &gen, NULL), 0);
}

static void names_are_taken_once_and_must_exist(void **state)
{
    uint64_t gen;

    assert_int_equal(draft_create(e, "trial", NO_GENERATION, &gen, NULL), -EEXIST);
    assert_int_equal(draft_drop(e, "other", NULL), -ENOENT);
    assert_int_equal(draft_seal(e, "other", NULL, &gen, NULL), -ENOENT);
    assert_int_equal(engine_flip(e, &(struct flip_request){0}, NULL, NULL, NULL), -EBUSY);
    assert_int_equal(draft_create(e, "../x", NO_GENERATION, &gen, NULL), -EINVAL);
    assert_int_equal(draft_create(e, "late", 9, &gen, NULL), -ENOENT);
    assert_int_equal(draft_drop(e, "trial", NULL), 0);
    assert_int_equal(engine_flip(e, &(struct flip_request){0}, NULL, NULL, NULL), 0);
    assert_int_equal(draft_create(e, "trial", 9, &gen, NULL), -ENOENT);
    assert_int_equal(draft_create(e, "trial", NO_GENERATION, &gen, NULL), 0);
    assert_int_equal(draft_create(e, "second", NO_GENERATION, &gen, NULL), -EBUSY);
    assert_int_equal(engine_detach(e, 0, NULL, NULL), -EBUSY);
    assert_int_equal(draft_drop(e, "trial", NULL), 0);
    assert_int_equal(engine_detach(e, 0, NULL, NULL), 0);
    assert_int_equal(draft_create(e, "trial", NO_GENERATION, &gen, NULL), -EPERM);
}

static void only_so_many_at_a_time(void **state)
{
    uint64_t gen;

    for (int i = 1; i < DRAFTS_MAX; i++) {
        char name[8] = {'d', (char)('a' + i)};

        assert_int_equal(draft_create(e, name, NO_GENERATION, &gen, NULL), 0);
    }
    assert_int_equal(draft_create(e, "more", NO_GENERATION, &gen, NULL), -EBUSY);
    assert_int_equal(draft_drop(e, "db", NULL), 0);
    assert_int_equal(draft_create(e, "more", NO_GENERATION, &gen, NULL), 0);
}

static int sync_again(void)
{
    memsource_write(f->source, 300 + (uint64_t)point);
    point = fixture_sync(f, point, NULL);
    return point;
}

static void syncs_and_folds_go_on_under_a_draft(void **state)
{
    int first = point;
    const uint8_t *mirror[MEM_DISKS];
    uint64_t gen;

    scribble();
    for (int i = 0; i < 3; i++)
        assert_true(sync_again() > first);
    fixture_fold(f);
    assert_int_equal(e->disks[0].layer_count, 3); /* the draft is over generation 0 */
    assert_draft_reads();
    for (unsigned d = 0; d < MEM_DISKS; d++)
        mirror[d] = fixture_bytes(f, point, d);
    assert_mirror_reads(mirror);
    assert_int_equal(draft_create(e, "newer", NO_GENERATION, &gen, NULL), 0);
    assert_int_equal(gen, 3);
    assert_int_equal(draft_drop(e, "trial", NULL), 0);
    fixture_fold(f);
    assert_int_equal(e->disks[0].layer_count, 0); /* nothing is newer than the other one's */
    assert_mirror_reads(mirror);
}

static void a_draft_may_be_over_an_older_generation(void **state)
{
    struct draft *old;
    uint64_t gen;

    assert_true(sync_again() > 0);
    assert_int_equal(draft_create(e, "old", 0, &gen, NULL), 0);
    assert_int_equal(gen, 0);
    old = draft_find_locked(e, "old", 3);
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        _cleanup_free_ uint8_t *have = mem_new(1, mem_sizes[d]);

        assert_int_equal(draft_pread(old, &e->disks[d], have, (uint32_t)mem_sizes[d], 0), 0);
        assert_memory_equal(have, want[d], mem_sizes[d]);
    }
}

static void a_draft_over_an_older_generation_stays_but_is_not_sealed(void **state)
{
    _cleanup_error_ struct error *err = NULL;
    uint64_t gen;

    scribble();
    assert_true(sync_again() > 0);
    assert_int_equal(draft_seal(e, "trial", NULL, &gen, &err), -EPERM);
    assert_non_null(strstr(error_text(err), "generation 0"));
    assert_draft_reads();
    assert_int_equal(draft_drop(e, "trial", NULL), 0);
}

static void a_draft_is_not_sealed_while_a_sync_runs(void **state)
{
    uint64_t gen;

    scribble();
    assert_int_equal(engine_operation_begin(e, "sync", 1u << MODE_MIRROR, NULL), 0);
    assert_int_equal(draft_seal(e, "trial", NULL, &gen, NULL), -EBUSY);
    engine_operation_end(e);
    assert_draft_reads();
    assert_int_equal(draft_seal(e, "trial", NULL, &gen, NULL), 0);
}

static void a_seal_without_space_can_be_done_again(void **state)
{
    const uint8_t *const changed[] = {want[0], want[1]};
    uint64_t gen = 0;
    int r = -ENOSPC;

    scribble();
    for (unsigned at = 1; r == -ENOSPC; at++) {
        sim_set_fault(f->sim, SIM_ENOSPC, at);
        r = draft_seal(e, "trial", NULL, &gen, NULL);
        if (r < 0 && sim_fault_hit(f->sim))
            assert_draft_reads();
        assert_true(at < 100);
        if (r == 0 && sim_fault_hit(f->sim))
            break;
    }
    sim_set_fault(f->sim, SIM_NO_FAULT, 0);
    assert_int_equal(r, 0);
    assert_mirror_reads(changed);
    sim_die(f->sim);
    engine_close(f->engine);
    sim_power_loss(f->sim, SIM_LOSE_ALL);
    f->engine = NULL;
    assert_int_equal(fixture_restart(f, NULL), 0);
    e = f->engine;
    assert_mirror_reads(changed);
}

static void no_space_fails_the_write_and_nothing_else(void **state)
{
    const uint8_t *const mirror[] = {fixture_bytes(f, point, 0), fixture_bytes(f, point, 1)};
    char byte = 'x';

    scribble();
    sim_set_fault(f->sim, SIM_ENOSPC, 1);
    assert_int_equal(draft_pwrite(e->drafts, &e->disks[0], &byte, 1, 4 * BLOCK_SIZE), -ENOSPC);
    sim_set_fault(f->sim, SIM_NO_FAULT, 0);
    assert_draft_reads();
    assert_mirror_reads(mirror);
    assert_false(e->failed);
    put(0, "y", 4 * BLOCK_SIZE, 1);
    assert_draft_reads();
}

struct covered {
    const uint8_t *bytes;
    uint64_t next, zero;
};

static int check_extent(uint64_t offset, uint64_t length, unsigned flags, void *context)
{
    struct covered *c = context;

    assert_int_equal(offset, c->next);
    for (uint64_t i = 0; flags & EXTENT_ZERO && i < length; i++)
        assert_int_equal(c->bytes[offset + i], 0);
    c->zero += flags & EXTENT_ZERO ? length : 0;
    c->next += length;
    return 0;
}

static void extents_tell_holes(void **state)
{
    struct covered c = {.bytes = want[0]};
    uint64_t before;

    assert_int_equal(draft_extents(e->drafts, &e->disks[0], mem_sizes[0], 0, check_extent, &c), 0);
    assert_int_equal(c.next, mem_sizes[0]);
    before = c.zero;
    put(0, "a", 0, BLOCK_SIZE);
    put(0, NULL, 0, 2 * BLOCK_SIZE);
    put(0, "b", 2 * BLOCK_SIZE, 1);
    c.next = c.zero = 0;
    assert_int_equal(draft_extents(e->drafts, &e->disks[0], mem_sizes[0], 0, check_extent, &c), 0);
    assert_int_equal(c.next, mem_sizes[0]);
    assert_true(c.zero >= 2 * BLOCK_SIZE);
    assert_true(c.zero >= before - BLOCK_SIZE);
}

static void exports_have_exactly_these_names(void **state)
{
    static const char *const bad[] = {"trial",      "trial/",    "/sda",       "trial/sda/x",
                                      "trial/sdc",  "tria/sda",  "trial@0/sda", "trial/sda@0",
                                      "//",         "trial//sda"};
    struct export *x = NULL;
    uint64_t gen;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(engine_export_open(e, bad[i], &x, NULL), -ENOENT);
    assert_int_equal(engine_export_open(e, "trial/sda", &x, NULL), 0);
    assert_true(export_writable(x));
    assert_int_equal(e->drafts->users, 1);
    assert_int_equal(draft_create(e, "other", NO_GENERATION, &gen, NULL), 0);
    assert_int_equal(draft_drop(e, "other", NULL), 0);
    assert_int_equal(export_pwrite(x, "z", 1, 3, 0), 0);
    assert_int_equal(atomic_load(&e->drafts->written_bytes[0]), 1);
    export_close(x);
}

/* Opened before its draft, it becomes the draft's when that is there, and counts as its user. */
static void an_early_export_becomes_the_drafts(void **state)
{
    static const char *const bad[] = {"later+early", "later/+early", "/sda+early", "later/x+early",
                                      "a/b/sda+early", "+early"};
    uint8_t have[BLOCK_SIZE], zeros[BLOCK_SIZE] = {0};
    _cleanup_free_ uint8_t *nothing = mem_new(1, mem_sizes[0]);
    struct covered c = {.bytes = nothing};
    struct export *x = NULL;
    uint64_t gen;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(engine_export_open(e, bad[i], &x, NULL), -ENOENT);
    assert_int_equal(engine_export_open(e, "later/sda+early", &x, NULL), 0);
    assert_true(export_writable(x));
    assert_int_equal(export_pread(x, have, sizeof(have), 0), 0);
    assert_memory_equal(have, zeros, sizeof(have));
    assert_int_equal(export_pwrite(x, "z", 1, 3, 0), -EPERM);
    assert_int_equal(export_zero(x, 512, 0, 0), -EPERM);
    assert_int_equal(export_extents(x, mem_sizes[0], 0, check_extent, &c), 0);
    assert_int_equal(c.zero, mem_sizes[0]);

    assert_int_equal(draft_create(e, "later", NO_GENERATION, &gen, NULL), 0);
    assert_int_equal(export_pread(x, have, sizeof(have), 0), 0);
    assert_memory_equal(have, fixture_bytes(f, point, 0), sizeof(have));
    assert_int_equal(export_pwrite(x, "z", 1, 3, 0), 0);
    assert_int_equal(export_pread(x, have, 1, 3), 0);
    assert_int_equal(have[0], 'z');
    assert_int_equal(draft_find_locked(e, "later", 5)->users, 1);
    export_close(x);
    assert_int_equal(draft_find_locked(e, "later", 5)->users, 0);
    assert_int_equal(draft_drop(e, "later", NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(writes_are_read_back_and_the_mirror_stays),
        TEST(a_sealed_draft_is_the_next_generation),
        TEST(a_store_with_local_changes_no_longer_follows),
        TEST(a_dropped_draft_leaves_no_file),
        TEST(a_draft_does_not_survive_the_engine),
        TEST(names_are_taken_once_and_must_exist),
        TEST(only_so_many_at_a_time),
        TEST(syncs_and_folds_go_on_under_a_draft),
        TEST(a_draft_may_be_over_an_older_generation),
        TEST(a_draft_over_an_older_generation_stays_but_is_not_sealed),
        TEST(a_draft_is_not_sealed_while_a_sync_runs),
        TEST(a_seal_without_space_can_be_done_again),
        TEST(no_space_fails_the_write_and_nothing_else),
        TEST(extents_tell_holes),
        TEST(exports_have_exactly_these_names),
        TEST(an_early_export_becomes_the_drafts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

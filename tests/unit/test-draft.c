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
    return draft_create(e, "trial", &gen, NULL);
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
    assert_int_equal(draft_pwrite(e->draft, &e->disks[d], fill ? bytes : NULL, length, offset), 0);
    memcpy(want[d] + offset, bytes, length);
}

static void assert_draft_reads(void)
{
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        _cleanup_free_ uint8_t *have = mem_new(1, mem_sizes[d]);

        assert_int_equal(draft_pread(e->draft, &e->disks[d], have, (uint32_t)mem_sizes[d], 0), 0);
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
    assert_int_equal(draft_seal(e, "trial", &gen, NULL), 0);
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

    assert_int_equal(draft_seal(e, "trial", &gen, NULL), 0);
    assert_int_equal(fixture_sync(f, point, &err), -EPERM);
    assert_non_null(strstr(error_text(err), "draft"));
}

static void a_dropped_draft_leaves_no_file(void **state)
{
    uint64_t size;

    scribble();
    assert_int_equal(draft_drop(e, "trial", NULL), 0);
    assert_null(e->draft);
    assert_null(sim_file(f->sim, FIXTURE_STORE "/sda/draft-trial.data", &size));
    assert_null(sim_file(f->sim, FIXTURE_STORE "/sda/draft-trial.idx", &size));
}

static void a_draft_does_not_survive_the_engine(void **state)
{
    uint64_t size, gen;

    scribble();
    assert_int_equal(fixture_restart(f, NULL), 0);
    e = f->engine;
    assert_null(e->draft);
    assert_null(sim_file(f->sim, FIXTURE_STORE "/sda/draft-trial.data", &size));
    assert_int_equal(draft_create(e, "trial", &gen, NULL), 0);
}

static void one_draft_at_a_time(void **state)
{
    uint64_t gen;

    assert_int_equal(draft_create(e, "other", &gen, NULL), -EEXIST);
    assert_int_equal(draft_drop(e, "other", NULL), -ENOENT);
    assert_int_equal(draft_seal(e, "other", &gen, NULL), -ENOENT);
    assert_int_equal(engine_flip(e, &(struct flip_request){0}, NULL, NULL, NULL), -EBUSY);
    assert_int_equal(draft_drop(e, "trial", NULL), 0);
    assert_int_equal(draft_create(e, "../x", &gen, NULL), -EINVAL);
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
        TEST(one_draft_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/align.h"
#include "base/str.h"
#include "engine/diff.h"
#include "engine/flip.h"
#include "tests/model/fixture.h"

#define BLOCKS_MAX 8 /* of a disk of the simulation, and then some */

static struct fixture *f;
static struct engine *e;
static struct error *err;
static struct diff diff;

static int enter(void **state)
{
    f = fixture_new();
    e = f->engine;
    diff = (struct diff){0};
    return 0;
}

static int leave(void **state)
{
    err = error_free(err);
    fixture_free(f);
    return 0;
}

static void touch(unsigned disk, uint64_t offset)
{
    f->source->live[disk][offset] ^= 0x55;
}

/* ---- what a diff tells, and what it should ---- */

struct told {
    bool blocks[MEM_DISKS][BLOCKS_MAX];
    uint64_t end[MEM_DISKS]; /* of the last extent */
    struct diff_disk disks[MEM_DISKS];
};

static void take(const struct disk *d, const struct diff_extent *extents, unsigned count,
                 void *context)
{
    struct told *t = context;

    assert_in_range(count, 1, DIFF_EXTENTS_MAX);
    for (unsigned i = 0; i < count; i++) {
        const struct diff_extent *x = &extents[i];

        assert_true(x->length > 0 && x->offset % BLOCK_SIZE == 0);
        assert_true(x->offset + x->length <= d->size);
        assert_true(t->end[d->index] == 0 || x->offset > t->end[d->index]); /* merged, ascending */
        t->end[d->index] = x->offset + x->length;
        assert_true(t->end[d->index] % BLOCK_SIZE == 0 || t->end[d->index] == d->size);
        for (uint64_t b = x->offset / BLOCK_SIZE; b * BLOCK_SIZE < t->end[d->index]; b++)
            t->blocks[d->index][b] = true;
        t->disks[d->index].changed_bytes += x->length;
        t->disks[d->index].extent_count++;
    }
}

static struct told tell(uint64_t from, uint64_t to, bool fast)
{
    struct told t = {0};
    struct diff_request q = {.from = from, .to = to, .fast = fast, .extents = take,
                             .context = &t};

    diff = (struct diff){0};
    assert_int_equal(diff_run(&diff, e, &q, NULL), 0);
    assert_null(e->diffs);
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        assert_int_equal(t.disks[d].changed_bytes, diff.disks[d].changed_bytes);
        assert_int_equal(t.disks[d].extent_count, diff.disks[d].extent_count);
    }
    return t;
}

static void assert_differs(const struct told *t, int from_point, int to_point)
{
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        const uint8_t *old = fixture_bytes(f, from_point, d);
        const uint8_t *fresh = fixture_bytes(f, to_point, d);
        uint64_t bytes = 0;

        for (uint64_t b = 0; b < e->disks[d].blocks; b++) {
            uint64_t at = b * BLOCK_SIZE, length = MIN(BLOCK_SIZE, mem_sizes[d] - at);
            bool differs = memcmp(old + at, fresh + at, length) != 0;

            assert_int_equal(t->blocks[d][b], differs);
            bytes += differs ? length : 0;
        }
        assert_int_equal(t->disks[d].changed_bytes, bytes);
    }
}

/* What was written holds what differs. */
static void assert_covers(const struct told *written, const struct told *differs)
{
    for (unsigned d = 0; d < MEM_DISKS; d++)
        for (unsigned b = 0; b < BLOCKS_MAX; b++)
            assert_true(written->blocks[d][b] || !differs->blocks[d][b]);
}

static void all_pairs(const int *points, uint64_t first, uint64_t last)
{
    for (uint64_t from = first; from <= last; from++)
        for (uint64_t to = from; to <= last; to++) {
            struct told exact = tell(from, to, false), fast;
            struct diff was = diff;

            assert_differs(&exact, points[from], points[to]);
            fast = tell(from, to, true);
            assert_covers(&fast, &exact);
            for (unsigned d = 0; d < MEM_DISKS; d++) {
                assert_true(from < to || was.disks[d].written_bytes == 0);
                assert_int_equal(was.disks[d].written_bytes, fast.disks[d].changed_bytes);
            }
        }
}

/* ---- tests ---- */

/* Writes, zeros over data, and grains that a bitmap names although nothing changed there. */
static void random_deltas_are_told_exactly(void **state)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct random r = {seed};
        int points[6];
        uint64_t last = 1 + random_below(&r, 5);

        leave(NULL);
        enter(NULL);
        for (uint64_t g = 0; g <= last; g++) {
            for (unsigned n = random_below(&r, 3); n > 0; n--)
                memsource_write(f->source, random_next(&r));
            points[g] = fixture_sync(f, g == 0 || random_once_in(&r, 3) ? -1 : points[g - 1], NULL);
            assert_true(points[g] >= 0);
        }
        all_pairs(points, 0, last);
    }
}

static void the_last_block_ends_with_the_disk(void **state)
{
    uint64_t tail = mem_sizes[0] % BLOCK_SIZE;
    struct told t;
    int point = fixture_sync(f, -1, NULL);

    touch(0, mem_sizes[0] - 1);
    fixture_sync(f, point, NULL);
    t = tell(0, 1, false);
    assert_int_equal(t.disks[0].changed_bytes, tail);
    assert_int_equal(t.end[0], mem_sizes[0]);
    t = tell(0, 1, true);
    assert_int_equal(t.end[0], mem_sizes[0]);
}

static void bytes_that_came_back_do_not_count(void **state)
{
    int point = fixture_sync(f, -1, NULL);
    struct told t;

    touch(0, 0);
    touch(0, 2 * BLOCK_SIZE);
    point = fixture_sync(f, point, NULL);
    touch(0, 0);
    fixture_sync(f, point, NULL);
    t = tell(0, 2, false);
    assert_false(t.blocks[0][0]);
    assert_true(t.blocks[0][2]);
    assert_int_equal(t.disks[0].changed_bytes, BLOCK_SIZE);
    assert_true(diff.disks[0].written_bytes >= 2 * BLOCK_SIZE);
    assert_true(tell(1, 2, false).blocks[0][0]);
}

/* 0 when nothing is said of the generations; otherwise the error. */
static int refusal(uint64_t from, uint64_t to)
{
    struct diff_request q = {.from = from, .to = to};

    diff = (struct diff){0};
    err = error_free(err);
    return diff_run(&diff, e, &q, &err);
}

static void generations_have_defaults(void **state)
{
    int point = fixture_sync(f, -1, NULL);

    for (int g = 1; g < 4; g++)
        point = fixture_sync(f, point, NULL);
    assert_int_equal(refusal(NO_GENERATION, NO_GENERATION), 0);
    assert_int_equal(diff.from, 2);
    assert_int_equal(diff.to, 3);
    assert_int_equal(refusal(1, NO_GENERATION), 0);
    assert_int_equal(diff.from, 1);
    assert_int_equal(diff.to, 3);
    assert_int_equal(refusal(NO_GENERATION, 2), 0);
    assert_int_equal(diff.from, 1);
}

static void refusals_say_what_is_retained(void **state)
{
    int point;

    assert_int_equal(refusal(0, 0), -EPERM); /* no mirror yet */
    point = fixture_sync(f, -1, NULL);
    assert_int_equal(refusal(NO_GENERATION, NO_GENERATION), -ENOENT);
    point = fixture_sync(f, point, NULL);
    assert_int_equal(refusal(1, 0), -EINVAL);
    assert_int_equal(refusal(0, 2), -ENOENT);
    assert_non_null(strstr(error_text(err), "0 to 1 are"));
    fixture_sync(f, point, NULL);
    fixture_fold(f);
    assert_int_equal(refusal(0, 2), -ENOENT);
    assert_non_null(strstr(error_text(err), "generation 0"));
    assert_non_null(strstr(error_text(err), "only 2 is"));
    assert_int_equal(refusal(NO_GENERATION, NO_GENERATION), -ENOENT);
    assert_int_equal(engine_flip(e, &(struct flip_request){0}, NULL, NULL, NULL), 0);
    assert_int_equal(refusal(2, 2), -EPERM);
}

static void fold_all_now(const struct progress_report *report, void *context)
{
    fixture_fold(f);
}

static void what_is_compared_is_not_folded(void **state)
{
    int points[3] = {fixture_sync(f, -1, NULL)};
    struct diff_request q = {.from = 0, .to = 2, .progress = fold_all_now};

    for (int g = 1; g < 3; g++) {
        touch(0, 0);
        touch(1, BLOCK_SIZE);
        points[g] = fixture_sync(f, points[g - 1], NULL);
    }
    assert_int_equal(diff_run(&diff, e, &q, NULL), 0);
    assert_true(e->disks[0].layer_count > 0);
    all_pairs(points, 0, 2);
    fixture_fold(f);
    assert_int_equal(e->disks[0].layer_count, 0);
}

static void flip_now(const struct progress_report *report, void *context)
{
    assert_int_equal(engine_flip(e, &(struct flip_request){0}, NULL, NULL, NULL), 0);
}

static void cancel_now(const struct progress_report *report, void *context)
{
    LOCK_FOR_SCOPE(&e->lock);
    assert_true(diff_cancel_all_locked(e));
}

/* Between the first disk and the second. */
static void assert_ends(progress_fn *progress, bool fast, const char *says)
{
    struct diff_request q = {.from = 0, .to = 1, .fast = fast, .progress = progress};
    int point = fixture_sync(f, -1, NULL);

    touch(0, 0);
    touch(1, 0);
    fixture_sync(f, point, NULL);
    assert_int_equal(diff_run(&diff, e, &q, &err), -ECANCELED);
    assert_non_null(strstr(error_text(err), says));
    assert_null(e->diffs);
}

static void a_flip_ends_it(void **state)
{
    assert_ends(flip_now, false, "flipped");
    assert_null(e->views);
}

static void a_flip_ends_a_fast_one(void **state)
{
    assert_ends(flip_now, true, "flipped");
}

static void it_can_be_cancelled(void **state)
{
    assert_ends(cancel_now, false, "cancelled");
    LOCK_FOR_SCOPE(&e->lock);
    assert_false(diff_cancel_all_locked(e));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(random_deltas_are_told_exactly),
        TEST(the_last_block_ends_with_the_disk),
        TEST(bytes_that_came_back_do_not_count),
        TEST(generations_have_defaults),
        TEST(refusals_say_what_is_retained),
        TEST(what_is_compared_is_not_folded),
        TEST(a_flip_ends_it),
        TEST(a_flip_ends_a_fast_one),
        TEST(it_can_be_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
